"""SQLite around the tables: an empty database in memory that can only be read from.

A query gets a database of its own: an authorizer lets it select and
nothing else, and what SQLite itself may grow to is bounded.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import apsw

from .functions import FORBIDDEN, PATTERN_MAX, instr, make_trim, unhex
from .functions import replace as replace_text
from .invocation_tables import (
    SYS_AWAKEABLE,
    SYS_INVOCATION,
    SYS_JOURNAL,
    SYS_JOURNAL_EVENTS,
    SYS_STEP,
    SYS_TIMER,
)
from .object_tables import (
    STATE,
    SYS_INBOX,
    SYS_KEYED_SERVICE_STATUS,
    SYS_LIMIT,
    SYS_PROMISE,
    SYS_SERVICE,
)
from .table import NOT
from .temporary import TEMPORARY_BYTES_MAX, TemporaryFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from ...runtime.views.rows import Rows
    from .table import Table

TABLES = (
    SYS_INVOCATION,
    SYS_JOURNAL,
    SYS_JOURNAL_EVENTS,
    STATE,
    SYS_INBOX,
    SYS_PROMISE,
    SYS_SERVICE,
    SYS_KEYED_SERVICE_STATUS,
    SYS_AWAKEABLE,
    SYS_TIMER,
    SYS_STEP,
    SYS_LIMIT,
)

_TEXT_BYTES_MAX = 64 << 20
_LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: _TEXT_BYTES_MAX,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 64 << 10,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 100,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    apsw.SQLITE_LIMIT_VDBE_OP: 100_000,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: PATTERN_MAX,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_OPERATIONS_PER_LOOK = 100
"""Instructions of SQLite between two looks at the time. With values of many megabytes, one of them
may take a tenth of a second."""

_ALLOWED = {
    apsw.SQLITE_SELECT,
    apsw.SQLITE_READ,
    apsw.SQLITE_RECURSIVE,
}
_HARMLESS_PRAGMAS = {"table_info", "table_xinfo"}
"""They say which columns a table has."""
_SIGNS = {apsw.SQLITE_INDEX_CONSTRAINT_EQ: "", apsw.SQLITE_INDEX_CONSTRAINT_NE: NOT}
# Full scans are so much dearer than lookups that any lookup is taken.
_SCAN_COST, _LOOKUP_COST = 1e9, 10.0


@contextmanager
def open_database(
    rows: Rows,
    tick: Callable[[], None],
    look: Callable[[], None],
    temporary_bytes_max: int = TEMPORARY_BYTES_MAX,
) -> Generator[apsw.Connection]:
    """A database whose tables show ``rows``, until the block ends.

    ``tick`` is called for each row of the store that is read, and ``look`` now and then, whether or
    not any is.

    What they raise ends the query and is raised by it.
    """
    files = TemporaryFiles(temporary_bytes_max)
    database = apsw.Connection(":memory:", vfs=files.name)
    try:
        _furnish(database, rows, tick, look)
        yield database
    finally:
        database.close(force=True)
        files.unregister()


def _furnish(
    database: apsw.Connection, rows: Rows, tick: Callable[[], None], look: Callable[[], None]
) -> None:
    """Tables, functions and bounds."""
    ticking = replace(rows, tick=tick)
    for limit, most in _LIMITS.items():
        database.limit(limit, most)
    for table in TABLES:
        database.create_module(
            table.name,
            cast("Any", _Module(table, ticking)),  # it is never created, only connected to
            use_bestindex_object=True,
            eponymous_only=True,
            read_only=True,
        )

    shorter = partial(replace_text, size_max=_TEXT_BYTES_MAX)
    add_function: Any = cast("Any", database).create_scalar_function  # its stubs know no bytes
    add_function("instr", instr, 2, deterministic=True)
    add_function("replace", shorter, 3, deterministic=True)
    add_function("unhex", unhex, 2, deterministic=True)
    for name in ("trim", "ltrim", "rtrim"):
        add_function(name, make_trim(name), 2, deterministic=True)

    def keep_time() -> bool:
        look()
        return False

    database.set_progress_handler(keep_time, _OPERATIONS_PER_LOOK)
    database.authorizer = _authorize


def _authorize(
    action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    if action in _ALLOWED:
        return apsw.SQLITE_OK
    if action == apsw.SQLITE_PRAGMA and first in _HARMLESS_PRAGMAS:
        return apsw.SQLITE_OK
    if action == apsw.SQLITE_FUNCTION and second not in FORBIDDEN:
        return apsw.SQLITE_OK
    return apsw.SQLITE_DENY


class _Module:
    """One table, for SQLite."""

    def __init__(self, table: Table, rows: Rows) -> None:
        self._table = table
        self._rows = rows

    def Connect(self, *_: Any) -> tuple[str, _Connected]:  # noqa: N802  # as apsw calls it
        columns = ", ".join(f'"{each.name}" {each.kind}' for each in self._table.columns)
        identity = ", ".join(f'"{each}"' for each in self._table.identity)
        schema = f"CREATE TABLE ignored({columns}, PRIMARY KEY ({identity})) WITHOUT ROWID"
        return schema, _Connected(self._table, self._rows)


class _Connected:
    """One table of one database."""

    def __init__(self, table: Table, rows: Rows) -> None:
        self._table = table
        self._rows = rows
        self._names = {number: each.name for number, each in enumerate(table.columns)}

    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:  # noqa: N802
        named = {
            _SIGNS[index.get_aConstraint_op(number)]
            + self._names.get(index.get_aConstraint_iColumn(number), ""): number
            for number in range(index.nConstraint)
            if index.get_aConstraint_usable(number)
            and index.get_aConstraint_op(number) in _SIGNS
            and index.get_aConstraint_collation(number) == "BINARY"
        }
        for lookup in self._table.lookups:
            if all(column in named for column in lookup):
                for argument, column in enumerate(lookup, start=1):
                    # Not told to leave out its own check: it knows better what is equal.
                    index.set_aConstraintUsage_argvIndex(named[column], argument)
                index.idxStr = ",".join(lookup)
                index.estimatedCost = _LOOKUP_COST / len(lookup)
                return True
        index.estimatedCost = _SCAN_COST
        return True

    def Open(self) -> _Cursor:  # noqa: N802
        return _Cursor(self._table, self._rows)

    def Disconnect(self) -> None:  # noqa: N802
        pass

    Destroy = Disconnect


class _Cursor:
    """A walk over the rows of one table."""

    def __init__(self, table: Table, rows: Rows) -> None:
        self._table = table
        self._columns = [each.get for each in table.columns]
        self._rows = rows
        self._found: Iterator[Any] = iter(())
        # The row in question; None behind the last one.
        self._row: Any = None

    def Filter(self, _: int, lookup: str | None, values: tuple[Any, ...]) -> None:  # noqa: N802
        given = dict(zip((lookup or "").split(","), values, strict=False))
        # What is no text may still be equal to one by SQLite's rules: then all rows are read.
        if not all(isinstance(value, str) for value in given.values()):
            given = {}
        self._found = self._table.find(self._rows, given)
        self.Next()

    def Next(self) -> None:  # noqa: N802
        self._row = next(self._found, None)

    def Eof(self) -> bool:  # noqa: N802
        return self._row is None

    def Column(self, number: int) -> Any:  # noqa: N802
        return self._columns[number](self._row)

    def Close(self) -> None:  # noqa: N802
        self._found = iter(())
