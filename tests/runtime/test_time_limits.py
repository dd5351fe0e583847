"""A time limit that the handler lets pass is its outcome: no attempt would end otherwise."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import anyio
import pytest

from holdfast import Context, TerminalError, VirtualObject, handler, state
from holdfast.runtime.verify import verify_rows

from .worlds import World


class Impatient(VirtualObject):
    attempts: ClassVar[int] = 0
    released: ClassVar[list[str]] = []

    asked: int = state(0)

    @handler
    async def asyncios(self, ctx: Context) -> str:
        self.asked += 1
        async with asyncio.timeout(5):
            return await ctx.awakeable(str)

    @handler
    async def wait_for(self, ctx: Context) -> str:
        self.asked += 1
        return await asyncio.wait_for(ctx.awakeable(str), 5)

    @handler
    async def anyios(self, ctx: Context) -> str:
        self.asked += 1
        with anyio.fail_after(5):
            return await ctx.awakeable(str)

    @handler
    async def in_a_group(self, ctx: Context) -> None:
        async def wait() -> str:
            return await asyncio.wait_for(ctx.awakeable(str), 5)

        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(asyncio.sleep(100))

    @handler
    async def in_a_saga(self, ctx: Context) -> str:
        self.asked += 1
        async with ctx.saga() as saga:
            saga.add("release", Impatient.released.append, "released")
            async with asyncio.timeout(5):
                return await ctx.awakeable(str)

    @handler
    async def of_its_own(self, ctx: Context) -> str:
        Impatient.attempts += 1
        if Impatient.attempts == 1:
            raise TimeoutError
        return "second attempt"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Impatient.attempts, Impatient.released = 0, []
    world = World([Impatient])
    await world.start()
    yield world
    world.close()


@pytest.mark.parametrize("crashes", [True, False])
@pytest.mark.parametrize("how", ["asyncios", "wait_for", "anyios", "in_a_saga"])
async def test_a_durable_time_limit_that_nobody_catches_is_the_outcome(
    world: World, how: str, *, crashes: bool
) -> None:
    id_ = await world.runtime.send_by_name("Impatient", "i", how)
    await world.clock.advance(4)
    if crashes:
        await world.restart()
    await world.clock.advance(1.5)

    runtime = world.runtime
    with pytest.raises(TerminalError, match=r"a time limit is over \(at .*:\d+\)") as caught:
        await runtime.invocation(id_).output()
    assert (caught.value.status_code, caught.value.type_name) == (500, "TimeoutError")
    assert await runtime.state(Impatient, "i") == {"asked": 1}
    assert Impatient.released == (["released"] if how == "in_a_saga" else [])
    assert list(verify_rows(world.store)) == []


async def test_a_time_limit_in_a_group_is_the_outcome_too(world: World) -> None:
    answer = asyncio.ensure_future(world.runtime.object(Impatient, "i").in_a_group())
    await world.clock.advance(6)
    with pytest.raises(TerminalError, match="TimeoutError"):
        await answer


async def test_a_timeout_error_that_the_code_raises_is_tried_again(world: World) -> None:
    answer = asyncio.ensure_future(world.runtime.object(Impatient, "i").of_its_own())
    await world.clock.advance(2)
    assert await answer == "second attempt"
