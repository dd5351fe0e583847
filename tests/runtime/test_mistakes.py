"""A mistake that every attempt comes to is not tried again; one that takes two at a time is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from holdfast import (
    Context,
    RetryPolicy,
    StepFailedError,
    TerminalError,
    VirtualObject,
    handler,
    state,
)
from holdfast.runtime.testing import settle

from .worlds import World

PATIENT = RetryPolicy(max_attempts=3, on_max_attempts="fail")


class Beginner(VirtualObject):
    """Its code can be mended while the process runs."""

    is_mended: ClassVar[bool] = False
    attempts: ClassVar[int] = 0
    gate: ClassVar[asyncio.Event]

    count: int = state(0)

    @handler
    async def threads(self, ctx: Context) -> str:
        await ctx.run("first", str)
        self._begin()
        if Beginner.is_mended:
            return await ctx.run("read", str, "read")
        return await asyncio.to_thread(str, "read")

    @handler
    async def group(self, ctx: Context) -> None:
        self._begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(str, "read"))
            tasks.create_task(asyncio.sleep(10))

    @handler
    async def reads_state(self, ctx: Context) -> int:
        def read() -> int:
            self._begin()
            return 7 if Beginner.is_mended else self.count

        return await ctx.run("read", read)

    @handler
    async def prepared(self, ctx: Context) -> Any:
        def read() -> int:
            self._begin()
            return self.count

        try:
            return await ctx.step(retry=RetryPolicy(max_attempts=2)).run("read", read)
        except StepFailedError as error:
            return error.type_name

    @handler(retry=PATIENT)
    async def given_up(self, ctx: Context) -> None:
        self._begin()
        await asyncio.to_thread(str, "read")

    @handler
    async def waits(self, ctx: Context) -> None:
        await asyncio.gather(ctx.sleep(1), Beginner.gate.wait())

    @handler
    async def wakes(self, ctx: Context) -> str:
        self._begin()
        Beginner.gate.clear()
        Beginner.gate.set()
        return "went on"

    @handler
    async def busy(self, ctx: Context) -> None:
        self._begin()
        message = "the service is down"
        raise ConnectionError(message)

    def _begin(self) -> None:
        Beginner.attempts += 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Beginner.is_mended, Beginner.attempts, Beginner.gate = False, 0, asyncio.Event()
    world = World([Beginner])
    await world.start()
    yield world
    world.close()


@pytest.mark.parametrize(
    ("how", "says", "result"),
    [
        (
            "threads",
            "every attempt of its code would fail; resume it once that is mended: Forbidden",
            "read",
        ),
        (
            "reads_state",
            "every attempt of step 'read' would fail as its code is; resume it once that is",
            7,
        ),
    ],
)
async def test_a_mistake_pauses_at_once_and_a_resume_goes_on_from_there(
    world: World, caplog: pytest.LogCaptureFixture, how: str, says: str, result: Any
) -> None:
    id_ = await world.runtime.send_by_name("Beginner", "a", how)
    await world.clock.advance(5)
    info = await world.runtime.invocation(id_).describe()

    assert (info.status, Beginner.attempts) == ("paused", 1)
    assert info.last_failure.startswith(says)
    assert "test_mistakes.py:" in info.last_failure, "the line is named"
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == [
        f"Beginner/a/{how} ({id_}) is paused: {info.last_failure}"
    ]

    runtime = await world.restart()
    await world.clock.advance(3_600)
    assert Beginner.attempts == 1, "nor does a start try it again"
    Beginner.is_mended = True
    assert await runtime.invocation(id_).resume()
    await settle()
    assert await runtime.invocation(id_).output() == result


async def test_a_group_of_which_a_part_is_a_mistake_pauses_at_once(world: World) -> None:
    id_ = await world.runtime.send_by_name("Beginner", "a", "group")
    await world.clock.advance(60)
    assert (await world.runtime.invocation(id_).describe()).status == "paused"
    assert Beginner.attempts == 1


async def test_a_policy_that_ends_in_an_outcome_is_followed_as_it_is_written(world: World) -> None:
    beginner = world.runtime.object(Beginner, "a")
    said = asyncio.ensure_future(beginner.prepared())
    await world.clock.advance(60)
    assert (await said, Beginner.attempts) == ("ContextMisuseError", 2)

    Beginner.attempts = 0
    said = asyncio.ensure_future(beginner.given_up())
    await world.clock.advance(60)
    with pytest.raises(TerminalError, match=r"asyncio.to_thread at .*test_mistakes.py:"):
        await said
    assert Beginner.attempts == PATIENT.max_attempts


async def test_what_takes_two_handlers_at_one_moment_is_tried_again(world: World) -> None:
    runtime = world.runtime
    await runtime.object(Beginner, "a").waits.send()
    await settle()
    wakes = asyncio.ensure_future(runtime.object(Beginner, "b").wakes())
    await world.clock.advance(10)
    assert await wakes == "went on"
    assert Beginner.attempts > 1, "as long as the other one waited, it failed"


async def test_an_error_of_the_world_is_tried_again(world: World) -> None:
    await world.runtime.send_by_name("Beginner", "a", "busy")
    await world.clock.advance(10)
    assert Beginner.attempts > 1


async def test_one_that_is_told_to_end_after_a_mistake_ends(world: World) -> None:
    id_ = await world.runtime.send_by_name("Beginner", "a", "threads")
    await settle()
    assert await world.runtime.invocation(id_).cancel()
    await settle()
    info = await world.runtime.invocation(id_).describe()
    assert (info.status, info.outcome) == ("completed", "failure")
