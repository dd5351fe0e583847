"""A disk with no room for new work: what only reads is answered, and leaves nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast import (
    Context,
    RuntimeConfig,
    StoreFullError,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.ingress.health import health_of
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .agents import Ledger, act
from .worlds import World


class Cart(VirtualObject):
    items: list[str] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @shared
    async def look(self, ctx: Context) -> list[str]:
        await asyncio.sleep(0)
        return self.items

    @shared
    async def price(self, ctx: Context, how: str) -> str:
        match how:
            case "step":
                return await ctx.run("price", act, "price")
            case "send":
                return await ctx.object(Cart, "other").add.send("tea")
            case "call":
                return str(await ctx.object(Cart, "other").add("tea"))
            case "sleep":
                await asyncio.sleep(1)
            case "flaky":
                message = "not this time"
                raise ValueError(message)
            case "patch":
                ctx.patched("new price")
            case _:
                raise TerminalError(how, status_code=418)
        return how


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    world = World([Cart])
    await world.start()
    await world.runtime.object(Cart, "sam").add("milk")
    world.store.is_nearly_full = True
    yield world
    world.close()


def rows(world: World) -> dict[bytes, bytes]:
    return dict(world.store.scan(b"", None))


async def test_a_read_is_answered_and_leaves_nothing(world: World) -> None:
    before, statistics = rows(world), world.runtime.statistics()
    assert await world.runtime.object(Cart, "sam").look() == ["milk"]
    assert rows(world) == before
    assert world.runtime.statistics().rows_written == statistics.rows_written


@pytest.mark.parametrize("how", ["step", "send", "call", "sleep", "patch"])
async def test_a_shared_handler_that_does_more_is_refused_and_leaves_nothing(
    world: World, how: str
) -> None:
    before = rows(world)
    with pytest.raises(TerminalError, match="no new work is accepted") as refused:
        await world.runtime.object(Cart, "sam").price(how)
    assert (refused.value.status_code, refused.value.type_name) == (507, "StoreFullError")
    await settle()
    assert rows(world) == before
    assert Ledger.lines == []


async def test_a_read_that_fails_is_not_tried_again_and_leaves_nothing(world: World) -> None:
    before = rows(world)
    request = CallRequest(target=Target("Cart", "sam", "price"), argument=b'"flaky"')
    answer = world.runtime.submit(request, wait=True)
    await settle()
    assert answer.done()
    outcome = answer.result().outcome
    assert isinstance(outcome, TerminalError)
    assert (outcome.status_code, outcome.type_name) == (507, "StoreFullError")
    assert rows(world) == before


@pytest.mark.parametrize(("name", "argument"), [("look", b""), ("price", b'"step"')])
async def test_reads_beyond_the_room_in_memory_are_refused_and_leave_nothing(
    world: World, name: str, argument: bytes
) -> None:
    world.config = RuntimeConfig(resident_attempts_max=3)
    await world.restart()
    world.store.is_nearly_full = True
    before, statistics = rows(world), world.runtime.statistics()
    target = Target("Cart", "sam", name)
    for number in range(9):
        request = CallRequest(target=target, argument=argument)
        if number < 3:
            world.runtime.submit(request, wait=True)
        else:
            with pytest.raises(StoreFullError):
                world.runtime.submit(request, wait=True)
    await settle()
    assert rows(world) == before
    assert world.runtime.statistics().rows_written == statistics.rows_written
    assert Ledger.lines == []


async def test_the_error_of_a_read_is_its_answer(world: World) -> None:
    with pytest.raises(TerminalError) as raised:
        await world.runtime.object(Cart, "sam").price("no teapot")
    assert (raised.value.message, raised.value.status_code) == ("no teapot", 418)


async def test_a_read_of_which_somebody_is_to_be_told_later_is_refused(world: World) -> None:
    look = Target("Cart", "sam", "look")
    for request, wait in (
        (CallRequest(target=look, argument=b"", idempotency_key="k"), True),
        (CallRequest(target=look, argument=b"", delay_ms=1), True),
        (CallRequest(target=look, argument=b""), False),
        (CallRequest(target=Target("Cart", "sam", "add"), argument=b'"tea"'), True),
    ):
        with pytest.raises(StoreFullError):
            world.runtime.submit(request, wait=wait)


async def test_a_read_keeps_its_outcome_where_there_is_room(world: World) -> None:
    world.store.is_nearly_full = False
    before = rows(world)
    assert await world.runtime.object(Cart, "sam").look() == ["milk"]
    assert len(rows(world)) == len(before) + 1


async def test_the_health_says_that_no_new_work_is_taken(world: World) -> None:
    assert health_of(world.runtime) == (503, "full")
    world.store.is_nearly_full = False
    assert health_of(world.runtime) == (200, "ok")


async def test_the_log_says_once_when_the_room_is_gone_and_once_when_it_is_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.clock.advance(10)
    world.store.is_nearly_full = False
    await world.clock.advance(10)

    gone, back = [record.message for record in caplog.records if "disk" in record.message]
    assert "less than 64 MiB are free" in gone
    assert "room again" in back
