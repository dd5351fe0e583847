"""Ctrl-C, and whatever else is no ``Exception``, in the middle of a decision."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import Context, Service, StoreFailedError, handler
from holdfast.journal.memory import MemoryStore
from holdfast.runtime.commits import Commits
from holdfast.runtime.slow_syncs import SlowSyncs
from holdfast.runtime.testing import InlineThreads, ManualClock

from .worlds import World


class Abort(BaseException):
    """As a test runner's, to be seen by nobody on the way."""


@pytest.mark.parametrize("raised", [KeyboardInterrupt, Abort, asyncio.CancelledError])
def test_half_a_decision_is_never_written(raised: type[BaseException]) -> None:
    store, told = MemoryStore(), list[BaseException]()
    commits = Commits(
        store,
        InlineThreads(),
        sync_inline=True,
        slow_syncs=SlowSyncs(ManualClock()),
        request_turn=lambda: None,
        fail=told.append,
    )

    def decide() -> None:
        commits.put(b"one half", b"1")
        raise raised

    with pytest.raises(raised):
        commits.guard(decide)
    commits.write()
    assert store.get(b"one half") is None
    assert [type(each) for each in told] == [raised]


def test_an_interrupted_effect_is_the_last() -> None:
    told = list[BaseException]()
    commits = Commits(
        MemoryStore(),
        InlineThreads(),
        sync_inline=True,
        slow_syncs=SlowSyncs(ManualClock()),
        request_turn=lambda: None,
        fail=told.append,
    )

    def interrupt() -> None:
        raise KeyboardInterrupt

    commits.put(b"key", b"row")
    commits.when_durable(interrupt)
    with pytest.raises(KeyboardInterrupt):
        commits.write()
    assert commits.has_failed
    assert [type(each) for each in told] == [KeyboardInterrupt]


@dataclass
class Odd:
    number: int

    def __post_init__(self) -> None:
        if self.number:
            raise Abort


class Asker(Service):
    @handler
    async def gives(self, ctx: Context, number: int) -> dict[str, int]:
        return {"number": number}

    @handler
    async def asks(self, ctx: Context, number: int) -> Any:
        return await ctx.run("make", make, number)


async def make(number: int) -> Odd:
    odd = object.__new__(Odd)
    odd.number = number
    return odd


async def test_nobody_waits_for_ever_for_a_runtime_that_was_interrupted() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    world = World([Asker])
    runtime = await world.start()
    with pytest.raises(StoreFailedError, match="Abort"):
        await asyncio.wait_for(runtime.service(Asker).asks(1), 5)
    with pytest.raises(StoreFailedError):
        await asyncio.wait_for(runtime.service(Asker).asks(0), 5)
    assert runtime.health == "failed"
    world.close()
