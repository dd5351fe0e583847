"""What callers and handlers leave in rows, however odd, costs nobody the sight of the others."""

import asyncio
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast import Context, RetryPolicy, VirtualObject, handler
from holdfast.ingress.sql.database import TABLES
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle
from tests.runtime.worlds import World

from .stage import query

LATEST = "9999-12-31T23:59:59.999Z"
RESULTS: dict[str, Any] = {
    "bytes": {b"a": 1, b"\xff": 2},
    "pairs": {(1, 2): [math.nan, -math.inf, {None: True, 7: b"x"}]},
}


class Odd(VirtualObject):
    @handler(accept="*/*", content_type="application/octet-stream")
    async def take(self, ctx: Context, body: bytes) -> bytes:
        await ctx.awakeable(str)
        return body

    @handler
    async def step(self, ctx: Context, name: str) -> None:
        await ctx.run("step", lambda: RESULTS[name])
        await ctx.awakeable(str)

    @handler
    async def sleep(self, ctx: Context) -> None:
        await asyncio.sleep(1e15)

    @handler
    async def delay(self, ctx: Context) -> None:
        await ctx.object(Odd, "other").sleep.send(delay=timedelta.max)

    @handler(retry=RetryPolicy(initial_interval=timedelta.max, max_interval=timedelta.max))
    async def stumble(self, ctx: Context) -> None:
        raise RuntimeError


async def see_all(world: World) -> None:
    for table in TABLES:
        await query(world, f"SELECT * FROM {table.name}")  # noqa: S608  # ours


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'"\\ud800"', "?"),
        (b'{"\\ud800": 1}', {"?": 1}),
        (b"[" * 50_000, "[" * 50_000),
        (b"[" * 20_000 + b"]" * 20_000, "[" * 20_000 + "]" * 20_000),
        (b"[NaN, 1e999]", ["nan", "inf"]),
        (b"\xff", "ff"),
        ('"Grüße"'.encode(), "Grüße"),
    ],
)
async def test_a_body_that_json_cannot_say_is_shown_as_well_as_can_be(
    body: bytes, shown: object
) -> None:
    world = World([Odd])
    runtime = await world.start()
    request = CallRequest(target=Target("Odd", "k", "take"), argument=body)
    await runtime.submit(request, wait=False)
    await settle()
    await see_all(world)
    (row,) = await query(world, 'SELECT entry_json FROM sys_journal WHERE "index" = 0')
    assert json.loads(row["entry_json"])["Command"]["Input"]["payload"] == shown
    world.close()


async def test_results_of_steps_with_keys_that_json_has_not_are_shown() -> None:
    world = World([Odd])
    runtime = await world.start()
    for name in RESULTS:
        await runtime.object(Odd, name).step.send(name)
    await settle()
    rows = await query(
        world, "SELECT entry_json FROM sys_journal WHERE entry_type = 'Notification: Run'"
    )
    found = [json.loads(row["entry_json"])["Notification"]["Run"]["result"] for row in rows]
    assert {"Success": {"a": 1, "ff": 2}} in found
    assert {"Success": {"(1, 2)": ["nan", "-inf", {"null": True, "7": "b'x'"}]}} in found
    world.close()


@pytest.mark.parametrize("name", ["sleep", "delay", "stumble"])
async def test_a_time_after_the_last_year_there_is_can_be_looked_at(name: str) -> None:
    world = World([Odd])
    runtime = await world.start()
    id_ = await getattr(runtime.object(Odd, "k"), name).send()
    await settle()
    await see_all(world)
    assert await query(world, "SELECT due_at FROM sys_timer") == [{"due_at": LATEST}]
    info = await runtime.invocation(id_).describe()
    times = [info.next_attempt_at, *(each.until for each in info.awaiting)]
    if name != "delay":
        assert max(filter(None, times)) == datetime.max.replace(tzinfo=UTC)
    world.close()
