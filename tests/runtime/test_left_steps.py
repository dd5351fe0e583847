"""Steps that a handler leaves behind: what does not run is said, what is not wanted is not."""

import asyncio

import pytest

from holdfast import Context, TerminalError, VirtualObject, handler

from .agents import Ledger, act
from .worlds import World


class Clerk(VirtualObject):
    @handler
    async def forget(self, ctx: Context) -> str:
        ctx.run("mail", act, "mailed")
        return "done"

    @handler
    async def change_its_mind(self, ctx: Context) -> str:
        ctx.run("mail", act, "mailed").cancel()
        return "done"

    @handler
    async def fail(self, ctx: Context) -> str:
        ctx.run("mail", act, "mailed")
        message = "out of paper"
        raise TerminalError(message)

    @handler
    async def wait(self, ctx: Context) -> str:
        mailed = ctx.run("mail", act, "mailed")
        await asyncio.sleep(1)
        return await mailed


async def test_a_step_without_await_that_does_not_run_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Ledger.lines.clear()
    world = World([Clerk])
    runtime = await world.start()
    assert await runtime.object(Clerk, "a").forget() == "done"

    assert Ledger.lines == []
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("Clerk/a/forget (inv_")
    assert "does not run; write `await ctx.run('mail', ...)`" in line


@pytest.mark.parametrize("how", ["change_its_mind", "fail", "wait"])
async def test_a_step_that_was_given_up_or_awaited_is_not(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World([Clerk])
    runtime = await world.start()
    answer = asyncio.ensure_future(runtime.call_by_name("Clerk", "a", how))
    await world.clock.advance(2)
    await asyncio.wait([answer])

    assert not [record for record in caplog.records if "does not run" in record.message]
