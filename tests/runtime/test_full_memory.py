"""More to run than memory has room for: what must wait is rows, and waits for nobody for ever."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from holdfast import Context, RuntimeConfig, Service, TerminalError, VirtualObject, handler, state
from holdfast.journal import keys
from holdfast.objects.identity import Target, format_invocation_id
from holdfast.runtime.engine import Engine
from holdfast.runtime.invocation_handle import InvocationHandle
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .agents import Agent, Caller, Counter
from .worlds import World

ROOM = 3


class Order(VirtualObject):
    """Says when its handlers begin."""

    begun: ClassVar[list[str]] = []
    is_paid: bool = state(default=False)

    @handler
    async def place(self, ctx: Context) -> str:
        self.begun.append(ctx.key)
        await asyncio.sleep(0)
        self.is_paid = True
        return ctx.key


class Outsider(Service):
    """Its actions call the runtime as somebody outside would."""

    runtime: ClassVar[Engine]

    @handler
    async def ask(self, ctx: Context, key: str) -> int:
        return await ctx.run("call", self._call, key)

    async def _call(self, key: str) -> int:
        return await self.runtime.object(Counter, key).add(1)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Order.begun.clear()
    world = World(
        [Order, Outsider, Counter, Agent, Caller], RuntimeConfig(resident_attempts_max=ROOM)
    )
    await world.start()
    yield world
    world.close()


def send(world: World, target: Target, argument: bytes = b"") -> "asyncio.Future[Any]":
    return world.runtime.submit(CallRequest(target=target, argument=argument), wait=True)


def resident(world: World) -> int:
    return world.runtime.statistics().attempts_resident


async def test_a_flood_to_new_keys_stays_within_the_room_and_begins_in_order(
    world: World,
) -> None:
    names = [f"{number:03}" for number in range(200)]
    answers = [send(world, Target("Order", name, "place")) for name in names]
    most = 0
    while not all(answer.done() for answer in answers):
        most = max(most, resident(world))
        await asyncio.sleep(0)

    assert most <= ROOM
    assert Order.begun == names
    assert [answer.result().outcome for answer in answers] == [
        b'"%s"' % name.encode() for name in names
    ]
    assert len(list(world.store.scan(*keys.prefix_range(keys.LIVE)))) == 0


async def test_what_waits_for_room_begins_after_a_crash(world: World) -> None:
    answers = [send(world, Target("Counter", f"{number}", "add"), b"1") for number in range(50)]
    assert resident(world) == ROOM
    # The batch of this turn is written, and nothing has run.
    world.runtime._commits.write()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    await world.restart()
    await settle()

    assert all(answer.exception() for answer in answers)
    values = [await world.runtime.object(Counter, f"{number}").add(0) for number in range(50)]
    assert values == [1] * 50


async def test_actions_that_fill_the_memory_are_not_waited_for_by_what_they_call(
    world: World,
) -> None:
    Outsider.runtime = world.runtime
    asked = [
        send(world, Target("Outsider", None, "ask"), b'"%d"' % number) for number in range(5 * ROOM)
    ]
    await settle()
    assert [answer.result().outcome for answer in asked] == [b"1"] * 5 * ROOM


async def test_calls_between_handlers_go_through_a_room_for_one(world: World) -> None:
    world.config = RuntimeConfig(resident_attempts_max=1)
    await world.restart()
    asked = [send(world, Target("Caller", f"{number}", "relay"), b"5") for number in range(10)]
    await settle()
    assert [answer.result().outcome for answer in asked] == [b"5"] * 10


def find_late(world: World) -> InvocationHandle[Any]:
    """The last of those that wait for room."""
    attempts = world.runtime._attempts  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    id_ = next(reversed(attempts._late))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return world.runtime.invocation(format_invocation_id(id_))


@pytest.mark.parametrize("is_killed", [True, False])
async def test_what_waits_for_room_can_be_killed_and_paused(
    world: World, *, is_killed: bool
) -> None:
    answers = [send(world, Target("Order", f"{number}", "place")) for number in range(20)]
    late = find_late(world)
    told = late.kill() if is_killed else late.pause()
    await settle()

    assert await told
    assert Order.begun[-1] == "18"
    last = answers.pop()
    if is_killed:
        assert isinstance(last.result().outcome, TerminalError)
    else:
        assert await late.resume()
        await settle()
        assert last.result().outcome == b'"19"'
    assert all(isinstance(answer.result().outcome, bytes) for answer in answers)


async def test_what_waits_for_room_gets_a_cancellation_when_it_begins(world: World) -> None:
    answers = [send(world, Target("Agent", f"{number}", "nap"), b"9") for number in range(20)]
    told = find_late(world).cancel()
    await settle()

    assert await told
    assert isinstance(answers.pop().result().outcome, TerminalError)
    assert not any(answer.done() for answer in answers)
    await world.clock.advance(10)
    assert {answer.result().outcome for answer in answers} == {b"9.0"}
