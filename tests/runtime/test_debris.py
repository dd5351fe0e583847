"""Disk space of what was deleted comes back, whichever process has deleted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast import Context, MemoryStore, Service, handler
from holdfast.objects.identity import parse_invocation_id
from holdfast.runtime import debris, maintenance

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.objects.identity import InvocationId

RESULT_BYTES = 1000


class Reader(Service):
    @handler
    async def read(self, ctx: Context) -> None:
        await ctx.run("read", lambda: "x" * RESULT_BYTES)


class Compactions:
    """Which ranges the stores were asked to compact."""

    def __init__(self) -> None:
        self.ends: list[bytes] = []
        self.fails = False

    def compact(self, start: bytes, end: bytes) -> None:
        if self.fails:
            message = "killed"
            raise OSError(message)
        if start == b"j":
            self.ends.append(end)


@pytest.fixture
def compactions(monkeypatch: pytest.MonkeyPatch) -> Compactions:
    """They pay once three journals were deleted."""
    found = Compactions()
    monkeypatch.setattr(MemoryStore, "compact", found.compact)
    monkeypatch.setattr(maintenance, "COMPACT_BYTES_MIN", 3 * RESULT_BYTES)
    monkeypatch.setattr(debris, "STEP_BYTES", RESULT_BYTES)
    return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Reader])
    await world.start()
    yield world
    world.close()


async def purge(world: World, count: int) -> InvocationId:
    """Have so many journals, and purge them; gives the last of them."""
    found: list[InvocationId] = []
    for _ in range(count):
        id_ = await world.runtime.service(Reader).read.send()
        await world.runtime.invocation(id_).attach()
        await world.runtime.invocation(id_).purge()
        found.append(parse_invocation_id(id_))
    return max(found)


async def test_what_a_killed_process_has_purged_is_counted_by_the_next(
    world: World, compactions: Compactions
) -> None:
    last = await purge(world, 2)
    await world.restart()
    await world.clock.advance(2)
    assert compactions.ends == []
    last = max(last, await purge(world, 1))
    await world.clock.advance(2)

    assert compactions.ends == [b"j" + last + b"\xff"]
    await world.restart()
    await purge(world, 2)
    await world.clock.advance(2)
    assert len(compactions.ends) == 1, "it counts what is compacted already"


async def test_what_was_purged_before_the_kill_is_within_what_is_compacted(
    world: World, compactions: Compactions
) -> None:
    """Also where nothing is deleted any more."""
    compactions.fails = True
    last = await purge(world, 3)
    await world.clock.advance(2)
    assert world.runtime.failure is not None
    compactions.fails = False
    await world.restart()
    await world.clock.advance(2)

    assert compactions.ends == [b"j" + last + b"\xff"]
