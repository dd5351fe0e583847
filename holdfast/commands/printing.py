"""How answers look: aligned tables for people, one JSON document for programs.

Nothing here writes colour, so that a table in a file is the table that was seen. Text of others is
printed without the characters that would move the cursor.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from ..objects.identity import printable

_CELL_MAX: Final = 60
_GAP: Final = "  "
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def print_json(value: Any) -> None:
    """Print ``value`` as one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "none"
) -> None:
    """Print rows under their heads; ``empty`` where there are none.

    On a terminal the last column is cut where the line ends.
    """
    if not rows:
        click.echo(empty)
        return
    cells = [[show(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in ([name.upper() for name in columns], *cells):
        padded = _GAP.join(
            cell.ljust(size) for cell, size in zip(line, widths, strict=True)
        ).rstrip()
        click.echo(padded if width is None else cut(padded, width))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values, a line each, but for those without a value."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    width = max(map(len, given), default=0)
    for name, value in given.items():
        click.echo(f"{name.ljust(width)}{_GAP}{printable(str(value))}")


def show(value: Any) -> str:
    """One cell of a table: nothing for ``None``, and no more than a line."""
    return "" if value is None else cut(printable(str(value)), _CELL_MAX)


def cut(text: str, width: int) -> str:
    """``text``, or its beginning and an ellipsis where it is longer."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def ago(moment: str | None, now: datetime) -> str:
    """``3m ago``, ``in 2h``: how far a time of the server's is from ``now``."""
    parsed = parse_time(moment)
    if parsed is None:
        return ""
    seconds = round((now - parsed) / timedelta(seconds=1))
    size = abs(seconds)
    unit, length = next((each for each in _UNITS if size >= each[1]), ("s", 1))
    amount = f"{size // length}{unit}"
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def parse_time(text: str | None) -> datetime | None:
    """A time as servers write it, ``2026-01-31T12:34:56.789000000Z``; ``None`` where it is none."""
    if not text:
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.fromisoformat(whole)
        micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) + timedelta(microseconds=micros)


def now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)
