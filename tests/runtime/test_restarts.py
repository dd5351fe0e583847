"""Completed invocations run once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from holdfast import (
    ConflictError,
    Context,
    InvalidArgumentError,
    MailboxFullError,
    NotKeptError,
    RuntimeConfig,
    Service,
    StoreFullError,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    state,
)
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .agents import Ledger, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.runtime.engine import Engine


class Shop(VirtualObject):
    """Sells, once what was wrong with it is fixed."""

    is_fixed: ClassVar[bool] = False
    sold: list[str] = state(default_factory=list)

    @handler
    async def sell(self, ctx: Context, item: str, count: int = 1) -> str:
        self.sold.append(item)
        if not Shop.is_fixed:
            message = "out of order"
            raise TerminalError(message)
        charged = await ctx.run("charge", act, f"charge {count} {item}")
        return f"{charged} {ctx.headers.get('x-request-id', '')}"

    @handler
    async def count(self, ctx: Context) -> int:
        return len(self.sold)

    @handler
    async def wait(self, ctx: Context) -> str:
        return await ctx.awakeable(str)


class Order(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.run("order", act, "ordered")


class Mailer(Service):
    @handler
    async def mail(self, ctx: Context, letter: str) -> str:
        return await ctx.run("mail", act, letter)


CLASSES: list[type] = [Shop, Order, Mailer]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    Shop.is_fixed = False
    world = World(CLASSES)
    yield world
    world.close()


async def call(runtime: Engine, path: str, argument: bytes = b"") -> str:
    """Call a handler to its end, whatever that is; gives the id."""
    parts = path.split("/")
    target = Target(parts[0], parts[1] if len(parts) == 3 else None, parts[-1])
    request = CallRequest(target=target, argument=argument, headers={"x-request-id": "r-1"})
    return (await runtime.submit(request, wait=True)).invocation_id


async def test_a_failed_call_is_run_again_with_its_input_after_a_crash(world: World) -> None:
    runtime = await world.start()
    failed = await call(runtime, "Shop/a/sell", b'{"item": "tea", "count": 2}')
    runtime = await world.restart()
    Shop.is_fixed = True
    again = await runtime.invocation(failed).restart()
    runtime = await world.restart(keep_written=False)
    assert await runtime.invocation(again).attach() == "charge 2 tea r-1"
    info = await runtime.invocation(again).describe()
    assert (again != failed, info.restarted_from) == (True, failed)
    assert (await runtime.state(Shop, "a"))["sold"] == ["tea", "tea"]


async def test_one_that_succeeded_does_it_all_again_as_other_steps(world: World) -> None:
    runtime = await world.start()
    Shop.is_fixed = True
    for path, argument in (("Mailer/mail", b'"hello"'), ("Shop/a/sell", b'{"item": "tea"}')):
        first = await call(runtime, path, argument)
        again = await runtime.invocation(first).restart()
        await runtime.invocation(again).attach()
    assert Ledger.lines == ["hello", "hello", "charge 1 tea", "charge 1 tea"]


async def test_a_restart_of_a_restart_names_the_one_it_was_made_from(world: World) -> None:
    runtime = await world.start()
    first = await call(runtime, "Shop/a/sell", b'{"item": "tea"}')
    second = await runtime.invocation(first).restart()
    await settle()
    third = await runtime.invocation(second).restart()
    await settle()
    assert (await runtime.invocation(third).describe()).restarted_from == second


async def test_what_cannot_be_restarted_is_refused_with_the_reason(world: World) -> None:
    runtime = await world.start()
    plain = await call(runtime, "Shop/a/count")
    order = await call(runtime, "Order/1/run")
    running = await runtime.object(Shop, "b").wait.send()
    await settle()
    for id_, kind, says in (
        (plain, NotKeptError, "the input of Shop/a/count"),
        (order, ConflictError, "executes once per key"),
        (running, ConflictError, r"is not completed: cancel\(\) or kill\(\) it first"),
        ("inv_" + "0" * 32, UnknownTargetError, "does not exist"),
    ):
        with pytest.raises(kind, match=says):
            await runtime.invocation(id_).restart()


async def test_a_restart_is_let_in_like_any_call(world: World) -> None:
    world.config = RuntimeConfig(mailbox_invocations_max=1)
    runtime = await world.start()
    failed = await call(runtime, "Shop/a/sell", b'{"item": "tea"}')
    await runtime.object(Shop, "a").wait.send()
    await runtime.object(Shop, "a").count.send()
    rows = dict(world.store.scan(b"", None))
    with pytest.raises(MailboxFullError):
        await runtime.invocation(failed).restart()
    world.store.is_nearly_full = True
    with pytest.raises(StoreFullError):
        await runtime.invocation(failed).restart()
    assert dict(world.store.scan(b"", None)) == rows


async def test_an_argument_that_fits_no_more_is_refused_at_the_door(world: World) -> None:
    runtime = await world.start()
    failed = await call(runtime, "Shop/a/sell", b'{"item": "tea"}')

    class Changed(VirtualObject, name="Shop"):
        @handler
        async def sell(self, ctx: Context, item: int) -> None:
            pass

    await world.crash()
    world.classes = [Changed]
    runtime = await world.start()
    with pytest.raises(InvalidArgumentError, match="Shop/sell"):
        await runtime.invocation(failed).restart()
    await world.crash()
    world.classes = [Order]
    runtime = await world.start()
    with pytest.raises(UnknownTargetError, match="there is no 'Shop'"):
        await runtime.invocation(failed).restart()
