"""Whether a file lies in a container's own file system, which is gone with the container."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_LONGEST_MOUNTS = 4_000_000
# The file systems that container engines stack over an image. With others (btrfs, ZFS) a container cannot be told
# from a machine.
_LAYERED = {"overlay", "aufs", "fuse.fuse-overlayfs"}


def on_container_layer(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Return whether a file lies on a container's root file system and on no volume; False where that is not known.

    :param path: the file; it need not exist yet.
    :param mounts: the list of what is mounted, as Linux reports it (proc(5), mountinfo).
    """
    try:
        with mounts.open(encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_LONGEST_MOUNTS).splitlines()
        place = path.resolve()
    except (OSError, RuntimeError, ValueError):  # no Linux, a loop of links, or no path at all
        return False
    holding = [mount for mount in map(_mount_of, lines) if mount and place.is_relative_to(mount[0])]
    if not holding:
        return False
    # The innermost one holds the file, and of several at one place the last.
    innermost = max(len(point.parts) for point, _ in holding)
    point, kind = [mount for mount in holding if len(mount[0].parts) == innermost][-1]
    return point == Path("/") and kind in _LAYERED


def _mount_of(line: str) -> tuple[Path, str] | None:
    """Read where something is mounted, and its kind of file system."""
    fields = line.split(" ")
    if "-" not in fields[6:-1]:
        return None
    kind = fields[fields.index("-", 6) + 1]
    point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), fields[4])
    return Path(point), kind
