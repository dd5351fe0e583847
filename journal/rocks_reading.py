"""Reading rows out of RocksDB: in slices, to the end or to an error, never early in silence.

The store and its views read alike; what differs is what they read from. Nothing of RocksDB is held
between two slices.
"""

import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rocksdict import Rdict, RdictIter, ReadOptions

from ..objects.errors import StoreDamagedError, StoreFailedError

# A scan reads this many rows first and ever more after that: most scans want one or a few, and
# reading on may mean stepping over a million deleted rows that nobody asked about.
_SCAN_ROWS_FIRST = 8
_SCAN_ROWS_MAX = 512
_SCAN_BYTES_MAX = 1 << 20

DAMAGE_SIGNS = ("Corruption", "No such file", "does not exist")
"""What RocksDB says, as it opens a database, of files that are damaged or gone."""

Row = tuple[bytes, bytes]
ReadSlice = Callable[[bytes, bytes | None, int], tuple[list[Row], bool]]
"""Start, end and how many rows at most: the next rows, and whether they are the last."""


def scan_in_slices(
    read: ReadSlice, start: bytes, end: bytes | None, *, reverse: bool
) -> Iterator[Row]:
    """All rows with ``start <= key < end``, last first if ``reverse``, by ever longer slices."""
    rows_max = _SCAN_ROWS_FIRST
    while True:
        rows, is_last = read(start, end, rows_max)
        yield from rows
        if is_last:
            return
        last_key = rows[-1][0]
        if reverse:
            end = last_key
        else:
            start = last_key + b"\0"
        rows_max = min(rows_max * 4, _SCAN_ROWS_MAX)


def bounded_cursor(db: Rdict, end: bytes | None) -> RdictIter:
    """A cursor for rows before ``end``, which must live as long as the cursor does.

    RocksDB must know the bound: it would otherwise look for the first row behind it, past however
    many deleted ones. Its lower bound cannot be set: rocksdict 0.3.29 sets the upper one instead.
    """
    options = ReadOptions()
    if end is not None:
        options.set_iterate_upper_bound(end)
    return db.iter(options)


def read_slice(
    cursor: RdictIter, start: bytes, end: bytes | None, *, reverse: bool, rows_max: int
) -> tuple[list[Row], bool]:
    """The next rows of a scan, and whether they are its last; raises whatever RocksDB does."""
    rows: list[Row] = []
    size = 0
    if not reverse:
        cursor.seek(start)
        advance = cursor.next
    else:
        advance = cursor.prev
        if end is None:
            cursor.seek_to_last()
        else:
            cursor.seek_for_prev(end)
            if cursor.valid() and cursor.key() == end:
                cursor.prev()
    while cursor.valid():
        key = cursor.key()
        if key < start or (end is not None and key >= end):
            return rows, True
        value = cursor.value()
        rows.append((key, value))
        size += len(value)
        if len(rows) == rows_max or size >= _SCAN_BYTES_MAX:
            return rows, False
        advance()
    # A cursor becomes invalid at the end and at damage alike; only this tells.
    cursor.status()
    return rows, True


def forget_cursor(error: BaseException) -> None:
    """Let go of the cursor that reading failed with.

    An error keeps the frames it came through, and a runtime keeps the error it stopped with. A
    cursor in one of them would keep the database open, with RocksDB's own lock on it, after the
    store is closed; whoever starts again in the same process would be refused.
    """
    traceback.clear_frames(error.__traceback__)


class RocksView:
    """A ``StoreView`` of a RocksDB: one cursor, which shows the moment at which it was made.

    Not a snapshot of rocksdict's: those read rows of before by key, but scan those of now (0.3.29).
    """

    def __init__(
        self, path: Path, cursor: RdictIter, forget: Callable[["RocksView"], None]
    ) -> None:
        """Read by ``cursor``; ``forget`` is called once, when the view is closed."""
        self._path = path
        self._forget = forget
        # Held while the cursor is used, so that ``close`` waits for one slice and no longer.
        self._reading = threading.Lock()
        self._cursor: RdictIter | None = cursor

    def get(self, key: bytes) -> bytes | None:
        """See ``StoreView.get``."""
        rows, _ = self._read(key, key + b"\0", 1, reverse=False)
        return rows[0][1] if rows else None

    def scan(self, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Row]:
        """See ``StoreView.scan``."""
        read = partial(self._read, reverse=reverse)
        return scan_in_slices(read, start, end, reverse=reverse)

    def close(self) -> None:
        """See ``StoreView.close``."""
        with self._reading:
            was_open, self._cursor = self._cursor is not None, None
        if was_open:
            self._forget(self)

    def _read(
        self, start: bytes, end: bytes | None, rows_max: int, *, reverse: bool
    ) -> tuple[list[Row], bool]:
        with self._reading:
            if self._cursor is None:
                message = f"{self._path}: the view of it was closed"
                raise StoreFailedError(message)
            try:
                return read_slice(self._cursor, start, end, reverse=reverse, rows_max=rows_max)
            except Exception as cause:
                forget_cursor(cause)
                message = f"{self._path}: reading a view failed: {cause}"
                if "Corruption" in str(cause):
                    raise StoreDamagedError(message) from cause
                raise StoreFailedError(message) from cause
