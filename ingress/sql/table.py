"""What a table is: columns, and how its rows are found. Knows no database."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...objects.moments import moment_of
from ...runtime.views.rows import Rows

Kind = Literal["TEXT", "INTEGER", "BOOLEAN", "BLOB"]
Value = str | int | bytes | None
Given = Mapping[str, str]
"""Columns whose value a query names; only those of one of the table's ``lookups``."""

NOT = "not "
"""In front of a column in a lookup: a query says which value it does not have."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``get`` takes one of what the table's ``find`` yields."""

    name: str
    get: Callable[[Any], Value]
    kind: Kind = "TEXT"


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: as queries say it.
        about: one sentence, for the documentation.
        columns: in their order.
        find: the rows in question; it must yield all that fit what is given, and may yield more.
        identity: columns of which no two rows have the same. SQLite walks a table several times
            for an OR or an outer join, and tells by them which rows it has seen.
        lookups: columns by which rows are found without reading the others, the best first; see
            ``NOT``.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    find: Callable[[Rows, Given], Iterator[Any]]
    identity: tuple[str, ...]
    lookups: tuple[tuple[str, ...], ...] = ()


def time_text(time_ms: int | None) -> str | None:
    """``2026-01-31T12:34:56.789Z``."""
    if not time_ms:
        return None
    return moment_of(time_ms).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
