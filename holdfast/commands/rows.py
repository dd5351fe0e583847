"""SQL of the commands: what is listed, by what, and what there is where nothing is found."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import click

from ..client.client import Client


def quote(value: str) -> str:
    """``value`` as a literal of SQL.

    Raises:
        click.ClickException: it holds a NUL, which nothing here has.
    """
    if "\0" in value:
        message = "a filter holds a NUL character, which nothing that is listed has"
        raise click.ClickException(message)
    return "'" + value.replace("'", "''") + "'"


def where(filters: Mapping[str, str | Sequence[str] | None]) -> str:
    """The condition that columns have these values, any of several; those of ``None`` count not."""
    conditions: list[str] = []
    for column, wanted in filters.items():
        values = [wanted] if isinstance(wanted, str) else list(wanted or ())
        if values:
            conditions.append(f"{column} IN ({', '.join(map(quote, values))})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


async def check_service(client: Client, name: str | None) -> None:
    """Refuse the name of a class that the server does not serve: an empty list would be no answer.

    Raises:
        click.ClickException: there is none; the message says which there are.
    """
    if name is None:
        return
    rows = await client.sql("SELECT name FROM sys_service ORDER BY name")
    names = [str(row["name"]) for row in rows]
    if name not in names:
        raise click.ClickException(describe_unknown("class", name, names))


def describe_unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """There is no such thing, and this is what there is."""
    lowered = {each.lower(): each for each in known}
    near = get_close_matches(name.lower()[:80], lowered, n=1)
    hint = f"; did you mean {lowered[near[0]]}?" if near else "."
    return f"there is no {kind} {name!r:.80}{hint} There is {', '.join(known) or 'none'}"
