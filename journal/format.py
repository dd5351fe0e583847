r"""What kind of directory this is, and whether this release may touch it.

A data directory says so in ``holdfast.format``, one line of text:

    file := "holdfast data directory, format " version "\n"

The file is written last when a directory is made, and read before anything in it is touched. A
directory of a newer format, or one that holds somebody else's files, is refused as it is: not even
the lock file is made in it.
"""

import os
from pathlib import Path

from ..objects.errors import StoreFormatError
from .directory_lock import LOCK_FILE
from .named_errors import naming
from .tide_mark import TIDE_FILE

FORMAT_FILE = "holdfast.format"
FORMAT_VERSION = 1
_PREFIX = "holdfast data directory, format "
# What a start that died before it wrote the format file may have left, and what a fresh file
# system has in its root. Anything else is somebody's.
_HARMLESS = frozenset(
    {LOCK_FILE, TIDE_FILE, f"{TIDE_FILE}.new", f"{FORMAT_FILE}.new", "lost+found"}
)


def is_new_directory(directory: Path) -> bool:
    """Whether ``directory`` is still to be made into a data directory.

    Raises:
        StoreFormatError: it is of a newer format, or it is not ours. Nothing was touched.
    """
    if not directory.exists():
        return True
    if not directory.is_dir():
        message = f"{directory} is a file; a data directory is needed"
        raise StoreFormatError(message)
    entries = {entry.name for entry in directory.iterdir()}
    if FORMAT_FILE in entries:
        _check_version(directory / FORMAT_FILE)
        return False
    if TIDE_FILE in entries and entries - _HARMLESS:
        message = (
            f"{directory} is a data directory that has lost {FORMAT_FILE}: restore a backup, or "
            "that file alone from one"
        )
        raise StoreFormatError(message)
    if strangers := sorted(entries - _HARMLESS):
        message = (
            f"{directory} holds {strangers[0]!r} but no {FORMAT_FILE}: it is not a data "
            "directory, and to become one it must be empty or not exist yet"
        )
        raise StoreFormatError(message)
    return True


def stamp_directory(directory: Path) -> None:
    """Say durably that ``directory`` is a data directory of this format."""
    temporary = directory / f"{FORMAT_FILE}.new"
    with naming(temporary), temporary.open("w", encoding="ascii") as file:
        file.write(f"{_PREFIX}{FORMAT_VERSION}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / FORMAT_FILE)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    _sync(directory, os.O_DIRECTORY)


def sync_file(file: Path) -> None:
    """Make what ``file`` holds durable, whoever has written it."""
    _sync(file, 0)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        with naming(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def _check_version(path: Path) -> None:
    with naming(path):
        line = path.read_bytes()[:200].decode("ascii", "replace")
    version = line.removeprefix(_PREFIX).strip()
    if not line.startswith(_PREFIX) or not version.isdecimal():
        message = f"{path} should begin with {_PREFIX!r} and a number; it holds {line!r}"
        raise StoreFormatError(message)
    if int(version) != FORMAT_VERSION:
        message = (
            f"{path.parent} is of format {version}, says {path.name}; this release reads and "
            f"writes format {FORMAT_VERSION}. Open it with the release that wrote it, or a later "
            "one"
        )
        raise StoreFormatError(message)
