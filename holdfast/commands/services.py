"""``holdfast services``: what a server serves."""

from typing import Any, Final

import click

from ..client.client import Client
from ..later import Commands
from .connection import asks_server, connect
from .printing import print_fields, print_json, print_table
from .rows import describe_unknown

_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SHOWN: Final = ("name", "ty", "public", "idempotency_retention", "journal_retention")


@click.group(cls=Commands)
def services() -> None:
    """The classes that a server serves."""


@services.command("list")
@_json
@asks_server
def list_(*, as_json: bool, **server: Any) -> None:
    """All of them, with their handlers."""
    found = connect(server, _ask)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "kind", "handlers"),
        [(each["name"], each["ty"], _handlers(each)) for each in found],
        empty="no classes",
    )


@services.command()
@click.argument("name")
@_json
@asks_server
def describe(*, name: str, as_json: bool, **server: Any) -> None:
    """One of them: its handlers, what these take and give, and how long what is kept."""
    found = connect(server, _ask)
    service = next((each for each in found if each["name"] == name), None)
    if service is None:
        known = [str(each["name"]) for each in found]
        raise click.ClickException(describe_unknown("class", name, known))
    if as_json:
        print_json(service)
        return
    print_fields({key: service.get(key) for key in _SHOWN})
    click.echo("\nhandlers")
    print_table(
        ("name", "kind", "takes", "gives"),
        [
            (
                each["name"],
                each.get("ty"),
                each.get("input_description"),
                each.get("output_description"),
            )
            for each in service["handlers"]
        ],
    )


async def _ask(client: Client) -> list[dict[str, Any]]:
    return await client.operators.services()


def _handlers(service: dict[str, Any]) -> str:
    return ", ".join(str(each["name"]) for each in service["handlers"])
