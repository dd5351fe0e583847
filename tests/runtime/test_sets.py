"""Sets that handlers hand on: a replay may walk them in another order, and asks for the same."""

from __future__ import annotations

from typing import Any

from holdfast import Context, Service, VirtualObject, Workflow, handler, shared
from holdfast.runtime.testing import settle

from .worlds import World

TWICE = ({0, 8}, {8, 0})
"""Equal, and walked in two orders: as a set of texts is before and after a crash."""

runs: list[set[int]] = []
"""What each run of a handler has walked, one in each order in turn."""


def take_turns() -> set[int]:
    runs.append(TWICE[len(runs) % 2])
    return runs[-1]


class Tagger(Service):
    @handler
    async def tag(self, ctx: Context, tags: set[int]) -> int:
        return sum(tags)


class Flow(Workflow):
    @handler
    async def run(self, ctx: Context) -> None:
        await ctx.promise("tags", set[int]).resolve(take_turns())
        await ctx.signal("go")

    @shared
    async def peek(self, ctx: Context) -> Any:
        return await ctx.promise("tags", list[int])


class Sorter(VirtualObject):
    @handler
    async def sort(self, ctx: Context) -> int:
        tags = take_turns()
        await ctx.service(Tagger).tag.send(tags)
        await ctx.send("Tagger", None, "tag", tags)
        asked = ctx.awakeable(set[int])
        await ctx.resolve_awakeable(asked.id, tags)
        await ctx.signal("go")
        return await ctx.service(Tagger).tag(tags) + sum(await asked)


async def test_a_set_is_the_same_on_replay_in_whatever_order() -> None:
    runs.clear()
    world = World([Tagger, Sorter])
    runtime = await world.start()
    invocation_id = await runtime.object(Sorter, "s").sort.send()
    await settle()

    runtime = await world.restart()
    await runtime.invocation(invocation_id).signal("go")
    await settle()
    assert await runtime.invocation(invocation_id).output() == 16
    assert len(runs) > 1
    world.close()


async def test_a_promise_resolved_with_a_set_is_so_on_replay() -> None:
    runs.clear()
    world = World([Flow])
    runtime = await world.start()
    invocation_id = await runtime.workflow(Flow, "f").run.send()
    await settle()

    runtime = await world.restart()
    await runtime.invocation(invocation_id).signal("go")
    await settle()
    assert (await runtime.invocation(invocation_id).describe()).status == "completed"
    assert await runtime.workflow(Flow, "f").peek() == [0, 8]
    assert len(runs) > 1
    world.close()
