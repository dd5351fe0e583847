"""What a restart from an entry asks for again: signals, promises, outcomes, messages, answers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from holdfast import (
    AwakeableExpiredError,
    Context,
    InvalidArgumentError,
    RetryPolicy,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import AwakeableId, parse_invocation_id

from ..laws.stage import TABLES_OF_THE_OPEN
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FINAL = RetryPolicy(max_attempts=1, on_max_attempts="fail")
DONE: list[str] = []


async def act(name: str) -> str:
    DONE.append(name)
    return name


class Desk(VirtualObject):
    is_broken: ClassVar[bool] = False
    log: list[Any] = state(default_factory=list)

    @handler
    async def signal(self, ctx: Context) -> str:
        return await ctx.signal("go", str)

    @handler
    async def outcome(self, ctx: Context, other: str) -> str:
        return await ctx.attach(other, str)

    @handler
    async def message(self, ctx: Context) -> str:
        return await ctx.inbox(str).get()

    @handler
    async def messages(self, ctx: Context) -> list[str]:
        found = await ctx.inbox(str).drain()
        await ctx.signal("go")
        return found

    @handler
    async def question(self, ctx: Context) -> int:
        return await ctx.awakeable(int, timeout=timedelta(hours=1))

    @handler
    async def take(self, ctx: Context, text: str) -> None:
        self.log.append(text)

    @handler(retry=FINAL)
    async def saga(self, ctx: Context) -> str:
        async with ctx.saga() as saga:
            saga.add("undo", act, "undone")
            await ctx.run("do", act, "done")
            called = ctx.object(Desk, "called").note("called")
            asked = ctx.signal("never")
            await ctx.sleep(timedelta(seconds=1))
            if Desk.is_broken:
                message = "out of order"
                raise OSError(message)
            asked.cancel()
            return await called

    @handler
    async def note(self, ctx: Context, text: str) -> str:
        await ctx.sleep(timedelta(hours=1))
        return await ctx.run("note", act, text)


class Deal(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.promise("signed", str)

    @shared
    async def look(self, ctx: Context) -> str:
        return await ctx.promise("signed", str)

    @shared
    async def sign_for_oneself(self, ctx: Context) -> str:
        waiting = ctx.promise("own", str).value()
        await ctx.promise("own", str).resolve("mine")
        peeked = await ctx.promise("own", str).peek()
        return f"{await waiting} {peeked}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    DONE.clear()
    Desk.is_broken = False
    world = World([Desk, Deal])
    await world.start()
    yield world
    world.close()


async def end(world: World, id_: str) -> None:
    """Have an invocation completed where it waits."""
    await world.rest()
    await world.runtime.invocation(id_).kill()
    await world.rest()


async def restart(world: World, id_: str, from_entry: int) -> str:
    again = await world.runtime.invocation(id_).restart(from_entry=from_entry)
    await world.rest()
    await world.restart()
    await world.rest()
    return again


async def outcome(world: World, id_: str) -> Any:
    return await world.finish(world.runtime.invocation(id_).attach())


def left_over(world: World) -> list[bytes]:
    return [
        key
        for table in TABLES_OF_THE_OPEN
        for key, _ in world.store.scan(*keys.prefix_range(table))
    ]


@pytest.mark.parametrize("from_entry", [1, 2])
async def test_a_signal_that_had_not_come_is_awaited_again(world: World, from_entry: int) -> None:
    id_ = await world.runtime.object(Desk, "a").signal.send()
    await end(world, id_)
    again = await restart(world, id_, from_entry)
    await world.runtime.invocation(again).signal("go", "now")
    assert await outcome(world, again) == "now"
    assert left_over(world) == []


async def test_a_signal_that_had_come_is_not_awaited_again(world: World) -> None:
    id_ = await world.runtime.object(Desk, "a").signal.send()
    await world.rest()
    await world.runtime.invocation(id_).signal("go", "now")
    assert await outcome(world, id_) == "now"
    assert await outcome(world, await restart(world, id_, 3)) == "now"
    again = await restart(world, id_, 2)
    await world.runtime.invocation(again).signal("go", "later")
    assert await outcome(world, again) == "later"


async def test_a_promise_is_awaited_again_or_given_at_once(world: World) -> None:
    deal = world.runtime.workflow(Deal, "d")
    await deal.run.send()
    id_ = await deal.look.send()
    await end(world, id_)
    waiting = await restart(world, id_, 2)
    await world.runtime.promise(Deal, "d", "signed").resolve("yes")
    assert await outcome(world, waiting) == "yes"
    assert await outcome(world, await restart(world, id_, 2)) == "yes"
    assert left_over(world) == []


async def test_what_one_decision_wrote_is_not_cut_apart_even_where_another_wait_came_between(
    world: World,
) -> None:
    """Resolved, told what it awaits itself, told that it was resolved: entries 2 to 4."""
    id_ = await world.runtime.workflow(Deal, "d").sign_for_oneself.send()
    assert await outcome(world, id_) == "mine mine"
    for from_entry in (3, 4):
        with pytest.raises(InvalidArgumentError, match=r"entry 4 of .* use 2 or 5"):
            await world.runtime.invocation(id_).restart(from_entry=from_entry)
    with pytest.raises(InvalidArgumentError, match=r"entry 6 of .* use 5 or 7"):
        await world.runtime.invocation(id_).restart(from_entry=6)
    for from_entry in (5, 7):
        assert await outcome(world, await restart(world, id_, from_entry)) == "mine mine"
    assert world.runtime.health == "ok"


async def test_an_outcome_is_awaited_again_or_given_at_once(world: World) -> None:
    other = await world.runtime.object(Desk, "other").signal.send()
    id_ = await world.runtime.object(Desk, "a").outcome.send(other)
    await end(world, id_)
    waiting = await restart(world, id_, 2)
    await world.runtime.invocation(other).signal("go", "now")
    assert await outcome(world, waiting) == "now"
    assert await outcome(world, await restart(world, id_, 2)) == "now"
    assert left_over(world) == []


async def test_the_outcome_of_an_invocation_that_is_gone_is_a_recorded_error(world: World) -> None:
    other = await world.runtime.object(Desk, "other").signal.send()
    id_ = await world.runtime.object(Desk, "a").outcome.send(other)
    await end(world, id_)
    await end(world, other)
    await world.runtime.invocation(other).purge()
    again = await restart(world, id_, 2)
    with pytest.raises(TerminalError, match="does not exist") as raised:
        await outcome(world, again)
    assert raised.value.status_code == 404
    assert left_over(world) == []


async def test_a_message_is_read_by_the_turn_of_the_restart(world: World) -> None:
    id_ = await world.runtime.object(Desk, "a").message.send()
    await end(world, id_)
    again = await restart(world, id_, 2)
    await world.runtime.object(Desk, "a", mode="steer").take.send("hello")
    assert await outcome(world, again) == "hello"
    assert left_over(world) == []


async def test_messages_that_were_read_are_there_and_are_not_calls(world: World) -> None:
    id_ = await world.runtime.object(Desk, "a").messages.send()
    await end(world, id_)
    for from_entry in (2, 3):
        again = await restart(world, id_, from_entry)
        await world.runtime.invocation(again).signal("go")
        assert await outcome(world, again) == []
    assert left_over(world) == []


async def test_an_answer_is_asked_for_under_the_new_id_with_its_type(world: World) -> None:
    id_ = await world.runtime.object(Desk, "a").question.send()
    await end(world, id_)
    again = await restart(world, id_, 2)
    awakeable = AwakeableId(parse_invocation_id(again), 1)
    with pytest.raises(Exception, match="does not fit"):
        await world.runtime.resolve_awakeable(str(awakeable), "text")
    await world.runtime.resolve_awakeable(str(awakeable), 7)
    assert await outcome(world, again) == 7
    assert left_over(world) == []


async def test_an_answer_whose_time_was_up_meanwhile_is_not_awaited(world: World) -> None:
    id_ = await world.runtime.object(Desk, "a").question.send()
    await end(world, id_)
    await world.clock.advance(7200)
    again = await restart(world, id_, 2)
    with pytest.raises(AwakeableExpiredError):
        await outcome(world, again)
    assert left_over(world) == []


async def given_up(world: World) -> tuple[str, int]:
    """A saga that failed for good and was taken back; where its journal says so."""
    Desk.is_broken = True
    id_ = await world.runtime.object(Desk, "a").saga.send()
    with pytest.raises(TerminalError, match="out of order"):
        await outcome(world, id_)
    await world.clock.advance(7200)
    assert DONE == ["done", "undone", "called"]
    DONE.clear()
    entries = await world.runtime.invocation(id_).journal()
    return id_, next(entry.index for entry in entries if entry.kind == "give up")


async def test_a_restart_before_a_give_up_runs_the_handler_again(world: World) -> None:
    id_, index = await given_up(world)
    Desk.is_broken = False
    again = await restart(world, id_, index)
    assert await outcome(world, again) == "called"
    assert DONE == ["called"]
    assert left_over(world) == []


async def test_a_restart_behind_a_give_up_takes_back_and_does_nothing_else(world: World) -> None:
    id_, index = await given_up(world)
    Desk.is_broken = False
    again = await restart(world, id_, index + 1)
    with pytest.raises(TerminalError, match="out of order"):
        await outcome(world, again)
    await world.clock.advance(7200)
    assert DONE == ["undone"]
    assert left_over(world) == []
