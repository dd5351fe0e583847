"""Room to work in, and room to start in.

A full disk cannot even be opened: RocksDB writes what the log holds into a table at every start. So
a ballast file, larger than the log may grow, is kept in the data directory and dropped at a start
that finds no room. And long before the disk is full the store says so, so that new work can be
refused while running work finishes.
"""

import contextlib
import os
from pathlib import Path

BALLAST_FILE = "holdfast.ballast"

FREE_BYTES_MIN = 64 << 20
"""With less than this free, new work is refused."""


def free_bytes(directory: Path) -> int:
    """What this user may still write in the file system of ``directory``."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


class Ballast:
    """A file that holds disk space until a start needs it."""

    def __init__(self, directory: Path, size_bytes: int, *, room_bytes_min: int) -> None:
        """Describe it; nothing is written yet.

        Args:
            directory: the data directory.
            size_bytes: how much to hold; 0 for none.
            room_bytes_min: what must be free beside the ballast, or it is not made: on a small
                disk it would itself be what fills it.
        """
        self._path = directory / BALLAST_FILE
        self._size_bytes = size_bytes
        self._room_bytes_min = room_bytes_min

    @property
    def is_held(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def _held_bytes(self) -> int:
        # An earlier release has made a smaller one.
        return self._path.stat().st_size if self.is_held else 0

    def drop_if_full(self) -> None:
        """Give the space up if less than its size is free."""
        if self.is_held and free_bytes(self._path.parent) < self._size_bytes:
            self._path.unlink(missing_ok=True)

    def hold(self) -> None:
        """Hold the space, if there is plenty. A file system that cannot reserve is left alone."""
        if self._size_bytes == 0 or self._held_bytes() >= self._size_bytes:
            return
        if free_bytes(self._path.parent) < self._size_bytes + self._room_bytes_min:
            return
        temporary = self._path.with_name(f"{BALLAST_FILE}.new")
        try:
            with temporary.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
            temporary.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
