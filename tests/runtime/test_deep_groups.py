"""Groups of exceptions within groups, as tasks that fail within tasks make them, however deep."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import (
    Context,
    RetryableError,
    RetryPolicy,
    StepFailedError,
    TerminalError,
    VirtualObject,
    handler,
)
from holdfast.objects.groups import leaves_of

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TWICE = RetryPolicy(
    initial_interval=timedelta(milliseconds=1),
    max_attempts=2,
    on_max_attempts="fail",
    stop_on=(PermissionError,),
)


class OwnGroup(ExceptionGroup[Exception]):
    """Has something of its own where a group has what is in it."""

    @property
    def exceptions(self) -> tuple[Exception, ...]:
        raise LookupError


def nest(error: Exception, depth: int) -> Exception:
    for _ in range(depth):
        error = ExceptionGroup("some task failed", [error])
    return error


def not_there() -> TerminalError:
    return TerminalError("deep down", status_code=404)


class Delegate(VirtualObject, retry=TWICE):
    @handler
    async def fail(self, ctx: Context, depth: int) -> None:
        raise nest(ValueError("deep down"), depth)

    @handler
    async def end(self, ctx: Context, depth: int) -> None:
        raise nest(not_there(), depth)

    @handler
    async def act(self, ctx: Context, depth: int) -> None:
        def act() -> None:
            raise nest(PermissionError("deep down"), depth)

        await ctx.run("act", act)

    @handler
    async def delegate(self, ctx: Context, depth: int) -> None:
        await self._delegate(depth)

    async def _delegate(self, depth: int) -> None:
        """Each task waits for one of its own, as agents of agents do."""
        if depth == 0:
            raise not_there()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._delegate(depth - 1))

    @handler
    async def ping(self, ctx: Context) -> str:
        return "pong"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Delegate])
    await world.start()
    yield world
    world.close()


async def test_a_deep_group_of_errors_ends_its_own_invocation_only(world: World) -> None:
    delegate = world.runtime.object(Delegate, "a")
    with pytest.raises(TerminalError, match="some task failed"):
        await world.finish(delegate.fail(600))
    with pytest.raises(StepFailedError, match="some task failed"):
        await world.finish(delegate.act(600))
    assert await delegate.ping() == "pong"


async def test_a_deep_group_of_terminal_errors_is_the_first_of_them(world: World) -> None:
    for call in (
        world.runtime.object(Delegate, "a").end,
        world.runtime.object(Delegate, "b").delegate,
    ):
        with pytest.raises(TerminalError, match="deep down") as raised:
            await world.finish(call(600))
        assert raised.value.status_code == 404


def test_a_group_counts_as_what_is_in_it_in_order_and_once() -> None:
    first, second, third = ValueError("1"), KeyError("2"), OSError("3")
    inner: Exception = ExceptionGroup("inner", [first, second])
    own: Exception = OwnGroup("own", [third])
    group = ExceptionGroup("outer", [inner, own, inner])
    assert leaves_of(group) == [first, second, third]
    assert leaves_of(first) == [first]


def test_a_group_that_stands_in_groups_again_and_again_is_looked_at_once() -> None:
    groups: list[Exception] = [ValueError("2 ** 60 times")]
    for _ in range(60):
        groups.append(ExceptionGroup("twice", [groups[-1], groups[-1]]))
    group = groups[-1]
    assert RetryPolicy(retry_on=(ValueError,)).retries(group)
    assert not RetryPolicy(stop_on=(ValueError,)).retries(group)
    assert RetryPolicy().retries(ExceptionGroup("g", [RetryableError("busy"), group]))
