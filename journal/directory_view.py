"""A data directory read as it was at one moment, whoever has it open.

RocksDB can open a database for reading beside a process that writes to it, but what it then shows
may never have been: between its reading of the manifest, which lists the tables, and of the logs,
the writer may have moved a log into a new table and deleted it. Of 109 such views of a busy store
21 lacked rows or showed old ones, without an error. So a view counts only if the manifest is the
same after it was opened as before; then no log that it needs was deleted meanwhile. The tables it
needs it has open, so the writer may delete them at any later time.

    open := read the tide mark, then the name and the length of the manifest
            link every file of the database into a directory of our own
            open that for reading, all tables at once
            the manifest is another one, or longer: begin again
            refuse if it ends below the tide mark, or the log has a hole

The links are there because rocksdict writes a file beside the database, even for a reader. In the
data directory nothing is written, locked or touched.
"""

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from rocksdict import AccessType, DBRecoveryMode, Options, Rdict

from ..objects.errors import StoreDamagedError, StoreFailedError
from .data_directory import DATABASE, check_is_data_directory, explained_errors
from .log_files import find_manifest, inspect_logs
from .rocks_reading import (
    DAMAGE_SIGNS,
    Row,
    bounded_cursor,
    forget_cursor,
    read_slice,
    scan_in_slices,
)
from .tide_mark import TIDE_FILE, read_tide_mark

TRIES_MAX = 200
"""How often to begin again; a writer changes its manifest once in a second at the very most."""

TRIES_OF_ONE_MAX = 3
"""How often to try while nothing changes: then it is no writer that stands in the way."""

_SUFFIXES = frozenset({".log", ".sst", ".blob"})
_NAMES = frozenset({"CURRENT", "IDENTITY"})


class DirectoryView:
    """The rows of a data directory as they were when this was made; implements ``StoreView``.

    What it shows was written, not necessarily durable. It may be read in any one thread at a time.
    """

    def __init__(self, data_dir: str | os.PathLike[str], *, holds_still: bool = False) -> None:
        """Look at ``data_dir``, which another process may have open.

        Args:
            data_dir: where.
            holds_still: whether nobody changes it before ``close``. Its tables are then opened as
                they are needed; otherwise all are open until then, and each takes a descriptor.

        Raises:
            StoreFormatError: it is no data directory, one of another format, or one that was never
                opened.
            StoreDamagedError: it holds less than was acknowledged, or a file in it is damaged.
            StoreFailedError: it cannot be read, or its writer never left it alone for long enough.
        """
        self.path = Path(os.path.realpath(data_dir))
        self._database = self.path / DATABASE
        self._db: Rdict | None = None
        self._epoch = 0
        # As many tables as may be open; -1 for all of them, whatever becomes of their files.
        self._open_files_max = 64 if holds_still else -1
        self._links: tempfile.TemporaryDirectory[str] | None = None
        # Where they were last; errors speak of the files that they led to.
        self._linked = ""
        with explained_errors(self.path):
            check_is_data_directory(self.path, data_dir)
            self._open()

    def get(self, key: bytes) -> bytes | None:
        """As ``StoreView.get``."""
        try:
            value: bytes | None = self._opened().get(key)
        except Exception as cause:  # noqa: BLE001  # RocksDB's may be of any class
            self._fail(cause)
        return value

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Row]:
        """As ``StoreView.scan``."""
        read = partial(self._read, reverse=reverse)
        return scan_in_slices(read, start, end, reverse=reverse)

    @property
    def sequence(self) -> int:
        """RocksDB's number of the last change that is shown."""
        return self._opened().latest_sequence_number()

    @property
    def epoch(self) -> int:
        """How often the directory had been opened."""
        return self._epoch

    def close(self) -> None:
        """As ``StoreView.close``. May be called twice."""
        db, self._db = self._db, None
        if db is not None:
            db.close()
        if self._links is not None:
            self._links.cleanup()
            self._links = None

    def _read(
        self, start: bytes, end: bytes | None, rows_max: int, *, reverse: bool
    ) -> tuple[list[Row], bool]:
        try:
            return read_slice(
                bounded_cursor(self._opened(), end), start, end, reverse=reverse, rows_max=rows_max
            )
        except Exception as cause:  # noqa: BLE001  # RocksDB's may be of any class
            forget_cursor(cause)
            self._fail(cause)

    def _opened(self) -> Rdict:
        if self._db is None:
            message = f"{self.path}: the view of it was closed"
            raise StoreFailedError(message)
        return self._db

    # -- Opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        unchanged = 0
        cause: Exception | None = None
        for _ in range(TRIES_MAX):
            before = find_manifest(self._database)
            cause = None
            try:
                self._open_once()
            except StoreDamagedError as error:
                # It says what is wrong, if that is still so when nothing has changed meanwhile.
                cause = error
            except Exception as error:  # noqa: BLE001  # RocksDB's may be of any class
                cause = error
            if cause is None and before is not None and before == find_manifest(self._database):
                return
            self.close()
            unchanged = unchanged + 1 if before == find_manifest(self._database) else 0
            if unchanged == TRIES_OF_ONE_MAX:
                self._fail(cause)
        message = f"{self.path} changes faster than it can be read; stop what writes to it, or wait"
        raise StoreFailedError(message) from cause

    def _open_once(self) -> None:
        tide = read_tide_mark(self.path / TIDE_FILE)
        self._epoch = tide.epoch
        self._links = tempfile.TemporaryDirectory(prefix="holdfast-view-")
        self._linked = self._links.name
        linked = Path(self._linked)
        for entry in os.scandir(self._database):
            name = entry.name
            if name in _NAMES or name.startswith("MANIFEST-") or Path(name).suffix in _SUFFIXES:
                (linked / name).symlink_to(entry.path)
        options = _options(self._open_files_max)
        access = AccessType.read_only(error_if_log_file_exist=False)
        self._db = Rdict(str(linked), options, {"default": options}, access)
        sequence = self._db.latest_sequence_number()
        if sequence < tide.sequence:
            message = (
                f"{self.path} has lost acknowledged data: it can be read up to sequence number "
                f"{sequence}, and everything up to {tide.sequence} was durable"
            )
            raise StoreDamagedError(message)
        hole = inspect_logs(linked).hole
        if hole is not None:
            message = f"{hole}; a start removes what follows, so start it once before this"
            raise StoreDamagedError(message)

    def _fail(self, cause: Exception | None) -> NoReturn:
        if isinstance(cause, StoreDamagedError | StoreFailedError):
            raise type(cause)(self._unlink(cause.message)) from cause
        message = self._unlink(f"{self.path} cannot be read: {cause}")
        if any(sign in str(cause) for sign in DAMAGE_SIGNS):
            raise StoreDamagedError(message) from cause
        raise StoreFailedError(message) from cause

    def _unlink(self, text: str) -> str:
        """The same about the files of the database; nobody finds the links any more."""
        return text.replace(self._linked, str(self._database)) if self._linked else text


def _options(open_files_max: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create_if_missing=False)
    options.set_paranoid_checks(enabled=True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_max_open_files(open_files_max)
    options.set_skip_stats_update_on_db_open(skip=True)
    # More than any log holds: a reader must not write tables.
    options.set_write_buffer_size(1 << 30)
    return options
