"""Who is measured side by side: bare aiohttp, Holdfast, Restate, and DBOS on its two databases.

Everybody serves the same paths, bodies and keys, with fsync on, and runs as its own documentation
says. A peer that is not here stays in the table, with the reason.
"""

import contextlib
import json
import os
import urllib.request
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from .peer_install import Missing, find_postgres, find_python, find_restate, output_of, version_of
from .postgres import postgres
from .processes import free_port, running, wait_until
from .servers import Server, announced_server, bare_server, holdfast_server

AIOHTTP = "bare aiohttp"
HOLDFAST = "holdfast"
RESTATE = "restate"
DBOS_SQLITE = "dbos on sqlite"
DBOS_POSTGRES = "dbos on postgresql"

Start = Callable[[Path], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Somebody who can be measured."""

    name: str
    version: str
    durability: str
    start: Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Somebody who cannot."""

    name: str
    why: str


def find_contenders(*names: str) -> list[Contender | Absent]:
    """Those that are named, in that order; installs what is missing, once."""
    return [_FINDERS[name]() for name in names]


def describe_contenders() -> dict[str, str]:
    """What each of them is, and what its answers wait for; printed beside the figures."""
    return {
        each.name: each.why
        if isinstance(each, Absent)
        else f"{each.version}. Durability: {each.durability}"
        for each in find_contenders(*_FINDERS)
    }


def _aiohttp() -> Contender | Absent:
    return Contender(
        name=AIOHTTP,
        version=f"{version('aiohttp')}, uvloop {version('uvloop')}",
        durability="none: it keeps nothing",
        start=bare_server,
    )


def _holdfast() -> Contender | Absent:
    return Contender(
        name=HOLDFAST,
        version=version("holdfast"),
        durability="--durability fsync: an answer waits for fdatasync of the log",
        start=holdfast_server,
    )


def _restate() -> Contender | Absent:
    server, python = find_restate(), find_python()
    if isinstance(server, Missing):
        return Absent(name=RESTATE, why=server.why)
    if isinstance(python, Missing):
        return Absent(name=RESTATE, why=python.why)
    sdk, hypercorn = version_of(python, "restate-sdk"), version_of(python, "hypercorn")
    return Contender(
        name=RESTATE,
        version=f"{output_of([str(server), '--version']).split()[-1]}, "
        f"SDK {sdk} on hypercorn {hypercorn} with {_workers()} workers",
        durability="as it ships: one node, its log in RocksDB with rocksdb-disable-wal-fsync false",
        start=lambda directory: _restate_server(server, python, directory),
    )


@contextlib.contextmanager
def _restate_server(program: Path, python: Path, directory: Path) -> Generator[Server]:
    ports = [free_port() for _ in range(4)]
    ingress, admin, node, handlers = ports
    serve = [str(python), "-m", "hypercorn", "--workers", str(_workers()), "--worker-class"]
    serve += ["uvloop", "--bind", f"127.0.0.1:{handlers}", "bench.peer_restate:app"]
    variables = {
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
        "RESTATE_BIFROST__LOCAL__ROCKSDB_DISABLE_WAL_FSYNC": "false",
        "RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC": "false",
        "RESTATE_DISABLE_TELEMETRY": "true",
    }
    server = [str(program), "--no-logo", "--base-dir", str(directory / "restate")]
    sdk_log, server_log = directory / "restate-sdk.log", directory / "restate.log"
    with (
        running(serve, sdk_log) as sdk,
        running(server, server_log, variables=variables) as engine,
    ):
        address = f"http://127.0.0.1:{admin}/deployments"
        wait_until(lambda: _is_registered(address, handlers), engine, server_log)
        call = f"http://127.0.0.1:{ingress}/Counter/first/add"
        wait_until(lambda: _is_answered(call, 1), engine, server_log)
        yield Server(ingress, {"restate-server": engine.pid, "its SDK": sdk.pid})


def _workers() -> int:
    """As many processes of its SDK as there are cores: on two, its agent gains a half by it."""
    return os.cpu_count() or 1


def _is_registered(address: str, handlers: int) -> bool:
    return _is_answered(address, {"uri": f"http://127.0.0.1:{handlers}"})


def _is_answered(address: str, body: object) -> bool:
    request = urllib.request.Request(  # noqa: S310  # our own servers
        address, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # as above
            return bool(answer.status < 300)
    except OSError:
        return False


def _dbos_on_sqlite() -> Contender | Absent:
    python = find_python()
    if isinstance(python, Missing):
        return Absent(name=DBOS_SQLITE, why=python.why)
    return Contender(
        name=DBOS_SQLITE,
        version=f"{version_of(python, 'dbos')}, SQLite {_sqlite_version(python)}",
        durability="as it ships: SQLite's rollback journal, synchronous = FULL",
        start=lambda directory: _dbos_server(python, directory, f"sqlite:///{directory}/dbos.db"),
    )


def _sqlite_version(python: Path) -> str:
    return output_of([str(python), "-c", "import sqlite3; print(sqlite3.sqlite_version)"])


def _dbos_on_postgres() -> Contender | Absent:
    programs, python = find_postgres(), find_python()
    if isinstance(programs, Missing):
        return Absent(name=DBOS_POSTGRES, why=programs.why)
    if isinstance(python, Missing):
        return Absent(name=DBOS_POSTGRES, why=python.why)
    return Contender(
        name=DBOS_POSTGRES,
        version=f"{version_of(python, 'dbos')}, "
        + output_of([str(programs / "postgres"), "--version"])
        .split(" (Debian")[0]
        .replace("postgres (PostgreSQL)", "PostgreSQL"),
        durability="as Debian ships it: fsync on, synchronous_commit on, full_page_writes on",
        start=lambda directory: _dbos_on_postgres_server(programs, python, directory),
    )


@contextlib.contextmanager
def _dbos_on_postgres_server(programs: Path, python: Path, directory: Path) -> Generator[Server]:
    with (
        postgres(programs, directory) as (url, process_id),
        _dbos_server(python, directory, url) as server,
    ):
        yield Server(server.port, {**server.parts, "postgresql": process_id})


def _dbos_server(python: Path, directory: Path, url: str) -> AbstractContextManager[Server]:
    return announced_server("dbos", [str(python), "-m", "bench.peer_dbos", url], directory)


_FINDERS: dict[str, Callable[[], Contender | Absent]] = {
    AIOHTTP: _aiohttp,
    HOLDFAST: _holdfast,
    RESTATE: _restate,
    DBOS_SQLITE: _dbos_on_sqlite,
    DBOS_POSTGRES: _dbos_on_postgres,
}
