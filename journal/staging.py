"""Room for a backup inside a data directory, for names of files that must not be deleted yet.

A backup to another file system links the tables here before it copies them. Whoever dies meanwhile
leaves its links, and with them the space of tables that are long gone; so a start removes them, and
the next backup does, for a server may run for months. Each is locked by the process that uses it,
so that of one under way nothing is taken.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from ..objects.errors import StoreLockedError
from .directory_lock import LOCK_FILE, DirectoryLock

_PREFIX = "holdfast.backup-"


@contextlib.contextmanager
def staging(data_dir: Path) -> Generator[Path]:
    """A directory of one's own in ``data_dir``, gone afterwards.

    Raises:
        OSError: it cannot be made there.
    """
    remove_stale(data_dir)
    path, lock = _make(data_dir)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        lock.release()


def _make(data_dir: Path) -> tuple[Path, DirectoryLock]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=data_dir))
        # Somebody may take it for a stale one until it is locked.
        with contextlib.suppress(FileNotFoundError, StoreLockedError):
            try:
                lock = DirectoryLock(path)
            except OSError:
                # A disk may have room for its name and for no more.
                shutil.rmtree(path, ignore_errors=True)
                raise
            if (path / LOCK_FILE).exists():
                return path, lock
            lock.release()


def remove_stale(data_dir: Path) -> None:
    """Remove what dead backups have left in ``data_dir``."""
    for path in data_dir.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, StoreLockedError):
            lock = DirectoryLock(path)
            shutil.rmtree(path, ignore_errors=True)
            lock.release()
