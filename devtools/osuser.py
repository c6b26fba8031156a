"""Running the embedded servers as somebody else when bin/* is run by root.

PostgreSQL refuses to run as root. Then it runs as a system user of its own, and that user must be
able to reach the server's files, which may lie below a private folder such as ``/root``.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NAME = "farebox-db"


@dataclass(frozen=True)
class OsUser:
    name: str
    uid: int
    gid: int


def server_user(data: Path, say: Callable[[str], None]) -> OsUser | None:
    """Whom the servers run as: None for the present user, which is right unless that is root.

    The owner of an existing data folder goes on owning it. Otherwise it is a system user made for
    the purpose, or ``nobody`` where none can be made.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        try:
            return _user(pwd.getpwuid(data.stat().st_uid))
        except KeyError:
            pass  # its owner is gone from this machine; another will be made its owner
    try:
        return _user(pwd.getpwnam(NAME))
    except KeyError:
        return _make_user(say)


def _make_user(say: Callable[[str], None]) -> OsUser:
    useradd = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    if useradd:
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", NAME]
        if subprocess.run(command, capture_output=True).returncode == 0:
            say(f"made the system user {NAME}: PostgreSQL does not run as root")
            return _user(pwd.getpwnam(NAME))
    return _user(pwd.getpwnam("nobody"))


def _user(entry: pwd.struct_passwd) -> OsUser:
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def own(folder: Path, user: OsUser | None) -> None:
    """Make the folder, private, and give it with all it holds to the user."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user and folder.stat().st_uid != user.uid:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)


def let_through(target: Path, user: OsUser | None, say: Callable[[str], None]) -> None:
    """Let the user pass through every folder above ``target``: pass, not read.

    Only what is closed is opened, and each is named, because it may be somebody's home.
    """
    if not user:
        return
    for folder in reversed(target.resolve().parents):
        mode = folder.stat()
        if mode.st_uid != user.uid and not mode.st_mode & 0o001:
            folder.chmod(mode.st_mode & 0o7777 | 0o001)
            say(f"chmod o+x {folder}: the servers run as {user.name} and pass through it")


def let_read(tree: Path, user: OsUser | None) -> None:
    """Let the user read and run the files of ``tree``, which a strict umask may have closed."""
    if not user:
        return
    for path in [tree, *tree.rglob("*")]:
        mode = path.stat().st_mode & 0o7777
        # What its owner may run, others may; links were resolved by stat and are met by themselves.
        wanted = mode | 0o004 | (0o001 if mode & 0o100 else 0)
        if wanted != mode and not path.is_symlink():
            path.chmod(wanted)
