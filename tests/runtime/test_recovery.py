"""Many are under way when the process dies; the next one takes them up beside new calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler, state
from holdfast.runtime.recovery import RECOVERING_AT_ONCE_MAX
from holdfast.runtime.testing import settle

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast import Runtime

MANY = 8 * RECOVERING_AT_ONCE_MAX


class Model:
    """What steps ask; it answers once it is allowed to."""

    asked: ClassVar[list[str]] = []
    may_answer: ClassVar[asyncio.Event]

    @classmethod
    def forget(cls) -> None:
        cls.asked.clear()
        cls.may_answer = asyncio.Event()


async def ask_model(key: str) -> str:
    Model.asked.append(key)
    await Model.may_answer.wait()
    return f"answer for {key}"


class Busy(VirtualObject):
    answers: list[str] = state(default_factory=list)

    @handler
    async def think(self, ctx: Context) -> str:
        answer = await ctx.run("model", ask_model, ctx.key)
        self.answers.append(answer)
        return answer

    @handler
    async def count(self, ctx: Context) -> int:
        return len(self.answers)

    @handler
    async def race(self, ctx: Context) -> str:
        told = ctx.awakeable(str)
        await ctx.run("tell", self._publish, told.id)
        thinking = ctx.run("model", ask_model, ctx.key)
        async with asyncio.timeout(None):
            done, _ = await asyncio.wait(
                [asyncio.ensure_future(told), asyncio.ensure_future(thinking)],
                return_when=asyncio.FIRST_COMPLETED,
            )
        return "".join(sorted(each.result() for each in done))

    published: ClassVar[list[str]] = []

    @classmethod
    async def _publish(cls, id_: str) -> None:
        cls.published.append(id_)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Model.forget()
    Busy.published.clear()
    world = World([Busy])
    yield world
    world.close()


async def begin_many(world: World) -> list[str]:
    """Start as many as do not fit into one turn, and kill the process while all are in a step."""
    runtime = await world.start()
    keys = [f"k{number}" for number in range(MANY)]
    for key in keys:
        await runtime.object(Busy, key).think.send()
    await settle()
    assert sorted(Model.asked) == sorted(keys)
    await world.crash()
    Model.forget()
    return keys


def taken_up(world: World) -> int:
    return world.runtime.statistics().attempts_started


async def test_a_start_does_not_wait_for_all_that_was_under_way(world: World) -> None:
    await begin_many(world)
    await world.start()
    assert taken_up(world) == RECOVERING_AT_ONCE_MAX


async def test_a_call_is_answered_before_all_is_taken_up(world: World) -> None:
    await begin_many(world)
    runtime = await world.start()
    assert await runtime.object(Busy, "new").count() == 0
    assert taken_up(world) < MANY


async def test_a_call_is_answered_before_more_is_taken_up_than_memory_holds(world: World) -> None:
    await begin_many(world)
    world.config = RuntimeConfig(resident_attempts_max=2)
    runtime = await world.start()
    assert await runtime.object(Busy, "new").count() == 0
    assert taken_up(world) < MANY
    await settle()
    assert taken_up(world) == MANY + 1


async def test_all_that_was_under_way_is_taken_up_once(world: World) -> None:
    keys = await begin_many(world)
    runtime = await world.start()
    await settle()
    assert taken_up(world) == MANY
    assert sorted(Model.asked) == sorted(keys)
    Model.may_answer.set()
    await settle()
    assert [await runtime.object(Busy, key).count() for key in keys] == [1] * MANY


async def test_a_call_waits_behind_one_that_is_not_taken_up_yet(world: World) -> None:
    keys = await begin_many(world)
    runtime = await world.start()
    counted = [asyncio.ensure_future(runtime.object(Busy, key).count()) for key in keys]
    await settle()
    assert not any(each.done() for each in counted)
    Model.may_answer.set()
    assert await asyncio.gather(*counted) == [1] * MANY
    assert sorted(Model.asked) == sorted(keys)


async def test_one_that_is_not_taken_up_yet_can_be_cancelled(world: World) -> None:
    runtime = await world.start()
    sent = [await runtime.object(Busy, f"k{number}").think.send() for number in range(MANY)]
    await settle()
    await world.crash()
    Model.forget()
    runtime = await world.start()
    cancels = await asyncio.gather(*(runtime.invocation(id_).cancel() for id_ in sent))
    assert cancels == [True] * MANY
    Model.may_answer.set()
    await settle()
    assert runtime.statistics().invocations_completed == MANY
    assert await runtime.object(Busy, f"k{MANY - 1}").count() == 0


async def test_one_that_is_not_taken_up_yet_can_be_killed(world: World) -> None:
    runtime = await world.start()
    sent = [await runtime.object(Busy, f"k{number}").think.send() for number in range(MANY)]
    await settle()
    await world.crash()
    Model.forget()
    runtime = await world.start()
    kills = await asyncio.gather(*(runtime.invocation(id_).kill() for id_ in sent))
    assert kills == [True] * MANY
    await settle()
    assert runtime.statistics().attempts_resident == 0
    assert await runtime.object(Busy, f"k{MANY - 1}").count() == 0


async def test_one_that_is_not_taken_up_yet_takes_what_it_is_told(world: World) -> None:
    runtime = await world.start()
    for number in range(MANY):
        await runtime.object(Busy, f"k{number}").race.send()
    await settle()
    assert len(Busy.published) == MANY
    await world.crash()
    runtime = await world.start()
    await asyncio.gather(*(runtime.resolve_awakeable(id_, "told") for id_ in Busy.published))
    await settle()
    assert runtime.statistics().invocations_completed == MANY


async def test_a_crash_while_it_takes_up_loses_nobody(world: World) -> None:
    keys = await begin_many(world)
    await world.start()
    for rounds in range(4):
        for _ in range(rounds):
            await asyncio.sleep(0)
        Model.forget()
        await world.restart()
    await settle()
    Model.may_answer.set()
    await settle()
    counts = [await world.runtime.object(Busy, key).count() for key in keys]
    assert counts == [1] * MANY


async def test_a_stop_while_it_takes_up_leaves_the_rest_to_the_next_start(world: World) -> None:
    keys = await begin_many(world)
    runtime: Runtime = await world.start()
    store = world.store
    await runtime.stop()
    assert taken_up(world) < MANY
    world.store = store.crash(keep_written=False)
    Model.forget()
    runtime = await world.start()
    await settle()
    assert sorted(Model.asked) == sorted(keys)
