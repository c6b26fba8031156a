"""Which tests stay together when several processes share a run.

Files go to whichever process is free (``--dist loadfile``). Those whose tests share servers, a
browser and the like go to one process, which starts them once.
"""

from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/browser/", "tests/accounts/sockets/")


class ByServers(LoadFileScheduling):
    """By file, or by folder for those of ``TOGETHER``."""

    def _split_scope(self, nodeid: str) -> str:
        folder = next((folder for folder in TOGETHER if nodeid.startswith(folder)), None)
        return folder or str(super()._split_scope(nodeid))
