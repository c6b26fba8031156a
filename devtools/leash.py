"""Become a command that does not outlive its parent: ``leash.py PARENT SIGNAL UID GID COMMAND…``.

On Linux the kernel sends SIGNAL to the command when the process PARENT ends, however it ends.
Elsewhere there is no such thing: the next start finds what was left over (``Supervisor``).
UID and GID, when not -1, are whom the command runs as. They are set here and not by the caller
because the kernel forgets the wish when a process changes its user.

A program of its own, run by a bare interpreter, so that no Python code runs between fork and exec
in a supervisor that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, death_signal, uid, gid = map(int, sys.argv[1:5])
    command = sys.argv[5:]
    # A parent that ignores signals (bin/test under nohup, say) must not pass that on.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the wish was made
            sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


main()
