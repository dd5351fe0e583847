"""Keys and names that are texts of a class of their own, such as members of an ``Enum``."""

from __future__ import annotations

from enum import Enum
from typing import Any

from holdfast import Context, VirtualObject, Workflow, handler, shared, state
from holdfast.objects.callback import check_callback
from holdfast.objects.identity import Target
from holdfast.runtime.testing import settle

from .worlds import World


class Plan(str, Enum):  # noqa: UP042  # what is told of here
    """Its members show themselves as ``Plan.FREE`` and are equal to ``free``."""

    FREE = "free"
    PRO = "pro"
    COUNTER = "Counter"
    ADD = "add"


class Counter(VirtualObject):
    count: int = state(0)

    @handler
    async def add(self, ctx: Context, by: int) -> int:
        self.count += by
        ctx.set(Plan.PRO, self.count)
        return self.count

    @handler
    async def pass_on(self, ctx: Context, by: int) -> Any:
        typed = await ctx.object(Counter, Plan.FREE).add(by)
        return typed, await ctx.call(Plan.COUNTER, Plan.FREE, Plan.ADD, by)

    @handler
    async def wait(self, ctx: Context) -> str:
        return await ctx.signal(Plan.PRO, str)

    @handler
    async def key(self, ctx: Context) -> str:
        return f"{ctx.key} {type(ctx.key).__name__}"


class Flow(Workflow):
    @handler
    async def run(self, ctx: Context) -> int:
        return await ctx.promise("pro", int)

    @shared
    async def end(self, ctx: Context, value: int) -> None:
        await ctx.promise(Plan.PRO, int).resolve(value)


async def test_a_key_is_what_it_is_equal_to_and_not_how_it_is_shown() -> None:
    world = World([Counter])
    runtime = await world.start()
    assert await runtime.object(Counter, "free").add(1) == 1
    assert await runtime.object(Counter, Plan.FREE).add(1) == 2
    assert await runtime.call_by_name(Plan.COUNTER, Plan.FREE, Plan.ADD, 1) == 3
    assert await runtime.object(Counter, "caller").pass_on(1) == [4, 5]
    assert await runtime.object(Counter, Plan.FREE).key() == "free str"
    assert dict(await runtime.state(Counter, Plan.FREE)) == {"count": 5, "pro": 5}

    await runtime.fork(Counter, Plan.FREE, to=Plan.PRO)
    assert await runtime.object(Counter, "pro").add(1) == 6
    await settle()
    runtime = await world.restart()
    assert await runtime.object(Counter, Plan.FREE).add(1) == 6
    world.close()


async def test_so_are_idempotency_keys_and_the_names_of_signals_and_promises() -> None:
    world = World([Counter, Flow])
    runtime = await world.start()
    counter = runtime.object(Counter, "c", idempotency_key=Plan.PRO)
    first = await counter.add.send(1)
    again = await runtime.object(Counter, "c", idempotency_key="pro").add.send(1)
    assert again == first
    assert await runtime.find_invocation(Counter, "c", Counter.add, idempotency_key=Plan.PRO)

    waiting = await runtime.object(Counter, "w").wait.send()
    await runtime.invocation(waiting).signal("pro", "taken")
    assert await runtime.invocation(waiting).attach() == "taken"

    running = await runtime.workflow(Flow, Plan.FREE).run.send()
    await runtime.workflow(Flow, "free").end(7)
    await settle()
    assert await runtime.invocation(running).output() == 7
    world.close()


def test_a_callback_goes_to_the_key_that_is_named() -> None:
    told = check_callback(Target(Plan.COUNTER, Plan.FREE, Plan.ADD))
    assert str(told) == "Counter/free/add"
