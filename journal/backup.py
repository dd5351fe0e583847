"""A copy of a data directory as it was at one moment, whoever has it open.

    back up := refuse what cannot be a target
               make <target>.partial, and hold its lock
               take the files: link what never changes, copy what grows
               the manifest is another one, or longer: take them again
               open the copy for reading: it must not end below the tide mark
               give it a tide mark of its own, with the epoch of the original
               make every file and name durable, then rename it to <target>

Files are taken as ``directory_view`` takes them, and by the same rule: while the manifest stays as
it was, no table and no log that it needs was deleted. The log ends somewhere in what had been
written, never before what had been acknowledged. RocksDB has a call for this (``Checkpoint``); it
holds the interpreter lock from its first fsync to its last, so a server would stand still.

On one file system the tables are the original's own, by a second name, and cost nothing. On another
one they are linked beside the original first, where that has room: copying gigabytes takes longer
than a busy writer leaves its manifest alone. So are the logs then, which take no space of a disk
that may be nearly full; that they grow until they are copied does no harm.

A start of the copy counts one epoch more than the original had, so no number that a row of it has
is given out again. Nobody can tell it what the original has done since.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from ..objects.errors import (
    InvalidArgumentError,
    StoreDamagedError,
    StoreFailedError,
    StoreFormatError,
    StoreFullError,
)
from .data_directory import DATABASE, check_is_data_directory, explained_errors
from .directory_lock import LOCK_FILE, DirectoryLock
from .directory_view import TRIES_MAX, DirectoryView
from .format import FORMAT_FILE, stamp_directory, sync_directory, sync_file
from .log_files import find_manifest
from .staging import staging
from .tide_mark import TIDE_FILE, TideMark, create_tide_mark, read_tide_mark

_LINKED = frozenset({".sst", ".blob"})
_COPIED = ("CURRENT", "IDENTITY", "MANIFEST-", "OPTIONS-", "rocksdict-config.json")
_OURS = frozenset(
    {LOCK_FILE, TIDE_FILE, f"{TIDE_FILE}.new", FORMAT_FILE, f"{FORMAT_FILE}.new", DATABASE}
)
_NO_LINKS = frozenset({errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK, errno.EACCES})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM = _FULL | {errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupInfo:
    """A backup that was made.

    Attributes:
        path: the directory that holds it, with symlinks resolved.
        size_bytes: of all its files.
        shared_bytes: how much of that it shares with the original, on the same file system, for as
            long as both have it.
    """

    path: Path
    size_bytes: int
    shared_bytes: int


def back_up(data_dir: str | os.PathLike[str], target: str | os.PathLike[str]) -> BackupInfo:
    """Copy the data directory to ``target``, which does not exist; durable when this returns.

    The copy holds all that was acknowledged before, and is a data directory itself. Somebody may
    write to the original meanwhile.

    Raises:
        InvalidArgumentError: the target exists, its parent does not, or it is inside the original.
        StoreFormatError: there is no data directory, one of another format, or a stranger's files
            are in the way.
        StoreLockedError: another backup to this target is under way.
        StoreDamagedError: the original holds less than was acknowledged, or is damaged.
        StoreFullError: no space left for it.
        StoreFailedError: it cannot be read or written, and the message says why.

    In each case there is no target, and the original is as it was.
    """
    source = Path(os.path.realpath(data_dir))
    with explained_errors(source):
        check_is_data_directory(source, data_dir)
    path = check_target(source, target)
    partial = path.with_name(f"{path.name}.partial")
    with _explained(path):
        lock = _take(partial)
        try:
            info = _fill(source, partial, path)
            _rename(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            lock.release()
    return info


def check_target(source: Path, target: str | os.PathLike[str]) -> Path:
    """The path of a backup of ``source`` to ``target``, which can be one.

    Raises:
        InvalidArgumentError: it cannot, and the message says why.
    """
    if "\0" in os.fspath(target):
        message = f"a backup cannot be named {target!r:.80}, for it holds a zero byte"
        raise InvalidArgumentError(message)
    given = Path(os.path.abspath(target))  # noqa: PTH100 -- `resolve` would follow the last part
    path = Path(os.path.realpath(given.parent)) / given.name
    if not given.name:
        message = f"a backup needs a directory of its own, and {target} is none"
        raise InvalidArgumentError(message)
    if path == source or source in path.parents:
        message = f"{target} is inside the data directory {source}; a backup belongs elsewhere"
        raise InvalidArgumentError(message)
    if os.path.lexists(path):
        message = f"{target} exists; a backup makes its own directory, so name one that does not"
        raise InvalidArgumentError(message)
    if not path.parent.is_dir():
        message = f"there is no directory {path.parent} to make the backup in; make it first"
        raise InvalidArgumentError(message)
    return path


def _rename(partial: Path, path: Path) -> None:
    if os.path.lexists(path):
        message = f"{path} was made by somebody else meanwhile; name another target"
        raise InvalidArgumentError(message)
    partial.rename(path)
    try:
        sync_directory(path.parent)
    except PermissionError:
        # Who may make a name in a directory and not read it cannot make the name durable.
        return
    except OSError:
        # A backup that is said not to be there must not be.
        path.rename(partial)
        raise


def _take(partial: Path) -> DirectoryLock:
    """Make the directory that becomes the backup, or clear that of a backup that has died."""
    partial.mkdir(mode=0o700, exist_ok=True)
    strangers = sorted({each.name for each in partial.iterdir()} - _OURS)
    if strangers:
        message = f"{partial} is in the way: it holds {strangers[0]!r}; move it, or name another"
        raise StoreFormatError(message)
    lock = DirectoryLock(partial)
    shutil.rmtree(partial / DATABASE, ignore_errors=True)
    for name in _OURS - {LOCK_FILE, DATABASE}:
        (partial / name).unlink(missing_ok=True)
    return lock


def _fill(source: Path, partial: Path, path: Path) -> BackupInfo:
    tide = read_tide_mark(source / TIDE_FILE)
    database = partial / DATABASE
    if source.stat().st_dev == partial.stat().st_dev or not _copy_linked(source, database):
        _take_files(source, database)
    create_tide_mark(partial / TIDE_FILE)
    mark = TideMark(partial / TIDE_FILE)
    try:
        mark.record(tide.sequence, epoch=tide.epoch)
        stamp_directory(partial)
        mark.record(_look_at(partial, source))
    finally:
        mark.close()
    return _settle(source, partial, path)


def _copy_linked(source: Path, into: Path) -> bool:
    """Copy a database by way of links beside the original.

    False, with nothing copied: its disk is full or for reading only, or takes no links. Then nobody
    is likely to write to it either, and its files can be copied from where they are.
    """
    with contextlib.ExitStack() as stack:
        try:
            links = stack.enter_context(staging(source)) / DATABASE
            _take_files(source, links, links_only=True)
        except OSError as error:
            if error.errno not in _NO_ROOM | _NO_LINKS:
                raise
            return False
        shutil.copytree(links, into)
        return True


def _take_files(source: Path, into: Path, *, links_only: bool = False) -> None:
    """Link or copy the files of a database that somebody may be writing to.

    With ``links_only``, what can be large is linked, logs too, or that is an error.
    """
    database = source / DATABASE
    for _ in range(TRIES_MAX):
        before = find_manifest(database)
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(mode=0o700)
        if before is None:
            continue
        # Logs in order, and last: where a later one is there, those before it are whole.
        for name in sorted((each.name for each in database.iterdir()), key=_in_order):
            with contextlib.suppress(FileNotFoundError):
                is_table = Path(name).suffix in _LINKED
                if links_only and (is_table or name.endswith(".log")):
                    (into / name).hardlink_to(database / name)
                elif is_table:
                    _link(database / name, into / name)
                elif name.startswith(_COPIED) or name.endswith(".log"):
                    shutil.copyfile(database / name, into / name)
        if before == find_manifest(database):
            return
    if find_manifest(database) is None:
        message = f"{database} cannot be backed up: its CURRENT names no manifest that is there"
        raise StoreDamagedError(message)
    message = f"{source} changes faster than it can be copied; stop what writes to it, or wait"
    raise StoreFailedError(message)


def _in_order(name: str) -> tuple[bool, int, str]:
    stem, _, suffix = name.partition(".")
    is_log = suffix == "log"
    return is_log, int(stem) if is_log and stem.isdecimal() else 0, name


def _link(file: Path, name: Path) -> None:
    try:
        name.hardlink_to(file)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(file, name)


def _look_at(partial: Path, source: Path) -> int:
    """How far the copy goes, which is no less than what was acknowledged."""
    try:
        view = DirectoryView(partial, holds_still=True)
    except (StoreDamagedError, StoreFailedError) as error:
        message = (
            f"{source} cannot be backed up: {error.message.replace(str(partial), str(source))}"
        )
        raise type(error)(message) from error
    sequence = view.sequence
    view.close()
    return sequence


def _settle(source: Path, partial: Path, path: Path) -> BackupInfo:
    """Make all of it durable, and the owner's."""
    owner, size, shared = source.stat(), 0, 0
    for folder in (partial / DATABASE, partial):
        for file in folder.iterdir():
            if file.is_file():
                status = file.stat()
                size += status.st_size
                if status.st_nlink > 1:
                    shared += status.st_size
                sync_file(file)
            _give(file, owner)
        sync_directory(folder)
    _give(partial, owner)
    return BackupInfo(path=path, size_bytes=size, shared_bytes=shared)


def _give(file: Path, owner: os.stat_result) -> None:
    """What root has copied belongs to whoever has the original."""
    status = file.stat()
    if (status.st_uid, status.st_gid) != (owner.st_uid, owner.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(file, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except shutil.Error as error:
        message = f"the backup {path} cannot be made: {error.args[0][0][2]}"
        raise StoreFailedError(message) from error
    except OSError as error:
        # Of the original or of the copy: the name of the file tells.
        where = f" ({error.filename})" if error.filename else ""
        message = f"the backup {path} cannot be made: {error.strerror or error}{where}"
        if error.errno in _FULL:
            message = f"{message}; free some space, or name another disk"
            raise StoreFullError(message) from error
        raise StoreFailedError(message) from error
