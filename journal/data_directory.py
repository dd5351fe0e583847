"""The data directory around the database: who may use it, what it is, how full it is.

    <data_dir>/                     0700
        holdfast.format             what this directory is           see ``format``
        holdfast.lock               who has it open                  see ``directory_lock``
        holdfast.tide               how much it must hold            see ``tide_mark``
        holdfast.place              where it was made durable        see ``copied``
        holdfast.ballast            room for a start on a full disk  see ``disk_space``
        rocksdb/                    the rows, RocksDB's own files
        holdfast.backup-*/          names of its files for a backup under way   see ``staging``

Opening is in an order that leaves a directory it refuses as it was: look first, lock, look again,
and only then write. This module knows no RocksDB.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

from ..objects.errors import (
    StoreDamagedError,
    StoreFailedError,
    StoreFormatError,
    StoreFullError,
)
from .directory_lock import DirectoryLock
from .disk_space import Ballast, free_bytes
from .format import is_new_directory, stamp_directory, sync_directory
from .staging import remove_stale
from .tide_mark import (
    TIDE_FILE,
    TideMark,
    create_tide_mark,
    own_tide_mark,
    read_tide_mark,
)

DATABASE = "rocksdb"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DataDirectory:
    """A data directory that is ours alone until ``close``."""

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        *,
        ballast_bytes: int,
        free_bytes_min: int,
        on_fork: Callable[[], None],
    ) -> None:
        """Lock the directory, and make it if it is new.

        Args:
            data_dir: where; symlinks are resolved before anything else.
            ballast_bytes: see ``Ballast``; 0 for none.
            free_bytes_min: with less than this free, ``is_nearly_full`` is true.
            on_fork: called in a forked child, which has let go of the lock and the tide mark.

        Raises:
            StoreFormatError: a file, somebody else's directory, or a newer format. Untouched.
            StoreLockedError: it is open elsewhere. Untouched.
            StoreDamagedError: the tide mark is lost or damaged.
            StoreFullError: no space left to make it.
            StoreFailedError: the directory cannot be used, and the message says why.
        """
        self.path = Path(os.path.realpath(data_dir))
        self._free_bytes_min = free_bytes_min
        self._after_fork = on_fork
        with explained_errors(self.path):
            if is_new_directory(self.path):
                _make_directory(self.path)
            self._lock = DirectoryLock(self.path, on_fork=self._leave_to_parent)
            try:
                self.tide = self._prepare()
            except BaseException:
                self._lock.release()
                raise
        self.ballast = Ballast(
            self.path, ballast_bytes, room_bytes_min=4 * (ballast_bytes + free_bytes_min)
        )

    @property
    def database(self) -> Path:
        """Where RocksDB keeps its files."""
        return self.path / DATABASE

    def is_nearly_full(self) -> bool:
        """Whether less space is free than new work should find."""
        return free_bytes(self.path) < self._free_bytes_min

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether so much may be written, and the disk is not nearly full then."""
        return free_bytes(self.path) >= size_bytes + self._free_bytes_min

    def close(self) -> None:
        """Let the directory go. May be called twice."""
        self.tide.close()
        self._lock.release()

    def _prepare(self) -> TideMark:
        """With the lock held: look again, then make what is missing."""
        is_new = is_new_directory(self.path)
        if self.path.stat().st_mode & 0o777 != 0o700:
            self._close_to_others()
        tide_file = self.path / TIDE_FILE
        if is_new:
            # The mark before the stamp: a stamped directory without a mark is a damaged one.
            if not tide_file.exists():
                create_tide_mark(tide_file)
            stamp_directory(self.path)
        elif own_tide_mark(tide_file):
            sync_directory(self.path)
        remove_stale(self.path)
        return TideMark(tide_file)

    def _close_to_others(self) -> None:
        try:
            self.path.chmod(0o700)
        except PermissionError as error:
            # The root of a mounted volume mostly belongs to root, and to our group.
            message = (
                f"{self.path} is open to other users, and this process may not change that; name a "
                f"directory in it, such as {self.path / 'data'}, which is made"
            )
            raise StoreFailedError(message) from error

    def _leave_to_parent(self) -> None:
        self.tide.close()
        self._after_fork()


def _make_directory(path: Path) -> None:
    """Make ``path`` and what is missing above it, durably: a name is its parent's to keep."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # One that is there may be what a start that died has made, and not made durable.
    for each in reversed(missing or [path]):
        # Who may go through a directory and not read it cannot make durable what is in it.
        with contextlib.suppress(PermissionError):
            sync_directory(each.parent)


def check_is_data_directory(path: Path, name: str | os.PathLike[str]) -> None:
    """See that ``path`` is a data directory that was opened; ``name`` is how to call it.

    Raises:
        StoreFormatError: there is none, one of another format, or one whose first start has died
            before it made the database. There is nothing in it, so nothing is lost.
    """
    if is_new_directory(path):
        message = f"there is no data directory at {name}"
        raise StoreFormatError(message)
    # A mark that cannot be read tells of a directory that somebody had opened.
    with contextlib.suppress(StoreDamagedError):
        has_database = (path / DATABASE / "CURRENT").exists()
        if not has_database and read_tide_mark(path / TIDE_FILE).epoch == 0:
            message = f"{name} holds nothing yet: its first start did not get so far; start again"
            raise StoreFormatError(message)


@contextlib.contextmanager
def explained_errors(path: Path) -> Generator[None]:
    """Turn what the operating system refuses into one sentence that names the directory."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and str(error.filename) != str(path):
            reason = f"{reason} ({error.filename})"
        if error.errno in _FULL:
            message = f"{path} cannot be opened: {reason}; free some space and start again"
            raise StoreFullError(message) from error
        if isinstance(error, NotADirectoryError | FileExistsError):
            message = f"{path} cannot be a data directory: part of the path is a file"
            raise StoreFormatError(message) from error
        if error.errno in _FORBIDDEN:
            message = f"{path} cannot be written by this process: {reason}"
            raise StoreFailedError(message) from error
        message = f"{path} cannot be opened: {reason}"
        raise StoreFailedError(message) from error
