"""``holdfast state``: what an object holds."""

from typing import Any

import click

from .connection import asks_server, connect
from .printing import print_json


@click.group()
def state() -> None:
    """What objects hold."""


@state.command()
@click.argument("service")
@click.argument("key")
@click.argument("name", required=False)
@click.option("--at", metavar="ID", help="As this invocation of the object left it.")
@asks_server
def get(*, service: str, key: str, name: str | None, at: str | None, **server: Any) -> None:
    """Print what the object of class SERVICE at KEY holds, or one field of it, as JSON."""
    values = connect(server, lambda client: client.state(service, key, at=at))
    if name is None:
        print_json(dict(values))
        return
    if name not in values:
        there_is = ", ".join(sorted(values)) or "nothing"
        message = f"{service}/{key} has stored nothing as {name!r:.80}; it has stored {there_is}"
        raise click.ClickException(message)
    print_json(values[name])
