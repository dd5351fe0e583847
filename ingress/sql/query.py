"""One query over the rows of one moment: its text, its rows as JSON, and what is wrong with it.

    value    text, numbers and booleans as they are; bytes as hex digits in lower case
    row      an object of the columns in their order, without those that are null

The text is SQLite's SQL. What queries for Restate say otherwise is understood: a column named
``index`` needs no quotes.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import apsw
import msgspec

from ...objects.errors import InvalidArgumentError
from ...runtime.views.rows import Rows
from .database import TABLES, open_database
from .pace import Pace
from .temporary import TEMPORARY_BYTES_MAX

__all__ = ["QueryLimits", "answer_query", "quote_index", "run_query"]

ROWS_MAX: Final = 100_000
BYTES_MAX: Final = 32 << 20
SECONDS_MAX: Final = 120.0
_TEXT_CHARACTERS_MAX: Final = 64 << 10
_MESSAGE_CHARACTERS_MAX: Final = 300
"""SQLite quotes the query, as far as it did not understand it."""

# What must not be looked into, and words. What is not closed goes to the end of the text, so that
# no text is looked through twice.
_TOKEN = re.compile(
    r"""'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)|\w+""",
    re.DOTALL,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_NO_SUCH = re.compile(r"no such (table|column): (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """How much one query may cost."""

    rows_max: int = ROWS_MAX
    bytes_max: int = BYTES_MAX
    """Of the answer as JSON."""
    seconds_max: float = SECONDS_MAX
    temporary_bytes_max: int = TEMPORARY_BYTES_MAX
    """Of what is sorted or compared at once, beyond what fits into a little memory."""


def answer_query(rows: Rows, text: str, pace: Pace, limits: QueryLimits) -> bytes:
    """``{"rows": [...]}``.

    Raises:
        InvalidArgumentError: the text is no query, or it costs too much.
        StoreFailedError, StoreDamagedError: the rows cannot be read.
    """
    encoded: list[bytes] = []
    size = 0
    for row in run_query(rows, text, pace, limits):
        encoded.append(msgspec.json.encode(row))
        size += len(encoded[-1])
        if size > limits.bytes_max:
            message = (
                f"the answer is larger than {limits.bytes_max} bytes; take fewer rows with LIMIT, "
                f"or fewer columns"
            )
            raise InvalidArgumentError(message)
    return b'{"rows":[' + b",".join(encoded) + b"]}"


def run_query(rows: Rows, text: str, pace: Pace, limits: QueryLimits) -> Iterator[dict[str, Any]]:
    """The rows of a query, one by one; raises as ``answer_query``."""
    try:
        most = limits.temporary_bytes_max
        with open_database(rows, pace.tick, pace.look, most) as database:
            for number, row in enumerate(_select(database, text)):
                if number == limits.rows_max:
                    message = f"there are more than {limits.rows_max} rows; take fewer with LIMIT"
                    raise InvalidArgumentError(message)
                yield row
    except apsw.Error as error:
        raise _explain(error) from None
    except UnicodeError:
        message = "a text of the query, or of its answer, is not Unicode"
        raise InvalidArgumentError(message) from None


def quote_index(text: str) -> str:
    """``text`` with each bare word ``index`` quoted, which SQL has no other use for in a query."""

    def quote(match: re.Match[str]) -> str:
        return f'"{match[0]}"' if match[0].lower() == "index" else match[0]

    return _TOKEN.sub(quote, text)


def _select(database: apsw.Connection, text: str) -> Iterator[dict[str, Any]]:
    if len(text) > _TEXT_CHARACTERS_MAX:
        message = f"a query has at most {_TEXT_CHARACTERS_MAX} characters"
        raise InvalidArgumentError(message)
    if not _COMMENT.sub("", text).strip(" \t\r\n;"):
        message = "the query is empty; write one, such as: SELECT * FROM sys_invocation LIMIT 10"
        raise InvalidArgumentError(message)
    if "\0" in text:
        message = "a query must not hold NUL"
        raise InvalidArgumentError(message)
    cursor: Any = database.cursor()  # what its stubs say of bindings is only partly known
    has_begun = False

    def check_single(_: object, statement: str, __: Any) -> bool:
        nonlocal has_begun
        if has_begun and _COMMENT.sub("", statement).strip():
            message = "one query at a time; what follows the first ';' was not run"
            raise InvalidArgumentError(message)
        has_begun = True
        return True

    cursor.exec_trace = check_single
    columns: list[tuple[str, bool]] | None = None
    for row in cursor.execute(quote_index(text)):
        if columns is None:
            described = cursor.get_description()
            names = _distinct([name for name, *_ in described])
            columns = [
                (name, kind == "BOOLEAN")
                for name, (_, kind, *_) in zip(names, described, strict=True)
            ]
        yield {
            name: _json_value(value, is_boolean=is_boolean)
            for (name, is_boolean), value in zip(columns, row, strict=True)
            if value is not None
        }


def _distinct(names: list[str]) -> list[str]:
    """``names``, where the second ``id`` is ``id_2``: a row is an object, and must lose nothing."""
    # To each name, the number of its last column: there may be two thousand of one name.
    found: dict[str, int] = {}
    for name in names:
        distinct, number = name, found.get(name, 1)
        while distinct in found:
            number += 1
            distinct = f"{name}_{number}"
        found[name] = number
        found.setdefault(distinct, 1)
    return list(found)


def _json_value(value: Any, *, is_boolean: bool) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no number for it.
    return bool(value) if is_boolean else value


def _explain(error: apsw.Error) -> InvalidArgumentError:
    """What is wrong with a query, for whoever wrote it."""
    text = str(error)
    if len(text) > _MESSAGE_CHARACTERS_MAX:
        text = f"{text[:_MESSAGE_CHARACTERS_MAX]}..."
    if isinstance(error, apsw.AuthError):
        text = "a query may only SELECT"
    found = _NO_SUCH.search(text)
    hint = ""
    if found is not None:
        what, name = found.groups()
        tables = [each.name for each in TABLES]
        columns = sorted({column.name for each in TABLES for column in each.columns})
        near = get_close_matches(
            name.rpartition(".")[2][:80], tables if what == "table" else columns, n=1
        )
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if what == "table" and not near:
            hint = f"; there are {', '.join(tables)}"
    return InvalidArgumentError(f"SQL error: {text}{hint}")
