"""``holdfast state``: what an object holds, and changing it."""

from typing import Any

import click
import msgspec

from ..client.client import Client
from ..client.operators import StateChange
from ..later import Commands
from ..objects.errors import TerminalError, UnknownTargetError
from .connection import asks_server, connect
from .ids import check_json_value, confirm_all
from .printing import print_json
from .rows import check_service


@click.group(cls=Commands)
def state() -> None:
    """What objects hold."""


@state.command()
@click.argument("service")
@click.argument("key")
@click.argument("name", required=False)
@click.option("--at", metavar="ID", help="As this invocation of the object left it.")
@click.option("--tag", is_flag=True, help="Print the tag of the state, for --version.")
@asks_server
def get(
    *, service: str, key: str, name: str | None, at: str | None, tag: bool, **server: Any
) -> None:
    """Print what the object of class SERVICE at KEY holds, or one field of it, as JSON."""
    if tag:
        click.echo(connect(server, lambda client: client.wait_state(service, key)).tag)
        return
    values = connect(server, lambda client: client.state(service, key, at=at))
    if name is None:
        print_json(dict(values))
        return
    if name not in values:
        there_is = ", ".join(sorted(values)) or "nothing"
        message = f"{service}/{key} has stored nothing as {name!r:.80}; it has stored {there_is}"
        raise click.ClickException(message)
    print_json(values[name])


@state.command("set")
@click.argument("service")
@click.argument("key")
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--version", help="Only if the state has this tag then; `get --tag` prints it.")
@asks_server
def set_(
    *, service: str, key: str, values: tuple[str, ...], version: str | None, **server: Any
) -> None:
    """Give fields of an object new values, which are JSON. Others stay as they are.

    It is done when it is its turn at the key, behind a call that runs or waits there.
    """
    change = StateChange(
        service=service, key=key, values=_parse(values), keeps_others=True, version=version
    )
    _change(server, change, f"{service}/{key}  set {', '.join(change.values)}")


@state.command()
@click.argument("service")
@click.argument("key")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--yes", is_flag=True, help="Do not ask before all of it is forgotten.")
@click.option("--version", help="Only if the state has this tag then.")
@asks_server
def clear(
    *,
    service: str,
    key: str,
    names: tuple[str, ...],
    yes: bool,
    version: str | None,
    **server: Any,
) -> None:
    """Have an object forget these fields, or all that it holds."""
    if not names:
        confirm_all(f"all that {service}/{key} holds", is_told=yes)
    change = StateChange(
        service=service,
        key=key,
        values={},
        clear=names,
        keeps_others=bool(names),
        version=version,
    )
    _change(server, change, f"{service}/{key}  cleared {', '.join(names) or 'all'}")


def _change(server: dict[str, Any], change: StateChange, done: str) -> None:
    """Have a state changed, and say so once it is.

    Raises:
        click.ClickException: it has another tag than it should.
    """

    async def work(client: Client) -> None:
        try:
            id_ = await client.operators.edit_state(change)
        except UnknownTargetError:
            await check_service(client, change.service)
            raise
        await client.invocation(id_).attach()

    try:
        connect(server, work)
    except TerminalError as error:
        raise click.ClickException(error.message) from error
    click.echo(done)


def _parse(values: tuple[str, ...]) -> dict[str, msgspec.Raw]:
    """The new values of the command line.

    Raises:
        click.UsageError: one is no ``name=JSON``, or a name comes twice.
    """
    parsed: dict[str, msgspec.Raw] = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not equals or not name:
            message = f"a value is written NAME=JSON, as in total=5, but this is {each!r:.80}"
            raise click.UsageError(message)
        if name in parsed:
            message = f"{name} is given two values; which is meant?"
            raise click.UsageError(message)
        parsed[name] = msgspec.Raw(check_json_value(name, value))
    return parsed
