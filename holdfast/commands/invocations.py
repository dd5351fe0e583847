"""``holdfast invocations``: list, describe, and tell what to do."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, cast, get_args

import click

from ..client.client import Client
from ..client.remote_invocation import RemoteInvocation
from ..later import Commands
from ..objects.errors import HoldfastError, NotKeptError, TerminalError
from ..objects.identity import Target, parse_invocation_id
from ..runtime.effects import EffectInfo
from ..runtime.invocation_info import AwaitedInfo, InvocationInfo, Status
from .connection import asks_server, connect
from .ids import confirm, read_ids
from .printing import ago, now, print_fields, print_json, print_table
from .rows import check_service, where

STATUSES: Final = get_args(Status)
Verb = Callable[[RemoteInvocation[Any]], Awaitable[Any]]

_ids: Final = click.argument("ids", nargs=-1, required=True, metavar="ID...")
_yes: Final = click.option("--yes", is_flag=True, help="Do not ask, also where it is several.")
_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Commands)
def invocations() -> None:
    """Calls of handlers: what they do, and what they are told to."""


@invocations.command("list")
@click.option(
    "--status", multiple=True, type=click.Choice(STATUSES), help="Only these. Repeatable."
)
@click.option("--service", help="Only calls of this class.")
@click.option("--key", help="Only calls at this key.")
@click.option("--handler", help="Only calls of this handler.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@_json
@asks_server
def list_(  # noqa: PLR0913  # one for each option
    *,
    status: tuple[str, ...],
    service: str | None,
    key: str | None,
    handler: str | None,
    limit: int,
    as_json: bool,
    **server: Any,
) -> None:
    """The newest first."""
    filters = {
        "status": status,
        "target_service_name": service,
        "target_service_key": key,
        "target_handler_name": handler,
    }
    columns = "id, target, status, created_at, retry_count, last_failure, completion_failure"
    if as_json:
        columns = "*"
    query = (
        f"SELECT {columns} FROM sys_invocation{where(filters)} "  # noqa: S608  # values are quoted
        f"ORDER BY created_at DESC, id DESC LIMIT {limit}"
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
        ("id", "target", "status", "created", "failure"),
        [
            (
                row["id"],
                row["target"],
                row["status"],
                ago(row["created_at"], moment),
                row.get("last_failure") or row.get("completion_failure"),
            )
            for row in rows
        ],
        empty="no invocations",
    )


@invocations.command()
@click.argument("id_", metavar="ID")
@_json
@asks_server
def describe(*, id_: str, as_json: bool, **server: Any) -> None:
    """All that is known of one, with its steps."""
    parse_invocation_id(id_)

    async def ask(client: Client) -> tuple[InvocationInfo, tuple[EffectInfo, ...]]:
        invocation = client.invocation(id_)
        info = await invocation.describe()
        try:
            effects = (await invocation.effects()).effects
        except NotKeptError:
            effects = ()  # It is completed, and how it came to its outcome is not kept.
        return info, effects

    info, effects = connect(server, ask)
    if as_json:
        print_json(_as_json(info) | {"effects": [_as_json(each) for each in effects]})
        return
    print_fields({name: value for name, value in _as_json(info).items() if name != "awaiting"})
    if info.awaiting:
        click.echo("\nwaits for")
        print_table(
            ("kind", "name", "until", "failure"),
            [
                (each.kind, _name(each), _show_value(each.until), each.last_failure)
                for each in info.awaiting
            ],
        )
    if effects:
        click.echo("\nsteps")
        print_table(
            ("index", "name", "status", "attempts", "failure"),
            [
                (each.index, each.name, each.status, each.attempts, each.last_failure)
                for each in effects
            ],
        )


def _as_json(value: Any) -> dict[str, Any]:
    """The fields of a value that say something, as JSON would have them."""
    said = {field.name: _show_value(getattr(value, field.name)) for field in fields(value)}
    return {name: each for name, each in said.items() if each not in (None, "", False)}


def _show_value(value: object) -> object:
    match value:
        case TerminalError():
            return f"[{value.status_code}] {value.message}"
        case Target():
            return str(value)
        case datetime():
            return value.isoformat(timespec="milliseconds")
        case tuple():
            return [_as_json(each) for each in cast("tuple[object, ...]", value)]
        case _:
            return value


def _name(awaited: AwaitedInfo) -> str:
    return awaited.name or awaited.invocation_id or ""


_UNCHANGED: Final = {
    "cancel": "unchanged: it is over, or was canceled before",
    "kill": "unchanged: it is over",
    "pause": "unchanged: it is paused already",
    "resume": "unchanged: it is neither paused nor has it failed lately",
}
"""What is said where a verb had nothing to do; the others always have, or fail."""


def _tell_each(
    verb: str, done: str, ids: Sequence[str], server: dict[str, Any], tell: Verb
) -> None:
    """Tell all of them, and say how each took it; exits with 1 if one could not be told."""

    async def work(client: Client) -> bool:
        is_good = True
        for id_ in ids:
            try:
                changed = await tell(client.invocation(id_))
            except HoldfastError as error:
                if len(ids) == 1:
                    raise
                is_good = False
                click.echo(f"{id_}  {error.message}", err=True)
            else:
                click.echo(f"{id_}  {done if changed is not False else _UNCHANGED[verb]}")
        return is_good

    if not connect(server, work):
        message = f"{verb} did not work for all of them"
        raise click.ClickException(message)


def _verb(name: str, done: str, tell: Verb, help_: str) -> None:
    """Add a command that tells invocations something that they either were told before or not."""

    @invocations.command(name, help=help_)
    @_ids
    @_yes
    @asks_server
    def command(*, ids: tuple[str, ...], yes: bool, **server: Any) -> None:
        found = read_ids(ids, parse_invocation_id)
        confirm(name, found, is_told=yes)
        _tell_each(name, done, found, server, tell)


def _verb_with_reason(name: str, done: str, help_: str) -> None:
    @invocations.command(name, help=help_)
    @_ids
    @click.option("--reason", default="", help="Why; whoever awaits the outcome is told.")
    @_yes
    @asks_server
    def command(*, ids: tuple[str, ...], reason: str, yes: bool, **server: Any) -> None:
        found = read_ids(ids, parse_invocation_id)
        confirm(name, found, is_told=yes)
        _tell_each(name, done, found, server, lambda each: getattr(each, name)(reason))


_verb_with_reason("cancel", "canceled", "Have them clean up and end.")
_verb_with_reason("kill", "killed", "End them at once, without any clean-up.")
_verb("pause", "paused", lambda each: each.pause(), "Stop them where they are, until resumed.")
_verb("resume", "resumed", lambda each: each.resume(), "Have them tried again now.")
_verb(
    "purge",
    "purged",
    lambda each: each.purge(),
    "Forget completed ones: outcome, journal and idempotency key.",
)


@invocations.command()
@click.argument("id_", metavar="ID")
@click.option("--from-entry", type=click.IntRange(0), help="Begin before this journal entry.")
@click.option("--fork", help="With --from-entry: the key of a new object to run at.")
@asks_server
def restart(*, id_: str, from_entry: int | None, fork: str | None, **server: Any) -> None:
    """Run a completed one once more, as a new invocation; prints the id of that."""
    parse_invocation_id(id_)
    click.echo(
        connect(
            server,
            lambda client: client.invocation(id_).restart(from_entry=from_entry, fork=fork),
        )
    )


@invocations.command()
@click.argument("id_", metavar="ID")
@asks_server
def attach(*, id_: str, **server: Any) -> None:
    """Wait for the outcome of one, and print it as JSON, or the bytes where it is none.

    A failure exits with 1.
    """
    parse_invocation_id(id_)
    try:
        result = connect(server, lambda client: client.invocation(id_).attach())
    except TerminalError as error:
        message = f"{id_} failed with {error.status_code}: {error.message}"
        raise click.ClickException(message) from error
    if isinstance(result, bytes):
        click.echo(result, nl=False)
        return
    click.echo(json.dumps(result, ensure_ascii=False))
