"""A check of open invocations ends with a verdict for each, whatever their rows and code are."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    Context,
    RetryPolicy,
    Service,
    StoreFailedError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.journal.view_store import ViewStore
from holdfast.objects.registry import Registry
from holdfast.runtime.checking import CheckedInvocation, Checker, Obstacle, Verdict
from holdfast.watched_check import CheckThread, check_open_invocations, silence

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from holdfast.journal.memory import MemoryStore

    Body = Callable[[Any, Context], Awaitable[Any]]

RELEASED = threading.Event()
"""What blocking handlers wait for, so that their threads end with the test."""


async def act(value: str = "") -> str:
    return value


async def original(me: Any, ctx: Context) -> None:
    me.seen.append(await ctx.run("a", act, "a"))
    me.seen.append(await ctx.run("b", act, "b"))
    await ctx.sleep(1_000)


def make_class(body: Body) -> type:
    class Job(VirtualObject):
        seen: list[str] = state(default_factory=list)

        @handler
        async def work(self, ctx: Context) -> None:
            await body(self, ctx)

        @shared
        async def watch(self, ctx: Context) -> None:
            await body(self, ctx)

    return Job


@pytest.fixture
async def world() -> AsyncIterator[World]:
    RELEASED.clear()
    world = World([make_class(original)])
    await world.start()
    yield world
    RELEASED.set()
    world.close()


async def parked(world: World, *keys_: str) -> MemoryStore:
    """Let a job wait at each key."""
    for key in keys_ or ("k",):
        await world.runtime.send_by_name("Job", key, "work")
    await world.rest()
    return world.store


def check(store: MemoryStore, *classes: type, seconds_max: float = 30) -> list[CheckedInvocation]:
    return list(check_open_invocations(store.view(), Registry(classes), seconds_max=seconds_max))


async def test_a_directory_in_which_nothing_is_open_is_safe(world: World) -> None:
    assert check(world.store, make_class(original)) == []


async def test_the_same_code_is_safe_and_says_which_invocation_it_was(world: World) -> None:
    store = await parked(world)
    (checked,) = check(store, make_class(original))

    assert checked.verdict is Verdict.SAFE
    assert (checked.target, checked.status, checked.entries) == ("Job/k/work", "begun", 6)
    assert checked.invocation_id.startswith("inv_")
    assert json.loads(json.dumps(checked.as_json()))["verdict"] == "safe"


async def test_a_class_that_is_gone_cannot_be_told(world: World) -> None:
    class Jobs(Service):
        @handler
        async def work(self, ctx: Context) -> None: ...

    store = await parked(world)
    (checked,) = check(store, Jobs)

    assert (checked.verdict, checked.obstacle) == (Verdict.UNKNOWN, Obstacle.MISSING)
    assert "there is no 'Job'; did you mean 'Jobs'?" in checked.reason


async def test_a_handler_that_is_gone_cannot_be_told(world: World) -> None:
    class Job(VirtualObject):
        @handler
        async def worked(self, ctx: Context) -> None: ...

    store = await parked(world)
    (checked,) = check(store, Job)

    assert checked.obstacle is Obstacle.MISSING
    assert "Job has no handler 'work'; did you mean 'worked'?" in checked.reason


class Greeter(VirtualObject):
    @handler(retry=RetryPolicy(initial_interval=timedelta(hours=1)))
    async def greet(self, ctx: Context, name: str) -> None:
        if name == "fails":
            raise ValueError(name)
        await ctx.sleep(1_000)


async def test_what_has_not_begun_is_safe_when_its_argument_fits(world: World) -> None:
    await world.crash()
    world.classes = [Greeter]
    runtime = await world.start()
    await runtime.object(Greeter, "g").greet.send("first")
    await runtime.object(Greeter, "g").greet.send("in the mailbox")
    await runtime.object(Greeter, "h").greet.send("later", delay=timedelta(hours=1))
    await runtime.object(Greeter, "i").greet.send("fails")
    await world.rest()

    class Numbered(VirtualObject, name="Greeter"):
        @handler
        async def greet(self, ctx: Context, name: int) -> None:
            await ctx.sleep(1_000)

    same, other = check(world.store, Greeter), check(world.store, Numbered)
    assert sorted((each.target[8:9], each.status) for each in same) == [
        ("g", "begun"),
        ("g", "inboxed"),
        ("h", "scheduled"),
        ("i", "begun"),
    ]
    assert {each.verdict for each in same} == {Verdict.SAFE}
    assert {each.obstacle for each in other} == {Obstacle.ARGUMENT}
    assert all("Greeter/greet: " in each.reason for each in other)


async def test_what_is_paused_is_checked_as_well(world: World) -> None:
    async def other(_: Any, ctx: Context) -> None:
        await ctx.run("other", act)

    await parked(world)
    await world.crash()
    world.classes = [make_class(other)]
    await world.start()
    await world.clock.advance(1_001)
    ((diverging,), (safe,)) = (
        check(world.store, make_class(other)),
        check(world.store, make_class(original)),
    )

    assert (diverging.status, diverging.verdict) == ("paused", Verdict.DIVERGES)
    assert diverging.mismatch is not None
    assert diverging.mismatch.index == 1
    assert (safe.status, safe.verdict) == ("paused", Verdict.SAFE)


def raises_at_once(_: Any, __: Context) -> Awaitable[None]:
    message = "no such luck"
    raise LookupError(message)


async def raises_in_the_middle(_: Any, ctx: Context) -> None:
    await ctx.run("a", act)
    message = "no such luck"
    raise LookupError(message)


async def raises_after_all(_: Any, ctx: Context) -> None:
    await ctx.run("a", act)
    await ctx.run("b", act)
    await ctx.sleep(1_000)
    message = "no such luck"
    raise LookupError(message)


@pytest.mark.parametrize(("body", "index"), [(raises_at_once, 1), (raises_in_the_middle, 3)])
async def test_an_exception_before_the_end_of_the_journal_cannot_be_told(
    world: World, body: Body, index: int
) -> None:
    (checked,) = check(await parked(world), make_class(body))

    assert (checked.verdict, checked.obstacle) == (Verdict.UNKNOWN, Obstacle.EXCEPTION)
    assert checked.reason.startswith("it raises LookupError: no such luck at test_checking.py:")
    assert checked.reason.endswith(f"before it comes to entry {index}")


async def test_what_comes_after_the_journal_is_not_run(world: World) -> None:
    (checked,) = check(await parked(world), make_class(raises_after_all))

    assert checked.verdict is Verdict.SAFE


@dataclass
class Leaving:
    value: str

    def __post_init__(self) -> None:
        if HAS_ENDED.is_set():
            sys.exit(0)


HAS_ENDED = threading.Event()


async def test_a_type_that_ends_the_process_does_not_end_the_check(world: World) -> None:
    """It would end with 0, which says that all is safe."""

    async def make(value: str) -> Leaving:
        return Leaving(value)

    async def makes(_: Any, ctx: Context) -> None:
        await ctx.run("a", make, "a")
        await ctx.sleep(1_000)

    await world.crash()
    world.classes = [make_class(makes)]
    await world.start()
    store = await parked(world, "j", "k")
    HAS_ENDED.set()
    try:
        checked = check(store, make_class(makes))
    finally:
        HAS_ENDED.clear()

    # The handler gets it as a failed step, here and in a runtime, and ends before its timer.
    assert [each.verdict for each in checked] == [Verdict.DIVERGES] * 2


async def test_an_end_that_is_an_outcome_is_a_divergence(world: World) -> None:
    async def ends_early(_: Any, ctx: Context) -> None:
        await ctx.run("a", act)

    (checked,) = check(await parked(world), make_class(ends_early))

    assert checked.mismatch is not None
    assert checked.mismatch.has_ended


async def test_what_is_given_up_on_the_way_out_is_named_as_a_start_names_it(world: World) -> None:
    async def waits_in_a_limit(_: Any, ctx: Context) -> None:
        async with asyncio.timeout(2_000):
            await ctx.run("a", act)
            await ctx.sleep(1_000)

    async def leaves_the_limit(_: Any, ctx: Context) -> None:
        async with asyncio.timeout(2_000):
            await ctx.run("a", act)

    await world.crash()
    world.classes = [make_class(waits_in_a_limit)]
    await world.start()
    (checked,) = check(await parked(world), make_class(leaves_the_limit))
    await world.crash()
    world.classes = [make_class(leaves_the_limit)]
    await world.start()
    await world.clock.advance(1_001)
    await world.rest()

    assert checked.mismatch is not None
    assert checked.mismatch.attempted.command == "cancellation of entry 1"
    assert world.runtime.journal("Job/k/work").reason == checked.mismatch.line


async def spins(_: Any, ctx: Context) -> None:
    await ctx.run("a", act)
    while True:  # noqa: ASYNC110  # it is to spin
        await asyncio.sleep(0)


async def loops(_: Any, ctx: Context) -> None:
    await ctx.run("a", act)
    while not RELEASED.is_set():
        pass


async def loops_whatever_is_raised(_: Any, ctx: Context) -> None:
    await ctx.run("a", act)
    while not RELEASED.is_set():
        with suppress(BaseException):
            while not RELEASED.is_set():
                pass


async def sleeps_in_the_thread(_: Any, ctx: Context) -> None:
    await ctx.run("a", act)
    RELEASED.wait()


async def blocks_in_its_clean_up(_: Any, ctx: Context) -> None:
    try:
        await ctx.run("a", act)
        await ctx.run("other", act)
    finally:
        RELEASED.wait()


async def blocks_in_an_async_generator(_: Any, ctx: Context) -> None:
    async def names() -> AsyncIterator[str]:
        yield "a"
        RELEASED.wait()
        yield "b"

    async for name in names():
        await ctx.run(name, act)


async def asks_in_an_async_generator(me: Any, ctx: Context) -> None:
    async def steps() -> AsyncIterator[str]:
        try:
            yield await ctx.run("a", act)
            yield await ctx.run("b", act)
            await ctx.sleep(1_000)
            yield ""
        finally:
            me.seen.append("closed")

    async for _ in steps():
        pass


async def catches_everything(_: Any, ctx: Context) -> None:
    while not RELEASED.is_set():
        with suppress(Exception):
            await ctx.run("other", act)


async def test_a_handler_that_spins_cannot_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.runtime.checking.CALLBACKS_MAX", 10_000)
    (checked,) = check(await parked(world), make_class(spins))

    assert checked.obstacle is Obstacle.STUCK
    assert "spins without end" in checked.reason
    assert "test_checking.py:" in checked.reason


@pytest.mark.parametrize(
    "body",
    [loops, loops_whatever_is_raised, sleeps_in_the_thread, blocks_in_an_async_generator],
)
async def test_a_handler_that_holds_its_thread_is_left_behind_and_the_others_are_checked(
    world: World, body: Body
) -> None:
    calls = 0

    async def holds_it_once(me: Any, ctx: Context) -> None:
        nonlocal calls
        calls += 1
        await (body if calls == 2 else original)(me, ctx)

    store = await parked(world, "j", "k", "l")
    started = time.monotonic()
    checked = check(store, make_class(holds_it_once), seconds_max=0.3)

    assert time.monotonic() - started < 20
    assert sorted(each.verdict for each in checked) == ["safe", "safe", "unknown"]
    (blocked,) = [each for each in checked if each.verdict is Verdict.UNKNOWN]
    assert blocked.obstacle is Obstacle.BLOCKED
    assert blocked.target.startswith("Job/")
    assert "it holds its thread at " in blocked.reason
    assert "test_checking.py:" in blocked.reason
    assert blocked.reason.endswith("for more than 0.3 s")


class Held:
    """A body that does ``second`` in its second call, and knows the thread that it ran in."""

    def __init__(self, second: Body) -> None:
        self.calls = 0
        self.began = threading.Event()
        self.thread: threading.Thread
        self._second = second

    async def __call__(self, me: Any, ctx: Context) -> None:
        self.calls += 1
        self.thread = threading.current_thread()
        if self.calls == 2:
            self.began.set()
        await (self._second if self.calls == 2 else original)(me, ctx)


async def test_a_check_that_is_given_up_leaves_no_thread_that_runs_handlers(world: World) -> None:
    """``holdfast dev`` checks for a few seconds only, and then serves in the same process."""
    held = Held(loops)
    view = (await parked(world, "j", "k", "l")).view()
    checking = check_open_invocations(view, Registry([make_class(held)]), seconds_max=30)
    assert next(checking).verdict is Verdict.SAFE
    assert held.began.wait(10)
    checking.close()

    assert not held.thread.is_alive()
    assert held.calls == 2
    assert gc.isenabled()


async def test_a_check_that_is_given_up_waits_for_no_handler_that_does_not_hear(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.watched_check.END_SECONDS_MAX", 0.1)
    held = Held(sleeps_in_the_thread)
    view = (await parked(world, "j", "k", "l")).view()
    checking = check_open_invocations(view, Registry([make_class(held)]), seconds_max=30)
    next(checking)
    assert held.began.wait(10)
    checking.close()
    RELEASED.set()
    held.thread.join(10)

    assert not held.thread.is_alive()
    assert held.calls == 2


async def test_a_check_that_is_given_up_with_many_results_untold_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.watched_check.WAITING_RESULTS_MAX", 1)
    held = Held(original)
    view = (await parked(world, "h", "i", "j", "k", "l")).view()
    checking = check_open_invocations(view, Registry([make_class(held)]), seconds_max=30)
    next(checking)
    assert held.began.wait(10)
    checking.close()

    assert not held.thread.is_alive()


async def test_who_goes_on_in_the_last_moment_is_not_left_behind_for_another(world: World) -> None:
    """The one that took too long ends while it is looked at, and the next one has begun."""
    held = Held(sleeps_in_the_thread)
    store = await parked(world, "j", "k")
    thread = CheckThread(store.view(), Registry([make_class(held)]), None)
    first = next(Checker(store.view(), Registry([make_class(held)])).find_open())
    assert held.began.wait(10)

    assert thread.leave_behind(first) is None
    RELEASED.set()
    told = [thread.results.get(timeout=10) for _ in range(3)]
    verdicts = [each.verdict for each in told if isinstance(each, CheckedInvocation)]
    assert verdicts == [Verdict.SAFE, Verdict.DIVERGES]
    assert told[2] is None


async def test_a_clean_up_that_blocks_does_not_hold_up_the_check(world: World) -> None:
    (checked,) = check(await parked(world), make_class(blocks_in_its_clean_up), seconds_max=0.3)

    assert checked.obstacle is Obstacle.BLOCKED


async def test_steps_in_an_async_generator_are_followed(world: World) -> None:
    (checked,) = check(await parked(world), make_class(asks_in_an_async_generator))

    assert checked.verdict is Verdict.SAFE


async def test_code_that_catches_its_divergence_for_ever_diverges(world: World) -> None:
    (checked,) = check(await parked(world), make_class(catches_everything))

    assert checked.verdict is Verdict.DIVERGES


async def test_the_state_is_that_of_the_beginning_of_the_turn(world: World) -> None:
    """The stored list holds two by now; a replay that saw them would take the other way."""

    async def looks(me: Any, ctx: Context) -> None:
        me.seen.append(await ctx.run("other" if me.seen else "a", act, "a"))
        me.seen.append(await ctx.run("b" if len(me.seen) == 1 else "other", act, "b"))
        await ctx.sleep(1_000)

    (checked,) = check(await parked(world), make_class(looks))

    assert checked.verdict is Verdict.SAFE


async def test_a_shared_handler_that_reads_what_it_did_not_read_cannot_be_told(
    world: World,
) -> None:
    async def reads_nothing(_: Any, ctx: Context) -> None:
        await original(Quiet(), ctx)

    async def reads(me: Any, ctx: Context) -> None:
        assert me.seen == []
        await original(Quiet(), ctx)

    await world.crash()
    world.classes = [make_class(reads_nothing)]
    await world.start()
    await world.runtime.send_by_name("Job", "k", "watch")
    await world.rest()
    (unread,), (read) = (
        check(world.store, make_class(reads_nothing)),
        check(world.store, make_class(reads)),
    )

    assert unread.verdict is Verdict.SAFE
    assert read[0].obstacle is Obstacle.UNRECORDED
    assert "it reads the state field 'seen'" in read[0].reason


class Quiet:
    seen: list[str] = []  # noqa: RUF012  # nobody looks


async def test_a_shared_handler_whose_reads_are_recorded_is_told(world: World) -> None:
    async def reads(me: Any, ctx: Context) -> None:
        await ctx.run("a" if not me.seen else "other", act)
        await ctx.run("b" if not me.seen else "other", act)
        await ctx.sleep(1_000)

    await world.crash()
    world.classes = [make_class(reads)]
    await world.start()
    await world.runtime.send_by_name("Job", "k", "watch")
    await world.rest()
    # It changes afterwards, which the recorded reads do not care about.
    await world.crash()
    world.classes = [make_class(original)]
    await world.start()
    await parked(world, "k")

    told = check(world.store, make_class(reads))
    assert [each.verdict for each in told if each.target.endswith("/watch")] == [Verdict.SAFE]


async def test_a_row_that_cannot_be_read_is_one_that_cannot_be_told(world: World) -> None:
    store = await parked(world, "j", "k")
    (damaged, _), *_ = store.scan(*keys.prefix_range(keys.INVOCATION))
    store.write({damaged: b"\x63not ours"})
    checked = check(store, make_class(original))

    assert [each.verdict for each in checked] == [Verdict.UNKNOWN, Verdict.SAFE]
    assert checked[0].obstacle is Obstacle.DAMAGED
    assert "format 63" in checked[0].reason


async def test_an_entry_that_cannot_be_read_is_one_that_cannot_be_told(world: World) -> None:
    store = await parked(world)
    (key, _), *_ = list(store.scan(*keys.prefix_range(keys.JOURNAL)))[2:]
    store.write({key: b"\x01\x91\xcc\xee"})
    (checked,) = check(store, make_class(original))

    assert checked.obstacle is Obstacle.DAMAGED
    assert "tag 238" in checked.reason


async def test_rows_that_cannot_be_read_at_all_end_the_check_with_the_error(world: World) -> None:
    view = (await parked(world)).view()
    view.close()

    with pytest.raises(StoreFailedError):
        list(check_open_invocations(view, Registry([make_class(original)]), seconds_max=1))


async def test_what_handlers_say_meanwhile_is_not_shown(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def talks(me: Any, ctx: Context) -> None:
        print("hello")  # noqa: T201  # users do
        await original(me, ctx)

    store = await parked(world)
    with silence():
        (checked,) = check(store, make_class(talks))

    assert checked.verdict is Verdict.SAFE
    assert capsys.readouterr().out == ""
    print("again")  # noqa: T201  # it is heard again
    assert capsys.readouterr().out == "again\n"
    assert not caplog.records


async def test_a_view_takes_no_writes(world: World) -> None:
    store = ViewStore(world.store.view())

    refused: list[Callable[[], object]] = [
        partial(store.write, {}),
        store.sync,
        store.maintain,
        partial(store.compact, b"", None),
    ]
    for call in refused:
        with pytest.raises(StoreFailedError, match="for reading only"):
            call()
