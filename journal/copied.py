r"""Whether a data directory was put here by a copy, which makes nothing durable.

Whoever restores a backup with ``cp`` has files that are on disk some time later. RocksDB syncs what
it writes itself, so the first answers of a server would rest on tables that a power cut takes. A
start that finds itself in a copy therefore makes every file durable, before anything is promised.

Told apart by ``holdfast.place``, which says where the format file was when that was last done. That
file is written once, and no copy keeps both its numbers:

    file := inode " " ctime_ns "\n"          of ``holdfast.format``, in decimal

A directory without it, as earlier releases and backups leave it, counts as a copy: that costs one
fsync for each file, once. It need not be durable itself: lost, it is only made again.
"""

import contextlib
import errno
from pathlib import Path

from .format import FORMAT_FILE, sync_directory, sync_file
from .named_errors import naming

PLACE_FILE = "holdfast.place"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_copy_durable(directory: Path, database: Path, *, is_new: bool) -> None:
    """Make everything in ``directory`` durable, unless that is known to be done.

    Call it before anything is acknowledged that rests on what is there. In one that ``is_new``,
    whoever has made a file has made it durable, and not every name.

    Raises:
        OSError: a file could not be synced. The next start tries again.
    """
    place = _find_place(directory)
    with contextlib.suppress(OSError):
        if (directory / PLACE_FILE).read_bytes() == place:
            return
    for folder in (database, directory):
        for file in () if is_new else folder.iterdir():
            # RocksDB removes files of its own meanwhile, on which nothing rests then.
            with contextlib.suppress(FileNotFoundError):
                if file.is_file():
                    sync_file(file)
        sync_directory(folder)
    with contextlib.suppress(PermissionError):
        sync_directory(directory.parent)
    _write_down(directory / PLACE_FILE, place)


def _find_place(directory: Path) -> bytes:
    status = (directory / FORMAT_FILE).stat()
    return b"%d %d\n" % (status.st_ino, status.st_ctime_ns)


def _write_down(file: Path, place: bytes) -> None:
    try:
        with naming(file):
            file.write_bytes(place)
    except OSError as error:
        # On a full disk the next start does it all once more.
        if error.errno not in _FULL:
            raise
