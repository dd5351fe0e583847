"""Results that are not what an annotation says: whoever waits for one is told whose it is."""

import asyncio
from typing import cast

import pytest

from holdfast import Context, InvalidArgumentError, TerminalError, VirtualObject, handler

from .worlds import World


class Liar(VirtualObject):
    @handler
    async def count(self, ctx: Context) -> int:
        return cast("int", "many")


class Asker(VirtualObject):
    @handler
    async def ask(self, ctx: Context) -> int:
        try:
            return await ctx.object(Liar, "a").count()
        except TerminalError:
            await asyncio.sleep(3600)
            raise

    @handler
    async def measure(self, ctx: Context) -> int:
        return await ctx.run("scale", weigh)

    @handler
    async def look(self, ctx: Context) -> str:
        return str(await ctx.run("look", see))


def see() -> object:
    return object()


async def weigh() -> int:
    return cast("int", "heavy")


async def test_a_caller_outside_is_told_whose_result_it_is() -> None:
    runtime = await World([Liar]).start()
    call = "the result of Liar/a/count is not of the type that its handler declares"
    with pytest.raises(InvalidArgumentError, match=f"{call}: at .*: expected int, found str"):
        await runtime.object(Liar, "a").count()
    invocation_id = await runtime.object(Liar, "a").count.send()
    with pytest.raises(InvalidArgumentError, match=call):
        await runtime.invocation(invocation_id).attach()


async def test_a_handler_is_told_the_same_and_so_is_its_replay() -> None:
    world = World([Liar, Asker])
    runtime = await world.start()
    invocation_id = await runtime.object(Asker, "b").ask.send()
    await world.clock.advance(60)
    await world.restart()
    attached = asyncio.ensure_future(world.runtime.invocation(invocation_id).attach())
    await world.clock.advance(3600)
    with pytest.raises(TerminalError, match="the result of Liar/a/count is not of the type"):
        await attached


async def test_the_result_of_a_step_is_named_by_the_step() -> None:
    runtime = await World([Asker]).start()
    with pytest.raises(TerminalError, match="the result of step 'scale' is not of the type"):
        await runtime.object(Asker, "b").measure()


async def test_a_result_that_cannot_be_recorded_is_named_by_the_step() -> None:
    runtime = await World([Asker]).start()
    words = r"the result of step 'look' cannot be recorded: a object cannot be encoded; use"
    with pytest.raises(TerminalError, match=words):
        await runtime.object(Asker, "b").look()
