"""A disk that can lose its power: ext4 or XFS on a loop device, in a directory of its own.

The cut is ``FS_IOC_SHUTDOWN`` without a flush of the journal: from then on the file system writes
nothing, and what it had not written is lost, as when the plug is pulled. The next mount replays
the journal, as after a boot. Needs root, loop devices and ``mkfs``; ``find_obstacle`` says what of
it is missing.

An unmounted disk is a file. One whose process died before it could unmount is unmounted by the
next process that makes a disk, which knows it by the process id in the name of the mount point.
"""

import errno
import fcntl
import functools
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from holdfast.journal.disk_space import free_bytes

FS_IOC_SHUTDOWN = 0x8004587D
GOING_FLAGS_NOLOGFLUSH = 2

FileSystem = Literal["ext4", "xfs"]
MAKE: dict[FileSystem, tuple[str, ...]] = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}

MIB = 1 << 20
BLOCK = 4096
TRIES_SECONDS = 10.0
"""How long a mount or unmount is tried again: loop devices are everybody's."""

_MOUNT_POINT = "holdfast-disk-{}"
_ABANDONED = re.compile(r"/holdfast-disk-(\d+)$")


class LoopDisk:
    """One disk, mounted in the block. At its end it is unmounted, whatever happened."""

    def __init__(self, directory: Path, size_mib: int, file_system: FileSystem = "ext4") -> None:
        """Make it; ``directory`` gets its image, a sparse file, and its mount point.

        XFS takes no disk of less than 300 MiB.
        """
        self.file_system: FileSystem = file_system
        self._image = directory / "disk.img"
        self.path = directory / _MOUNT_POINT.format(os.getpid())
        # Not asked of the path: after a cut, XFS does not even say what it is.
        self._is_mounted = False
        self._filler = self.path / "filler"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(size_mib * MIB)
        _run(*MAKE[file_system], str(self._image))

    def __enter__(self) -> Self:
        _unmount_abandoned()
        self.mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_mounted:
            self.unmount()

    def mount(self, *options: str) -> None:
        """Power it up. ``options`` are those of its file system."""
        joined = ",".join(("loop", "noatime", *options))
        _run("mount", "-t", self.file_system, "-o", joined, str(self._image), str(self.path))
        self._is_mounted = True

    def unmount(self) -> None:
        """Let go of it; nobody may have files open."""
        _run("umount", str(self.path))
        self._is_mounted = False

    def cut(self) -> None:
        """Pull the plug. What is read and written from now on fails."""
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, FS_IOC_SHUTDOWN, struct.pack("I", GOING_FLAGS_NOLOGFLUSH))
        finally:
            os.close(directory)

    def fill(self, leave_bytes: int = 0) -> None:
        """Use up its space but for so much."""
        with self._filler.open("ab") as file:
            step = 64 * MIB
            while step >= BLOCK:
                room = free_bytes(self.path) - leave_bytes
                size = min(step, room // BLOCK * BLOCK)
                if size <= 0:
                    return
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def free(self) -> None:
        """Give back what was used up."""
        self._filler.unlink(missing_ok=True)

    def abort(self) -> None:
        """Make an ext4 read-only, as it does when it finds itself damaged; files may be open."""
        _run("mount", "-o", "remount,abort", str(self.path))


@functools.cache
def find_obstacle(file_system: FileSystem = "ext4") -> str:
    """Why there can be no such disk on this machine; empty if there can be."""
    if os.geteuid() != 0:
        return "only root may mount"
    command, *_ = MAKE[file_system]
    if shutil.which(command) is None:
        return f"{command} is not installed"
    with tempfile.TemporaryDirectory(prefix="holdfast-") as directory:
        try:
            with LoopDisk(Path(directory), 320, file_system) as disk:
                disk.cut()
        except OSError as error:
            return f"a loop device cannot be mounted and shut down here: {error}"
    return ""


def _run(*command: str) -> None:
    """Run it until it succeeds, for a while.

    Raises:
        OSError: it never did.
    """
    deadline = time.monotonic() + TRIES_SECONDS
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline or "busy" not in done.stderr:
            message = f"{' '.join(command)}: {done.stderr.strip()}"
            raise OSError(message)
        time.sleep(0.02)


def _unmount_abandoned() -> None:
    for line in Path("/proc/self/mounts").read_text("utf-8").splitlines():
        path = line.split()[1]
        abandoned = _ABANDONED.search(path)
        if abandoned and not Path(f"/proc/{abandoned[1]}").exists():
            # Another process may be about to do the same; what fails here fails for it too.
            subprocess.run(["umount", path], capture_output=True, check=False)
