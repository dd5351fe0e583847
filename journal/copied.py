r"""Whether a data directory was put here by a copy, which makes nothing durable.

Whoever restores a backup with ``cp`` has files that are on disk some time later. RocksDB syncs what
it writes itself, so the first answers of a server would rest on tables that a power cut takes. A
start that finds itself in a copy therefore makes every file durable, before anything is promised.

Told apart by ``holdfast.place``, which says where the format file was when that was last done. That
file is written once, and no copy keeps both its numbers:

    file := inode " " ctime_ns " " since_ns "\n"     in decimal

The first two are of ``holdfast.format``. Where they are right, some of the other files may have
been put back all the same, by a person, or by ``rsync``, which leaves alone what is equal. So a
start makes durable once more what has changed since the last one began, which is ``since_ns``.
Mostly these are the tables of the last life, which RocksDB has synced; that takes no time again.

A directory without it, as earlier releases and backups leave it, counts as a copy: that costs one
fsync for each file, once. It need not be durable itself: lost, it is only made again.
"""

import contextlib
import errno
from pathlib import Path

from .directory_lock import LOCK_FILE
from .format import FORMAT_FILE, sync_directory, sync_file
from .named_errors import naming
from .tide_mark import TIDE_FILE

PLACE_FILE = "holdfast.place"
_TABLES = frozenset({".sst", ".blob"})
_OURS = frozenset({FORMAT_FILE, TIDE_FILE})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_copy_durable(directory: Path, database: Path, *, is_new: bool) -> None:
    """Make everything in ``directory`` durable that is not known to be.

    Call it before anything is acknowledged that rests on what is there, and with the lock held. In
    one that ``is_new``, whoever has made a file has made it durable, and not every name.

    Raises:
        OSError: a file could not be synced. The next start tries again.
    """
    place = _find_place(directory)
    began_ns = (directory / LOCK_FILE).stat().st_ctime_ns
    since_ns = _read_since(directory / PLACE_FILE, place, began_ns)
    for folder in (database, directory):
        synced = 0
        for file in () if is_new else folder.iterdir():
            # RocksDB removes files of its own meanwhile, on which nothing rests then.
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_ctime_ns >= since_ns and _matters(file, all_=not since_ns):
                    sync_file(file)
                    synced += 1
        if synced or not since_ns:
            sync_directory(folder)
    if not since_ns:
        with contextlib.suppress(PermissionError):
            sync_directory(directory.parent)
    _write_down(directory / PLACE_FILE, b"%s %d\n" % (place, began_ns))


def _matters(file: Path, *, all_: bool) -> bool:
    """Whether something rests on ``file`` that RocksDB has not just made anew."""
    return file.is_file() and (all_ or file.suffix in _TABLES or file.name in _OURS)


def _find_place(directory: Path) -> bytes:
    status = (directory / FORMAT_FILE).stat()
    return b"%d %d" % (status.st_ino, status.st_ctime_ns)


def _read_since(file: Path, place: bytes, now_ns: int) -> int:
    """What has not changed since then is durable; 0: nothing is known to be."""
    with contextlib.suppress(OSError, ValueError):
        *written, since_ns = file.read_bytes().split()
        # A clock that was set back tells nothing about what came later.
        if b" ".join(written) == place and int(since_ns) <= now_ns:
            return int(since_ns)
    return 0


def _write_down(file: Path, place: bytes) -> None:
    try:
        with naming(file):
            file.write_bytes(place)
    except OSError as error:
        # On a full disk the next start does it all once more.
        if error.errno not in _FULL:
            raise
