"""One process, one directory.

RocksDB's own ``LOCK`` does not keep that promise: a POSIX lock is lost when anything in the process
opens and closes the file (a backup that copies the directory does), and two paths through a
symlink open one directory twice. So Holdfast holds an ``flock`` of its own on ``holdfast.lock``. It
belongs to one open file, not to the process: copying does not drop it, and the same process that
comes a second time is refused like any other. The kernel releases it when the process dies.

A forked child inherits the open file, and with it everything its parent has open in the directory.
The child must use none of it; this module tells whoever holds a lock that it woke up in a child.
That is the one thing here that is process-wide, because ``os.register_at_fork`` is.
"""

import contextlib
import fcntl
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from ..objects.errors import StoreLockedError
from .named_errors import naming

LOCK_FILE = "holdfast.lock"


class DirectoryLock:
    """The exclusive right to a data directory, from construction to ``release``."""

    def __init__(
        self,
        directory: Path,
        *,
        on_fork: Callable[[], None] = lambda: None,
        may_write: bool = True,
    ) -> None:
        """Take the right, and leave this process's id in the file for whoever is refused.

        Args:
            directory: the resolved path of the data directory, which exists.
            on_fork: called in a forked child, after the child's copy of the lock was let go; for
                whoever has more open in the directory than the lock.
            may_write: ``False`` where the disk can only be read; the id in the file stays.

        Raises:
            StoreLockedError: someone has it. Nothing was touched.
        """
        path = directory / LOCK_FILE
        flags = os.O_RDWR | os.O_CREAT if may_write else os.O_RDONLY
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            with naming(path):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if may_write:
                    # Over what is there, and only then cut: on a full disk an empty file stays so.
                    length = os.pwrite(file, f"{os.getpid()}\n".encode("ascii"), 0)
                    os.ftruncate(file, length)
        except BlockingIOError:
            holder, _, _ = os.pread(file, 32, 0).decode("ascii", "replace").partition("\n")
            os.close(file)
            raise StoreLockedError(_refusal(directory, holder)) from None
        except OSError:
            os.close(file)
            raise
        self._file: int | None = file
        self._on_fork = on_fork
        _held.add(self)

    def release(self) -> None:
        """Give the right back. May be called twice.

        The file stays: were it removed, one process could hold the old file and another a new one.
        """
        _held.discard(self)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def leave_to_parent(self) -> None:
        """Let go of a forked child's copy; the parent's lock is not affected."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None
        self._on_fork()


# Every lock held in this process, so that a forked child can let go of its copies.
_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def _leave_all_to_parent() -> None:
    for lock in list(_held):
        lock.leave_to_parent()
    _held.clear()


os.register_at_fork(after_in_child=_leave_all_to_parent)


def _refusal(directory: Path, holder: str) -> str:
    if holder == str(os.getpid()):
        return f"{directory} is already open in this process (pid {holder})"
    return (
        f"{directory} is open in another process (pid {holder or 'not known'}), and one process "
        f"has a directory at a time: stop that one or name another directory; a web server around "
        f"a runtime runs one worker (--workers 1)"
    )
