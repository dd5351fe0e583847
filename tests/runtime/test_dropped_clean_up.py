"""Clean-up of an attempt that leaves memory: its next attempt does it, and the log is silent."""

import asyncio

import pytest

from holdfast import Context, VirtualObject, handler, state

from .agents import Ledger, act
from .worlds import World


class Worker(VirtualObject):
    stage: str = state("idle")
    ended: int = state(0)

    @handler
    async def work(self, ctx: Context) -> str:
        self.stage = "working"
        try:
            await ctx.sleep(3600)
        finally:
            self.stage = "idle"
            self.ended += 1
        return self.stage

    @handler
    async def hold(self, ctx: Context) -> str:
        try:
            await ctx.sleep(3600)
        finally:
            await ctx.run("release", act, "released")
        return "held"


@pytest.mark.parametrize("name", ["work", "hold"])
async def test_a_finally_that_uses_state_or_ctx_is_nothing_to_complain_of(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Ledger.lines.clear()
    world = World([Worker])
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.call_by_name("Worker", "a", name))
    await world.clock.advance(60)
    runtime.suspend_idle()
    assert runtime.statistics().attempts_resident == 0
    await world.clock.advance(3600)
    await answer

    assert [record.message for record in caplog.records] == []
    ended = (await runtime.state(Worker, "a")).get("ended")
    assert (ended, Ledger.lines) == ((1, []) if name == "work" else (None, ["released"]))
