"""``holdfast awakeables``: who waits for somebody outside, and answering them."""

import json
from typing import Any, Final

import click

from ..client.client import Client
from ..later import Commands
from ..objects.identity import parse_awakeable_id
from .connection import asks_server, connect
from .ids import check_json_value
from .printing import ago, now, print_json, print_table
from .rows import check_service, where

_STANDS: Final = "unchanged: it was completed before, and that stands"

_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Commands)
def awakeables() -> None:
    """What handlers wait for that somebody outside will say."""


@awakeables.command("list")
@click.option("--service", help="Only those of this class.")
@click.option("--key", help="Only those of objects with this key.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@_json
@asks_server
def list_(
    *, service: str | None, key: str | None, limit: int, as_json: bool, **server: Any
) -> None:
    """The open ones, those of older invocations first."""
    filters = {"service_name": service, "service_key": key}
    query = (
        f"SELECT * FROM sys_awakeable{where(filters)} "  # noqa: S608  # values are quoted
        f"ORDER BY created_at, id LIMIT {limit}"
    )

    async def ask(client: Client) -> list[dict[str, Any]]:
        rows = await client.sql(query)
        if not rows:
            await check_service(client, service)
        return rows

    rows = connect(server, ask)
    if as_json:
        print_json(rows)
        return
    moment = now()
    print_table(
        ("id", "waits", "created", "deadline", "message"),
        [
            (
                row["id"],
                _waits(row),
                ago(row.get("created_at"), moment),
                ago(row.get("expires_at"), moment),
                row.get("message"),
            )
            for row in rows
        ],
        empty="no open awakeables",
    )


@awakeables.command()
@click.argument("id_", metavar="ID")
@click.argument("value", default="null")
@asks_server
def resolve(*, id_: str, value: str, **server: Any) -> None:
    """Give one its VALUE, which is JSON: 5, true, '"a text"', '{"ok": true}'."""
    parse_awakeable_id(id_)
    parsed = json.loads(check_json_value("VALUE", value))
    is_new = connect(server, lambda client: client.resolve_awakeable(id_, parsed))
    click.echo(f"{id_}  {'resolved' if is_new else _STANDS}")


@awakeables.command()
@click.argument("id_", metavar="ID")
@click.argument("reason")
@asks_server
def reject(*, id_: str, reason: str, **server: Any) -> None:
    """Have whoever waits for it fail, and say why."""
    parse_awakeable_id(id_)
    is_new = connect(server, lambda client: client.reject_awakeable(id_, reason))
    click.echo(f"{id_}  {'rejected' if is_new else _STANDS}")


def _waits(row: dict[str, Any]) -> str:
    names = (row.get("service_name"), row.get("service_key"), row.get("handler_name"))
    return "/".join(str(name) for name in names if name is not None)
