"""Completed invocations run once more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
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
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target, parse_awakeable_id, parse_invocation_id
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
    async def stock(self, ctx: Context, item: str) -> int:
        self.sold.append(item)
        if not Shop.is_fixed:
            message = "out of order"
            raise TerminalError(message)
        return len(self.sold)

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


# -- From an entry ----------------------------------------------------------------------------


class Agent(VirtualObject):
    """Does everything that leaves an entry, and keeps what it sees."""

    is_fixed: ClassVar[bool] = True
    seen: list[str] = state(default_factory=list)
    pending: str = state("")
    number: float = state(default_factory=lambda: 1 / 7)

    @handler
    async def work(self, ctx: Context) -> list[str]:
        drawn = ctx.random.random()
        self.seen.append("begun")
        one = ctx.run("one", give, "one")
        began = ctx.time()
        self.seen.append(await one)
        self.seen.append(str(self.number))
        step = ctx.run("two", give, "two")
        self.seen.append("asked for two")
        await asyncio.sleep(1)
        self.seen.append(await step)
        self.seen.append(str(await ctx.object(Shop, "helper").count()))
        promise = ctx.awakeable(str)
        self.pending = promise.id
        self.seen.append(await promise)
        del self.pending
        self.seen.append(await ctx.run("three", give, f"three {drawn} {began}"))
        if not Agent.is_fixed:
            message = "a bug"
            raise TerminalError(message)
        return [*self.seen, str(drawn), str(began)]

    @handler
    async def note(self, ctx: Context, line: str) -> None:
        self.seen.append(line)

    @shared
    async def waits_for(self, ctx: Context) -> str:
        return self.pending


async def give(name: str) -> str:
    return Ledger.add(name)


@pytest.fixture
async def agents() -> AsyncIterator[World]:
    Ledger.lines.clear()
    Agent.is_fixed = True
    world = World([Agent, *CLASSES])
    yield world
    world.close()


async def let_work(world: World, id_: str, key: str = "a") -> list[str]:
    """Approve what it waits for; gives what it returned."""
    for _ in range(50):
        await world.clock.advance(1)
        runtime = world.runtime
        pending = (await runtime.state(Agent, key)).get("pending", "")
        if pending:
            awakeable = parse_awakeable_id(pending)
            if awakeable.invocation_id == parse_invocation_id(id_):
                await runtime.complete_awakeable(awakeable, b'"yes"')
        if (await runtime.invocation(id_).describe()).status == "completed":
            found: list[str] = await runtime.invocation(id_).attach()
            return found
    message = "it never ended"
    raise AssertionError(message)


@pytest.mark.parametrize("fork", [None, "other"])
async def test_a_restart_from_any_entry_ends_as_the_first_one_did(
    agents: World, fork: str | None
) -> None:
    runtime = await agents.start()
    await runtime.object(Agent, "a").note("before")
    first = await runtime.object(Agent, "a").work.send()
    expected = await let_work(agents, first)
    state_then = await runtime.state(Agent, "a")
    entries = (await runtime.invocation(first).describe()).entries
    assert entries > 12
    latest = first
    for entry in range(1, entries + 1):
        key = "a" if fork is None else f"{fork} {entry}"
        new_key = None if fork is None else key
        latest = await runtime.invocation(latest if fork is None else first).restart(
            from_entry=entry, fork=new_key
        )
        assert await let_work(agents, latest, key) == expected, f"from entry {entry}"
        assert dict(await runtime.state(Agent, key)) == dict(state_then), f"from entry {entry}"
        info = await runtime.invocation(latest).describe()
        assert info.restarted_from is not None


async def test_a_restart_goes_on_from_the_failed_step_after_a_fix(agents: World) -> None:
    runtime = await agents.start()
    Agent.is_fixed = False
    failed = await runtime.object(Agent, "a").work.send()
    with pytest.raises(TerminalError, match="a bug"):
        await let_work(agents, failed)
    done = list(Ledger.lines)
    Agent.is_fixed = True
    entries = (await runtime.invocation(failed).describe()).entries
    again = await runtime.invocation(failed).restart(from_entry=entries)
    runtime = await agents.restart(keep_written=False)
    assert (await let_work(agents, again))[-3].startswith("three")
    assert Ledger.lines == done


async def test_the_past_before_and_in_a_restart_stays_readable(agents: World) -> None:
    runtime = await agents.start()
    first = await runtime.object(Agent, "a").work.send()
    await let_work(agents, first)
    entries = (await runtime.invocation(first).describe()).entries
    before = [await runtime.state(Agent, "a", at=first, entry=k) for k in range(entries)]
    left = await runtime.state(Agent, "a", at=first)
    again = await runtime.invocation(first).restart(from_entry=6)
    await let_work(agents, again)
    assert [await runtime.state(Agent, "a", at=first, entry=k) for k in range(entries)] == before
    assert await runtime.state(Agent, "a", at=first) == left
    assert await runtime.state(Agent, "a", at=again, entry=0) == left
    copied = [await runtime.state(Agent, "a", at=again, entry=k) for k in range(1, 6)]
    assert copied == before[1:6]


async def test_a_later_turn_of_a_call_that_came_before_is_named(world: World) -> None:
    runtime = await world.start()
    holding = await runtime.object(Shop, "a").wait.send()
    await world.clock.advance(10)
    queued = await runtime.object(Shop, "a").stock.send("queued")
    await world.clock.advance(10)
    first = await runtime.object(Shop, "a", mode="interrupt").sell.send("tea")
    await settle()
    assert (await runtime.state(Shop, "a"))["sold"] == ["tea", "queued"]
    with pytest.raises(ConflictError, match=f"was changed since by {queued}; restart that one"):
        await runtime.invocation(first).restart(from_entry=1)
    assert (await runtime.invocation(holding).describe()).outcome == "failure"


async def test_what_stands_in_the_way_of_a_restart_is_named(agents: World) -> None:
    runtime = await agents.start()
    agent = runtime.object(Agent, "a")
    first = await agent.work.send()
    with pytest.raises(ConflictError, match="is not completed"):
        await runtime.invocation(first).restart(from_entry=1)
    await let_work(agents, first)
    running = await agent.work.send()
    await settle()
    with pytest.raises(ConflictError, match=running):
        await runtime.invocation(first).restart(from_entry=3)
    await let_work(agents, running)
    with pytest.raises(ConflictError, match=f"was changed since by {running}; restart that one"):
        await runtime.invocation(first).restart(from_entry=3)
    await agent.note("later")
    rows = dict(agents.store.scan(b"", None))
    for entry, fork, kind, says in (
        (3, None, ConflictError, "was changed since by inv_"),
        (0, None, InvalidArgumentError, "this is 1 to"),
        (99, None, InvalidArgumentError, "this is 1 to"),
        (3, "a", InvalidArgumentError, "is the key that"),
        (3, "", InvalidArgumentError, "must not be empty"),
    ):
        with pytest.raises(kind, match=says):
            await runtime.invocation(first).restart(from_entry=entry, fork=fork)
    with pytest.raises(InvalidArgumentError, match="needs from_entry="):
        await runtime.invocation(first).restart(fork="b")
    assert dict(agents.store.scan(b"", None)) == rows
    await runtime.object(Agent, "b").note("mine")
    with pytest.raises(ConflictError, match="has state already"):
        await runtime.invocation(running).restart(from_entry=3, fork="b")
    plain = await call(runtime, "Shop/a/count")
    with pytest.raises(NotKeptError, match="there is nothing to begin with"):
        await runtime.invocation(plain).restart(from_entry=1)
    order = await call(runtime, "Order/1/run")
    with pytest.raises(ConflictError, match="executes once per key"):
        await runtime.invocation(order).restart(from_entry=1)


async def test_a_restart_that_is_killed_leaves_nothing_behind(agents: World) -> None:
    runtime = await agents.start()
    first = await runtime.object(Agent, "a").work.send()
    await let_work(agents, first)
    for entry in (2, 5, 8, 11):
        latest = await runtime.invocation(first).restart(from_entry=entry, fork=f"k {entry}")
        await runtime.invocation(latest).kill()
    await settle()
    tables = {key[:1] for key, _ in agents.store.scan(b"", None)}
    assert not tables & {keys.TIMER, keys.REISSUE, keys.AWAKEABLE, keys.STEP, keys.LIVE, keys.TURN}


async def test_a_restart_that_ends_without_a_step_is_forgotten_with_all_that_it_began_with(
    world: World,
) -> None:
    world.config = replace(world.config, retention=timedelta(seconds=10))
    runtime = await world.start()
    failed = await call(runtime, "Shop/a/stock", b'"tea"')
    Shop.is_fixed = True
    again = await runtime.invocation(failed).restart(from_entry=1)
    assert await runtime.invocation(again).attach() == 1
    assert (await runtime.invocation(again).journal()).entries
    await world.clock.advance(120)

    left = {key[:1] for key, _ in world.store.scan(b"", None)} - {keys.META}
    assert left == {keys.STATE, keys.HISTORY}


async def test_a_service_is_restarted_from_an_entry_without_any_state(agents: World) -> None:
    runtime = await agents.start()
    first = await call(runtime, "Mailer/mail", b'"hello"')
    again = await runtime.invocation(first).restart(from_entry=3)
    assert await runtime.invocation(again).attach() == "hello"
    assert Ledger.lines == ["hello"]
    with pytest.raises(InvalidArgumentError, match="leave out fork="):
        await runtime.invocation(first).restart(from_entry=3, fork="b")
