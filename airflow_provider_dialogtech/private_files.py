"""Files that only the user that Airflow runs as may read and write. A file of another user is refused by name.

Another user's file could hold anything, and a link could lead what is written elsewhere.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_OURS_ALONE = 0o600
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# A file system without modes, of another operating system say, shows the same mode after each change.
_warned: set[str] = set()


class NotPrivate(Exception):
    """Another user could have written the file.

    :param reason: what is wrong with which file.
    :param advice: what to do, without a full stop.
    """

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.advice = advice


def ensure_private(path: Path) -> None:
    """Create a missing file; check an existing one, and take the rights of other users away.

    It does not open an existing file: closing it would release the locks that this process holds on it.

    :raises NotPrivate: when it is a link, not a regular file, or another user's.
    :raises OSError: when it cannot be created.
    """
    _warn_of_open_folder(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _OURS_ALONE))
    check_private(path)


def check_private(path: Path) -> None:
    """Check a file, if there is one, and take the rights of other users away.

    :raises NotPrivate: when it is a link, not a regular file, or another user's.
    """
    try:
        found = path.lstat()
    except OSError:
        return
    _check(path, found)
    if found.st_mode & _OF_OTHERS:
        _mend(path, stat.S_IMODE(found.st_mode))


def open_private(path: Path) -> int:
    """Open a file for reading and writing, as `ensure_private` leaves it, and return its descriptor.

    :raises NotPrivate: as `ensure_private` does.
    :raises OSError: when it cannot be opened.
    """
    ensure_private(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor))
    except NotPrivate:
        os.close(descriptor)
        raise
    return descriptor


def mend_copies(path: Path) -> None:
    """Take the rights of other users from copies of a file, such as backups: our files with its name and an ending.

    :param path: the file that they are copies of.
    """
    with suppress(OSError):
        for other in path.parent.iterdir():
            if other.name.startswith(path.name) and not other.name[len(path.name) :][:1].isalnum():
                with suppress(NotPrivate):
                    check_private(other)


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise NotPrivate(f"{path} is a symbolic link", "Put the file itself there")
    if not stat.S_ISREG(found.st_mode):
        advice = "Name a file in it" if stat.S_ISDIR(found.st_mode) else "Remove it"
        raise NotPrivate(f"{path} is not a regular file", advice)
    if found.st_uid != os.geteuid():
        raise NotPrivate(
            f"{path} belongs to another user (uid {found.st_uid}; this process has uid {os.geteuid()})",
            "Run this as the user that owns it, or make this user its owner",
        )


def _warn_of_open_folder(folder: Path) -> None:
    """Warn of a folder whose files every user can replace. It is used: a volume of Kubernetes is often like this."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX and str(folder) not in _warned:
        _warned.add(str(folder))
        log.warning(
            "Every user can write to the folder %s, and so replace the file that this package keeps there. Remove that "
            "right away (chmod o-w), unless this machine or container has no other users.",
            folder,
        )


def _mend(path: Path, mode: int) -> None:
    with suppress(OSError):
        path.chmod(mode & ~_OF_OTHERS)
        found = stat.S_IMODE(path.lstat().st_mode)
        if found != mode:
            log.warning("Other users had rights to %s (mode %04o). Its mode is %04o now.", path, mode, found)
            return
    if str(path) not in _warned:
        _warned.add(str(path))
        log.warning("Other users have rights to %s (mode %04o), and its mode cannot be changed.", path, mode)
