"""What SQL costs, and what it costs those who call meanwhile."""

import asyncio
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from holdfast import Context, Runtime, VirtualObject, handler, state
from holdfast.ingress.sql.queries import Queries
from holdfast.journal import keys
from holdfast.journal.records import Kept, OutcomeRecord
from holdfast.journal.rocks import RocksStore
from holdfast.objects.identity import Target, new_invocation_id

from .harness import Figure, Options, Scenario, run_embedded, scratch

_CALLERS = 4
_PAUSE_SECONDS = 0.002
_POINTS = 500
_SCAN = (
    "SELECT status, count(*), max(completed_at) FROM sys_invocation "
    "WHERE target_service_name = 'Counter' GROUP BY status"
)


class Counter(VirtualObject):
    """An object."""

    value: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        """Count."""
        self.value += amount
        return self.value


def _fill(path: Path, count: int) -> None:
    """Completed invocations as a busy counter leaves them."""
    store = RocksStore(path)
    now_ms = time.time_ns() // 1_000_000
    batch: dict[bytes, bytes | None] = {}
    for number in range(count):
        id_ = new_invocation_id(now_ms - 1_000, os.urandom(10))
        batch[keys.outcome(id_)] = OutcomeRecord(
            target=Target("Counter", f"k{number % 1_000}", "add"),
            sequence=number,
            completed_ms=now_ms,
            kept=Kept.OUTCOME,
            result=b"1",
        ).encode()
        if len(batch) == 10_000:
            store.write(batch)
            batch = {}
    store.write(batch)
    store.close()


async def _call(runtime: Runtime, seconds: list[float]) -> None:
    number = 0
    while True:
        number += 1
        started = time.perf_counter()
        await runtime.object(Counter, f"caller{number % 50}").add(1)
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _beside(runtime: Runtime, work: "asyncio.Future[Any]") -> list[float]:
    """How long calls took while ``work`` went on."""
    seconds: list[float] = []
    callers = [asyncio.ensure_future(_call(runtime, seconds)) for _ in range(_CALLERS)]
    await work
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    return sorted(seconds)


async def _measure(directory: Path, count: int) -> list[Figure]:
    await asyncio.to_thread(_fill, directory / "data", count)
    async with Runtime([Counter], data_dir=directory / "data") as runtime:
        queries = Queries(runtime)
        await runtime.object(Counter, "sam").add(1)
        found = await queries.answer("SELECT id FROM sys_invocation LIMIT 1")
        id_ = json.loads(found)["rows"][0]["id"]
        points: list[float] = []
        for _ in range(_POINTS):
            started = time.perf_counter()
            await queries.answer(f"SELECT * FROM sys_invocation WHERE id = '{id_}'")  # noqa: S608
            points.append(time.perf_counter() - started)
        points.sort()
        started = time.perf_counter()
        beside = await _beside(runtime, asyncio.ensure_future(queries.answer(_SCAN)))
        took = time.perf_counter() - started
        alone = await _beside(runtime, asyncio.ensure_future(asyncio.sleep(min(took, 10.0))))
    return [
        Figure(
            what="a query by id, median",
            value=points[len(points) // 2] * 1e3,
            unit="ms",
            at_most=1.0,
        ),
        Figure(what=f"a scan of {count:,} invocations beside calls", value=took, unit="s"),
        Figure(what="a call beside it, median", value=_at(beside, 0.5), unit="ms"),
        Figure(what="a call alone, median", value=_at(alone, 0.5), unit="ms"),
        Figure(what="a call beside it, 99 %", value=_at(beside, 0.99), unit="ms"),
        Figure(what="a call alone, 99 %", value=_at(alone, 0.99), unit="ms"),
    ]


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)] * 1e3


def _run(options: Options) -> Iterable[Figure]:
    with scratch(options) as directory:
        yield from run_embedded(_measure(directory, 100_000 if options.is_short else 1_000_000))


SQL = Scenario(name="sql", title="SQL by id, and a scan beside calls, fsync", run=_run)
