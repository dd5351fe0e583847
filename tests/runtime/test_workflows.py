"""A workflow's ``run`` executes once per key, and its shared handlers work around it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    ConflictError,
    Context,
    InvalidArgumentError,
    RuntimeConfig,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.journal.records import decode_outcome
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle
from holdfast.testing import Effects, crash_everywhere

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.testing import Client

EFFECTS = Effects()


async def act(what: str) -> str:
    EFFECTS.add(what)
    await asyncio.sleep(0)
    return what


class Order(Workflow):
    """Reserves, waits, and ships."""

    status: str = state("new")
    lines: list[str] = state(default_factory=list)

    @handler
    async def run(self, ctx: Context, item: str) -> str:
        self.lines.append(await ctx.run("reserve", act, f"reserve {item}"))
        self.status = "reserved"
        await ctx.sleep(10)
        self.lines.append(await ctx.run("ship", act, f"ship {item}"))
        self.status = "shipped"
        return f"{item} shipped"

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return [self.status, *self.lines]


class Quick(Workflow):
    """Ends at once, with a result of any length."""

    seen: str = state("nothing")

    @handler
    async def run(self, ctx: Context, text: str) -> str:
        before, self.seen = self.seen, text
        return f"{before} {text}"

    @shared
    async def look(self, ctx: Context) -> str:
        return self.seen


class Shop(VirtualObject):
    """Starts workflows from a handler."""

    @handler
    async def order(self, ctx: Context, key: str, item: str) -> str:
        try:
            return await ctx.workflow(Order, key).run(item)
        except TerminalError as error:
            return f"{error.status_code} {error.type_name}: {error.message}"

    @handler
    async def order_twice(self, ctx: Context, key: str, item: str) -> list[str]:
        answers = await asyncio.gather(
            ctx.workflow(Order, key).run(item),
            ctx.workflow(Order, key).run(item),
            return_exceptions=True,
        )
        return [
            type(each).__name__ if isinstance(each, BaseException) else each for each in answers
        ]

    @handler
    async def send_twice(self, ctx: Context, key: str, item: str) -> list[str]:
        first = await ctx.workflow(Order, key).run.send(item)
        await ctx.sleep(1)
        return [first, await ctx.workflow(Order, key).run.send(item)]


CLASSES = [Order, Quick, Shop]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    EFFECTS.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


def start(item: str, key: str = "7", **options: Any) -> CallRequest:
    return CallRequest(
        target=Target("Order", key, "run"), argument=json.dumps(item).encode(), **options
    )


async def test_a_second_call_of_run_is_a_conflict_that_names_the_first(world: World) -> None:
    order = world.runtime.workflow(Order, "7")
    first = await order.run.send("lamp")

    with pytest.raises(ConflictError, match=f"Order/7 was already started, by {first}"):
        await order.run("lamp")
    await world.clock.advance(60)
    with pytest.raises(ConflictError, match=f"by {first}"):
        await order.run("other")

    assert EFFECTS.lines == ["reserve lamp", "ship lamp"]


async def test_a_second_send_gives_the_id_of_the_first(world: World) -> None:
    first = await world.runtime.submit(start("lamp"), wait=False)
    second = await world.runtime.submit(start("other"), wait=False)
    await world.restart()
    third = await world.runtime.submit(start("lamp"), wait=False)

    assert (first.is_duplicate, second.is_duplicate, third.is_duplicate) == (False, True, True)
    assert first.invocation_id == second.invocation_id == third.invocation_id


async def test_of_two_starts_in_one_turn_one_runs(world: World) -> None:
    first = world.runtime.submit(start("lamp"), wait=True)
    second = world.runtime.submit(start("lamp"), wait=True)
    third = world.runtime.submit(start("lamp"), wait=False)

    with pytest.raises(ConflictError, match="already started"):
        await second
    answer = await world.finish(first)
    assert answer.outcome == b'"lamp shipped"'
    assert (await third).invocation_id == answer.invocation_id
    assert EFFECTS.lines == ["reserve lamp", "ship lamp"]


async def test_another_key_is_another_workflow(world: World) -> None:
    answers = await world.finish(
        asyncio.gather(*(world.runtime.workflow(Order, key).run(key) for key in "ab"))
    )

    assert answers == ["a shipped", "b shipped"]


async def test_a_handler_that_calls_a_started_workflow_gets_a_recorded_409(world: World) -> None:
    first = await world.runtime.workflow(Order, "7").run.send("lamp")
    answer = await world.runtime.object(Shop, "s").order("7", "lamp")

    assert answer.startswith(f"409 ConflictError: Order/7 was already started, by {first}")
    assert await world.finish(world.runtime.object(Shop, "s").order_twice("8", "tea")) == [
        "tea shipped",
        "TerminalError",
    ]


async def test_a_handler_that_sends_twice_gets_one_id(world: World) -> None:
    sent = asyncio.ensure_future(world.runtime.object(Shop, "s").send_twice("7", "lamp"))
    await settle()
    world.runtime.suspend_idle()
    first, second = await world.finish(sent)

    assert first == second
    await world.clock.advance(60)
    assert EFFECTS.lines == ["reserve lamp", "ship lamp"]


async def test_a_delayed_start_counts_as_started(world: World) -> None:
    order = world.runtime.workflow(Order, "7")
    first = await order.run.send("lamp", delay=timedelta(hours=1))
    await world.restart()
    order = world.runtime.workflow(Order, "7")

    with pytest.raises(ConflictError, match=f"by {first}"):
        await order.run("now")
    assert await order.look() == ["new"]
    await world.clock.advance(3700)
    assert await order.look() == ["shipped", "reserve lamp", "ship lamp"]


async def test_shared_handlers_work_before_during_and_after_run(world: World) -> None:
    order = world.runtime.workflow(Order, "7")

    assert await order.look() == ["new"]
    running = asyncio.ensure_future(order.run("lamp"))
    await settle()
    assert await order.look() == ["reserved", "reserve lamp"]
    await world.finish(running)
    assert await order.look() == ["shipped", "reserve lamp", "ship lamp"]


async def test_a_start_takes_no_idempotency_key_and_is_refused_whole(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="takes no idempotency key; leave it out"):
        world.runtime.submit(start("lamp", idempotency_key="k"), wait=True)
    with pytest.raises(InvalidArgumentError, match="Order/run"):
        await world.runtime.call_by_name("Order", "7", "run", 5)
    with pytest.raises(InvalidArgumentError, match=r"Order is a workflow; use workflow\(Order"):
        world.runtime.object(Order, "7")
    with pytest.raises(InvalidArgumentError, match=r"Shop is a virtual object; use object\(Shop"):
        world.runtime.workflow(Shop, "7")

    assert not list(world.store.scan(b"", None))


async def start_and_look(client: Client) -> list[Any]:
    async def send() -> str:
        return await client.ask(lambda runtime: runtime.workflow(Order, "7").run.send("lamp"))

    sent = await asyncio.gather(send(), send())
    refused = await client.object(Shop, "s").order("7", "other")
    looked = await client.call_by_name("Order", "7", "look")
    while looked[0] != "shipped":
        await client.sleep(5)
        looked = await client.call_by_name("Order", "7", "look")
    return [sent[0] == sent[1] == await send(), refused, looked]


@pytest.mark.parametrize("suspending", [False, True])
async def test_run_executes_once_whatever_commit_the_process_dies_at(*, suspending: bool) -> None:
    report = await crash_everywhere(
        start_and_look, CLASSES, effects=EFFECTS, crash_again=True, suspending=suspending
    )

    same, refused, looked = report.ending.outcome
    assert same
    assert "409 ConflictError: Order/7 was already started" in refused
    assert looked == ["shipped", "reserve lamp", "ship lamp"]
    assert report.commits >= 4


async def test_a_forgotten_workflow_takes_all_it_had_with_it_and_frees_its_key() -> None:
    config = RuntimeConfig(retention=timedelta(minutes=5), collect_rows_max=3)
    world = World(CLASSES, config)
    runtime = await world.start()
    order = runtime.workflow(Order, "7")
    await world.finish(order.run("lamp"))
    await order.look()
    await world.clock.advance(900)

    assert [key[:1] for key, _ in world.store.scan(b"", None) if key[:1] != keys.META] == []
    assert await world.finish(order.run("tea")) == "tea shipped"
    assert await order.look() == ["shipped", "reserve tea", "ship tea"]
    world.close()


async def test_a_new_workflow_sees_nothing_of_a_forgotten_one() -> None:
    world = World(CLASSES, RuntimeConfig(retention=timedelta(minutes=5)))
    quick = (await world.start()).workflow(Quick, "k")

    assert await quick.run("first") == "nothing first"
    await world.clock.advance(900)
    assert await quick.look() == "nothing"
    assert await quick.run("second") == "nothing second"
    world.close()


async def test_too_much_that_is_kept_frees_no_key() -> None:
    world = World(CLASSES, RuntimeConfig(retained_bytes_max=1))
    runtime = await world.start()
    order = runtime.workflow(Order, "7")
    await world.finish(order.run("lamp"))
    await world.clock.advance(60)

    with pytest.raises(ConflictError):
        await order.run("lamp")
    assert await order.look() == ["shipped", "reserve lamp", "ship lamp"]
    assert not list(world.store.scan(*keys.prefix_range(keys.JOURNAL)))
    world.close()


async def test_the_result_of_run_is_kept_however_long_it_is(world: World) -> None:
    await world.runtime.workflow(Quick, "k").run("x" * 5000)

    ((_, row),) = world.store.scan(*keys.prefix_range(keys.OUTCOME))
    assert decode_outcome(row).result == json.dumps("nothing " + "x" * 5000).encode()
