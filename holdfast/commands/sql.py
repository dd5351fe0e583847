"""``holdfast sql``: a query over what a server, or a data directory, holds."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from ..ingress.sql.pace import Pace
from ..ingress.sql.query import QueryLimits, run_query
from ..journal.directory_view import DirectoryView
from ..loading import load_target
from ..objects.errors import NotReachedError
from ..objects.registry import Registry
from ..runtime.views.rows import Rows
from .connection import asks_server, connect
from .files import read_failures_told
from .printing import print_json, print_table


@click.command()
@click.argument("query")
@click.argument("target", required=False)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Read this data directory instead of asking a server. It changes nothing there, and works "
    "beside a server as well as without one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as one JSON document.")
@asks_server
def sql(*, query: str, target: str | None, data: Path | None, as_json: bool, **server: Any) -> None:
    """Answer QUERY, one SELECT of SQLite's SQL, from a running server, or from --data DIR.

    With --data a server is never asked, without it no directory is read. A directory does not say
    which classes are served: TARGET, a .py file or a module, may.

    Tables: sys_invocation, sys_journal, sys_journal_events, state, sys_inbox, sys_promise,
    sys_service, sys_keyed_service_status, sys_awakeable, sys_timer, sys_step, sys_limit.
    """
    if data is not None:
        rows = _read_directory(data, query, () if target is None else load_target(target).classes)
    elif target is None:
        rows = _ask_server(server, query)
    else:
        message = f"{target} says which classes a directory is of: name that with --data DIR"
        raise click.UsageError(message)
    if as_json:
        print_json(rows)
    else:
        _print_rows(rows)


def _ask_server(server: dict[str, Any], query: str) -> list[dict[str, Any]]:
    try:
        return connect(server, lambda client: client.sql(query))
    except click.ClickException as error:
        if not isinstance(error.__cause__, NotReachedError):
            raise
        message = f"{error.message}, or read its directory with --data DIR"
        raise click.ClickException(message) from error.__cause__


def _read_directory(data: Path, query: str, classes: Iterable[type]) -> list[dict[str, Any]]:
    limits = QueryLimits()
    with read_failures_told(), closing(DirectoryView(data)) as view:
        # How a runtime is configured a directory does not say.
        rows = Rows(view, Registry(classes))
        return list(run_query(rows, query, Pace(limits.seconds_max, rests=False), limits))


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print_table(columns, [[row.get(name) for name in columns] for row in rows], empty="no rows")
