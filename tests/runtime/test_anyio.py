"""anyio's task groups and cancel scopes in a handler: what they cancel they cancel in one order."""

import asyncio

import anyio
import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler

from .worlds import World

ATTEMPTS: list[int] = []
CANCELED = asyncio.Event()


async def clean_up(number: int) -> int:
    CANCELED.set()
    return number


async def begin() -> None:
    """All are waiting."""


class Crew(VirtualObject):
    @handler
    async def work(self, ctx: Context) -> list[int]:
        """Eight tasks in scopes of their own, which are at other addresses in every attempt."""
        ATTEMPTS.append(1)
        scopes = sorted((anyio.CancelScope() for _ in range(8)), key=id)
        if len(ATTEMPTS) % 2:
            scopes.reverse()
        ended: list[int] = []

        async def wait(number: int) -> None:
            with scopes[number]:
                try:
                    await anyio.sleep(3600)
                finally:
                    with anyio.CancelScope(shield=True):
                        ended.append(await ctx.run(f"clean up {number}", clean_up, number))

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(wait, number)
            await ctx.run("begin", begin)
            group.cancel_scope.cancel()
        return ended


@pytest.mark.parametrize("how", ["replayed at every wait", "crashed"])
async def test_a_replay_cancels_scopes_within_a_scope_in_the_same_order(how: str) -> None:
    ATTEMPTS.clear()
    CANCELED.clear()
    world = World([Crew], RuntimeConfig(always_replay=how != "crashed"))
    runtime = await world.start()
    id_ = await runtime.object(Crew, "a").work.send()
    if how == "crashed":
        await CANCELED.wait()
        runtime = await world.restart()

    async with asyncio.timeout(10):  # One that left its journal is paused, and would never end.
        ended = await runtime.invocation(id_, Crew.work).attach()
    assert sorted(ended) == list(range(8))
    assert len(ATTEMPTS) > 1
    world.close()
