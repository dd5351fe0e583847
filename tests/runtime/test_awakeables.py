"""Awakeables that say what they are for: a message, a type, a deadline; and the list of them."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    AwakeableExpiredError,
    ConflictError,
    Context,
    InvalidArgumentError,
    RetryPolicy,
    Service,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import parse_awakeable_id
from holdfast.runtime import awakeables
from holdfast.runtime.testing import settle
from holdfast.testing import Effects, crash_everywhere

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast import AwakeableInfo, AwakeablePage
    from holdfast.testing import Client

EFFECTS = Effects()
ONCE = RetryPolicy(max_attempts=1, on_max_attempts="fail")
TWICE = RetryPolicy(max_attempts=2, on_max_attempts="fail")


async def act(what: str) -> str:
    EFFECTS.add(what)
    await asyncio.sleep(0)
    return what


@dataclasses.dataclass
class Decision:
    approved: bool
    reason: str | None = None


class Order(VirtualObject):
    """Asks a person."""

    log: list[str] = state(default_factory=list)

    @handler
    async def place(self, ctx: Context, item: str, seconds: float | None) -> str:
        question = {"item": item, "key": ctx.key}
        try:
            decision = await ctx.awakeable(Decision, message=question, timeout=seconds)
        except AwakeableExpiredError as error:
            return f"{error.status_code} {error.type_name}"
        except TerminalError as error:
            return f"{error.status_code} {error.message}"
        self.log.append(await ctx.run("note", act, f"{item}: {decision.approved}"))
        return f"{type(decision).__name__} {decision.approved} {decision.reason}"

    @handler
    async def plain(self, ctx: Context) -> Any:
        return await ctx.awakeable()

    @handler
    async def many(self, ctx: Context, count: int) -> list[int]:
        asked = [ctx.awakeable(int, message=number) for number in range(count)]
        return list(await asyncio.gather(*(each.future for each in asked)))

    @handler
    async def give_up(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(5):
                await ctx.awakeable(bool, timeout=10)
        except AwakeableExpiredError:
            return "expired"
        except TimeoutError:
            pass
        await ctx.sleep(20)
        return "gave up"

    @handler
    async def uncaught(self, ctx: Context) -> None:
        await ctx.awakeable(bool, timeout=timedelta(seconds=5))

    @handler
    async def leave(self, ctx: Context) -> None:
        ctx.awakeable(bool, timeout=10)
        await ctx.run("act", act, "left")

    @handler(retry=TWICE)
    async def fail_sooner(self, ctx: Context) -> None:
        """The second attempt does not come as far as the first one."""
        message = "broken"
        if EFFECTS.lines:
            raise OSError(message)
        EFFECTS.add("waits")
        ctx.awakeable(bool, timeout=10)
        raise OSError(message)

    @handler(retry=ONCE)
    async def too_long(self, ctx: Context, message: Any, seconds: float) -> None:
        ctx.awakeable(bool, message=message, timeout=seconds)

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.log


class Boss(Service):
    @handler
    async def decide(self, ctx: Context, awakeable: str, value: Any) -> str:
        try:
            await ctx.resolve_awakeable(awakeable, value)
        except TerminalError as error:
            return f"{error.status_code} {error.type_name}: {error.message}"
        return "decided"

    @handler
    async def decide_twice(self, ctx: Context, awakeable: str, values: list[Any]) -> list[str]:
        """Without waiting for the first answer, and across a suspension."""
        answers = [ctx.resolve_awakeable(awakeable, value) for value in values]
        await ctx.sleep(1)
        told = await asyncio.gather(*answers, return_exceptions=True)
        return ["refused" if isinstance(each, TerminalError) else "ok" for each in told]

    @handler
    async def refuse(self, ctx: Context, awakeable: str, reason: str) -> None:
        await ctx.reject_awakeable(awakeable, TerminalError(reason, status_code=418))


CLASSES = [Order, Boss]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    EFFECTS.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


async def place(
    world: World, seconds: float | None = None, key: str = "7"
) -> tuple[asyncio.Future[str], AwakeableInfo]:
    """An order that waits for a person, and what that person sees."""
    placing = asyncio.ensure_future(world.runtime.object(Order, key).place("lamp", seconds))
    await settle()
    (info,) = await world.runtime.awakeables(Order, key)
    return placing, info


def rows(world: World) -> list[bytes]:
    return [
        key[:1]
        for table in (keys.AWAKEABLE, keys.TIMER)
        for key, _ in world.store.scan(*keys.prefix_range(table))
    ]


async def test_whoever_answers_sees_what_is_asked_of_whom_and_until_when(world: World) -> None:
    now = datetime.fromtimestamp(world.clock.now_ms() / 1000, UTC)
    placing, info = await place(world, 60)

    assert (info.service, info.key, info.handler) == ("Order", "7", "place")
    assert info.message == {"item": "lamp", "key": "7"}
    assert info.schema is not None
    assert info.schema["$defs"]["Decision"]["required"] == ["approved"]
    assert (info.created, info.deadline) == (now, now + timedelta(seconds=60))
    assert info.id.removeprefix("awk_").startswith(info.invocation_id.removeprefix("inv_"))

    assert await world.runtime.resolve_awakeable(info.id, {"approved": True, "reason": "cheap"})
    assert await placing == "Decision True cheap"
    assert rows(world) == []
    assert len(await world.runtime.awakeables()) == 0


@pytest.mark.parametrize("is_suspended", [False, True])
async def test_a_value_that_does_not_fit_is_refused_and_the_awakeable_stays_open(
    world: World, *, is_suspended: bool
) -> None:
    placing, info = await place(world, 60)
    if is_suspended:
        await world.restart()
        (again,) = await world.runtime.awakeables()
        assert again == info
    for value, problem in (
        ({"approved": "yes"}, r"at \$\.approved: expected boolean, found str"),
        ({}, r"at \$: 'approved' is a required property"),
        (None, r"at \$: expected object, found null"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"{info.id}, which stays open: {problem}"):
            await world.runtime.resolve_awakeable(info.id, value)
    with pytest.raises(InvalidArgumentError, match="it is no JSON"):
        await world.runtime.complete_awakeable(parse_awakeable_id(info.id), b"{")

    assert len(await world.runtime.awakeables()) == 1
    assert await world.runtime.resolve_awakeable(info.id, {"approved": False})
    if not is_suspended:
        assert await placing == "Decision False None"


class NoThread(threading.Thread):
    """The system gives none for what is done aside."""

    def start(self) -> None:
        if self.name == "holdfast-aside":
            message = "can't start new thread"
            raise RuntimeError(message)
        super().start()


async def test_a_deadline_is_kept_although_the_system_gives_no_thread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    awakeables._load_checker_once.cache_clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(threading, "Thread", NoThread)
    placing, _ = await place(world, seconds=10)
    await world.clock.advance(10)
    await settle()

    assert placing.done(), "nothing ends it"
    assert placing.result() == "408 AwakeableExpiredError"


class Unheard:
    """Nothing that could come from outside."""


class Wonder(Service, retry=ONCE):
    @handler
    async def ask(self, ctx: Context) -> None:
        await ctx.awakeable(Unheard)

    @handler
    async def name(self, ctx: Context, id_: int | None) -> list[str]:
        said: list[str] = []
        unchecked: Any = id_
        for verb in (
            ctx.cancel,
            partial(ctx.attach, type=int),
            partial(ctx.send_signal, name="go"),
            ctx.resolve_awakeable,
        ):
            with pytest.raises(InvalidArgumentError) as raised:
                verb(unchecked)
            said.append(raised.value.message)
        return said


async def test_a_question_that_nobody_could_answer_is_refused_where_it_is_asked() -> None:
    """It could be answered, and the answer was lost: it was none to the handler."""
    world = World([Wonder])
    runtime = await world.start()
    with pytest.raises(TerminalError, match=r"no value can be decoded as .*\.Unheard; use"):
        await runtime.service(Wonder).ask()
    assert not await runtime.awakeables()
    world.close()


@pytest.mark.parametrize("id_", [None, 7])
async def test_what_is_no_id_at_all_is_named(id_: int | None) -> None:
    world = World([Wonder])
    runtime = await world.start()
    said = await runtime.service(Wonder).name(id_)
    found = f"but this is {type(id_).__name__}: {id_}"
    assert said == [
        f"expected {kind}, {found}" for kind in (*["an invocation id"] * 3, "an awakeable id")
    ]
    unchecked: Any = id_
    with pytest.raises(InvalidArgumentError, match=found):
        await runtime.resolve_awakeable(unchecked, 5)
    with pytest.raises(InvalidArgumentError, match=found):
        runtime.invocation(unchecked)
    world.close()


async def test_a_rejection_needs_to_fit_nothing(world: World) -> None:
    placing, info = await place(world)
    assert await world.runtime.reject_awakeable(info.id, TerminalError("no", status_code=410))
    assert await placing == "410 no"

    placing, info = await place(world)
    await world.runtime.service(Boss).refuse(info.id, "never")
    assert await placing == "418 never"


async def test_a_handler_is_told_when_its_value_does_not_fit(world: World) -> None:
    placing, info = await place(world)
    boss = world.runtime.service(Boss)

    answer = await boss.decide(info.id, {"approved": 1})
    assert answer.startswith("400 InvalidArgumentError: the value does not fit")
    assert "at $.approved: expected boolean, found int" in answer
    assert await boss.decide(info.id, {"approved": True}) == "decided"
    assert await boss.decide(info.id, {"approved": 1}) == "decided"  # It is closed: no effect.
    assert await placing == "Decision True None"


async def test_what_a_handler_was_told_is_the_same_on_replay(world: World) -> None:
    placing, info = await place(world)
    values: list[Any] = [{"approved": 1}, {"approved": True}, {}]
    deciding = asyncio.ensure_future(world.runtime.service(Boss).decide_twice(info.id, values))
    await settle()
    world.runtime.suspend_idle()

    assert await world.finish(deciding) == ["refused", "ok", "ok"]
    assert await placing == "Decision True None"


async def test_an_awakeable_of_anything_says_nothing_and_takes_anything(world: World) -> None:
    waiting = asyncio.ensure_future(world.runtime.object(Order, "7").plain())
    await settle()
    (info,) = await world.runtime.awakeables()
    assert (info.message, info.schema, info.deadline) == (None, None, None)

    await world.runtime.resolve_awakeable(info.id, [1, {"a": None}])
    assert await waiting == [1, {"a": None}]


async def test_an_awakeable_expires_at_its_deadline(world: World) -> None:
    placing, info = await place(world, 60)
    world.runtime.suspend_idle()
    await world.clock.advance(59.9)
    assert not placing.done()
    await world.clock.advance(0.2)

    assert await placing == "408 AwakeableExpiredError"
    assert rows(world) == []
    with pytest.raises(ConflictError, match=f"too late: {info.id} was not resolved before its"):
        await world.runtime.resolve_awakeable(info.id, {"approved": True})
    with pytest.raises(ConflictError, match="too late"):
        await world.runtime.reject_awakeable(info.id, "no")


async def test_a_deadline_that_passes_while_nobody_runs_comes_first(world: World) -> None:
    _, info = await place(world, 60)
    await world.crash()
    world.clock.jump(3600)
    await world.start()

    with pytest.raises(ConflictError, match="too late"):
        await world.runtime.resolve_awakeable(info.id, {"approved": True})


async def test_one_that_is_resolved_in_time_does_not_expire(world: World) -> None:
    placing, info = await place(world, 60)
    resolving = world.runtime.resolve_awakeable(info.id, {"approved": True})
    world.clock.jump(60)
    await world.clock.advance(1)

    assert await resolving
    assert await placing == "Decision True None"


async def test_an_answer_that_is_repeated_is_no_failure(world: World) -> None:
    placing, info = await place(world, 5)
    assert await world.runtime.resolve_awakeable(info.id, {"approved": True})
    assert not await world.runtime.resolve_awakeable(info.id, {"approved": False})
    assert await placing == "Decision True None"
    await world.clock.advance(60)

    assert not await world.runtime.resolve_awakeable(info.id, {"approved": True})


async def test_whoever_answers_what_nobody_awaits_any_more_is_told(world: World) -> None:
    giving_up = asyncio.ensure_future(world.runtime.object(Order, "7").give_up())
    await settle()
    (info,) = await world.runtime.awakeables()
    await world.clock.advance(6)

    assert rows(world) == [keys.TIMER]  # Of the sleep.
    with pytest.raises(ConflictError, match=f"nobody waits for {info.id} any more"):
        await world.runtime.resolve_awakeable(info.id, value=True)
    assert await world.finish(giving_up) == "gave up"
    with pytest.raises(UnknownTargetError, match="there is no awakeable"):
        await world.runtime.resolve_awakeable(f"awk_{'0' * 40}")


async def test_an_expiry_that_nobody_catches_is_the_outcome(world: World) -> None:
    with pytest.raises(AwakeableExpiredError) as caught:
        await world.finish(world.runtime.object(Order, "7").uncaught())

    assert (caught.value.status_code, isinstance(caught.value, TimeoutError)) == (408, True)


@pytest.mark.parametrize("name", ["leave", "fail_sooner"])
async def test_a_handler_that_ends_takes_its_question_back(world: World, name: str) -> None:
    ended = asyncio.ensure_future(world.runtime.call_by_name("Order", "7", name))
    await asyncio.wait([ended, asyncio.ensure_future(world.clock.advance(2))])
    assert ended.done()
    assert (ended.exception() is None) == (name == "leave")

    assert rows(world) == []


async def test_a_question_that_is_too_long_is_refused_and_leaves_nothing(world: World) -> None:
    order = world.runtime.object(Order, "7")
    for message, seconds, problem in (
        ("x" * 16_384, 1, "at most 16,384 bytes of JSON, and this one has 16,386"),
        ("x", 1e12, "at most a hundred years"),
    ):
        with pytest.raises(TerminalError, match=problem):
            await order.too_long(message, seconds)

    assert rows(world) == []


async def listed(world: World, *arguments: Any, **options: Any) -> list[Any]:
    page: AwakeablePage = await world.runtime.awakeables(*arguments, **options)
    return [(each.key, each.message) for each in page]


async def test_open_awakeables_are_listed_in_order_and_by_pages(world: World) -> None:
    for key in ("a", "b"):
        await world.runtime.object(Order, key).many.send(3)
        await world.clock.advance(1)
    await world.restart()

    every = [(key, number) for key in "ab" for number in range(3)]
    assert (
        await listed(world) == await listed(world, Order) == await listed(world, "Order") == every
    )
    assert await listed(world, Order, "b") == every[3:]
    assert await listed(world, "Other") == await listed(world, Order, "c") == []

    first = await world.runtime.awakeables(limit=4)
    assert first.next == first.awakeables[-1].id
    second = await world.runtime.awakeables(limit=4, after=first.next)
    assert [each.message for each in (*first, *second)] == [0, 1, 2, 0, 1, 2]
    assert (len(first), len(second), second.next) == (4, 2, None)
    assert (await world.runtime.awakeables(limit=6)).next is None


async def test_a_page_looks_at_so_many_and_says_where_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awakeables, "LOOKED_AT_MAX", 2)
    await world.runtime.object(Order, "a").many.send(3)
    await world.clock.advance(1)
    await world.runtime.object(Order, "b").many.send(1)
    await settle()
    after, pages = None, 0
    found: list[Any] = []
    while pages == 0 or after is not None:
        page = await world.runtime.awakeables(key="b", after=after)
        found += [each.key for each in page]
        after, pages = page.next, pages + 1

    assert (found, pages) == (["b"], 2)


async def test_a_page_that_cannot_be_is_refused(world: World) -> None:
    for limit in (0, 1_001):
        with pytest.raises(InvalidArgumentError, match="a page has 1 to 1000 awakeables"):
            world.runtime.awakeables(limit=limit)
    with pytest.raises(InvalidArgumentError, match="expected an awakeable id"):
        world.runtime.awakeables(after="inv_" + "0" * 32)


async def ask_a_person(client: Client) -> list[Any]:
    """The first order is decided, at the second try; nobody decides the second one."""
    first = asyncio.ensure_future(client.object(Order, "a").place("lamp", 3600))
    second = asyncio.ensure_future(client.object(Order, "b").place("desk", 50))
    await client.sleep(1)
    while not (page := await client.ask(lambda runtime: runtime.awakeables(Order, "a"))):
        await client.sleep(1)
    (info,) = page
    refused = await client.service(Boss).decide(info.id, {"approved": "yes"})
    decided = await client.service(Boss).decide(info.id, {"approved": True})
    return [
        refused[:24],
        decided,
        await first,
        await second,
        await client.object(Order, "a").read(),
    ]


@pytest.mark.parametrize("suspending", [False, True])
async def test_a_person_is_asked_once_whatever_commit_the_process_dies_at(
    *, suspending: bool
) -> None:
    report = await crash_everywhere(
        ask_a_person, CLASSES, effects=EFFECTS, crash_again=True, suspending=suspending
    )

    assert report.ending.outcome == [
        "400 InvalidArgumentError",
        "decided",
        "Decision True None",
        "408 AwakeableExpiredError",
        ["lamp: True"],
    ]
    assert report.commits >= 5
