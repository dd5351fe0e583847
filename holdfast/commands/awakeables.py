"""``holdfast awakeables``: who waits for somebody outside, and answering them."""

import json
from typing import Any

import click

from ..objects.identity import parse_awakeable_id
from .connection import asks_server, connect


@click.group()
def awakeables() -> None:
    """What handlers wait for that somebody outside will say."""


@awakeables.command()
@click.argument("id_", metavar="ID")
@click.argument("value", default="null")
@asks_server
def resolve(*, id_: str, value: str, **server: Any) -> None:
    """Give one its VALUE, which is JSON: 5, true, '"a text"', '{"ok": true}'."""
    parse_awakeable_id(id_)
    try:
        parsed = json.loads(value)
    except ValueError as error:
        message = f"VALUE is JSON, and {value!r:.80} is none ({error}); a text is written '\"so\"'"
        raise click.UsageError(message) from error
    connect(server, lambda client: client.resolve_awakeable(id_, parsed))
    click.echo(f"{id_}  resolved")


@awakeables.command()
@click.argument("id_", metavar="ID")
@click.argument("reason")
@asks_server
def reject(*, id_: str, reason: str, **server: Any) -> None:
    """Have whoever waits for it fail, and say why."""
    parse_awakeable_id(id_)
    connect(server, lambda client: client.reject_awakeable(id_, reason))
    click.echo(f"{id_}  rejected")
