"""The objects of ``objects`` in DBOS, behind aiohttp. Runs in the peers' environment; see there.

    python -m bench.peer_dbos DATABASE_URL

DBOS has workflows and steps, not objects: a counter is a row, and a call is a workflow whose one
step is a transaction on it, which is the cheapest durable form. An agent is a workflow of three
steps. Both are plain functions on DBOS's threads, as in its guides; the row's lock makes calls of
one key take turns.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy
import uvloop
from aiohttp import web
from dbos import DBOS, SQLAlchemyDatasource

_CREATE = "CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, value INTEGER NOT NULL)"
_ADD = (
    "INSERT INTO counters VALUES (:key, :amount) "
    "ON CONFLICT (key) DO UPDATE SET value = counters.value + :amount RETURNING value"
)

url = sys.argv[1]
# Measured: SQLite has one writer, and more threads only wait for its lock; in PostgreSQL more than
# these gain nothing. More threads than connections (20, as DBOS sets) would wait for each other.
thread_count = 4 if url.startswith("sqlite") else 16
pool = {"pool_size": 20, "max_overflow": 0}
DBOS(
    config={
        "name": "bench",
        "system_database_url": url,
        "log_level": "WARNING",
        "db_engine_kwargs": pool,
    }
)
# The weakest that is right for one statement; SQLite has only one.
isolation = "SERIALIZABLE" if url.startswith("sqlite") else "READ COMMITTED"
source = SQLAlchemyDatasource.create(database_url=url, engine_kwargs=pool)


@source.transaction(isolation_level=isolation)
def add_to_row(key: str, amount: int) -> int:
    """Add and tell."""
    values = {"key": key, "amount": amount}
    return int(source.sql_session().execute(sqlalchemy.text(_ADD), values).scalar_one())


@DBOS.workflow()
def add(key: str, amount: int) -> int:
    """One transaction."""
    value: int = add_to_row(key, amount)
    return value


@DBOS.step()
def do_nothing() -> str:
    """An action that costs nothing."""
    return "done"


@DBOS.workflow()
def ask(key: str, question: str) -> str:  # noqa: ARG001  # as the others take them
    """Three steps, one after the other."""
    do_nothing()
    do_nothing()
    answer: str = do_nothing()
    return answer


def _route(workflow: Callable[[str, Any], Any], threads: ThreadPoolExecutor) -> Any:
    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(threads, workflow, request.match_info["key"], body)
        return web.json_response(result)

    return answer


async def _serve() -> None:
    threads = ThreadPoolExecutor(thread_count)
    application = web.Application()
    application.router.add_post("/Counter/{key}/add", _route(add, threads))
    application.router.add_post("/Agent/{key}/ask", _route(ask, threads))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"DBOS on http://127.0.0.1:{runner.addresses[0][1]}, {url}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with source.engine.begin() as connection:
        connection.execute(sqlalchemy.text(_CREATE))
    DBOS.launch()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(_serve())
