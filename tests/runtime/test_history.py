"""What an object held at a past moment, read and forked: exact, or refused with the reason."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    ConflictError,
    Context,
    InvalidArgumentError,
    NotKeptError,
    RuntimeConfig,
    Service,
    StoreFailedError,
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
from holdfast.journal.records import decode_outcome
from holdfast.objects.identity import Target, parse_awakeable_id, parse_invocation_id
from holdfast.runtime.budget import Budget
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle
from holdfast.testing.dying_store import DyingStore

from .agents import Ledger, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from holdfast.runtime.engine import Engine
    from holdfast.runtime.forgetting import Forgetting


@dataclass
class Mood:
    name: str


class Chat(VirtualObject):
    """A conversation with a step in each turn, and some ways to change it without one."""

    mood: Mood | None = state(None)
    lines: list[str] = state(default_factory=list, name="said")
    topic: str = state("none")

    @handler
    async def say(self, ctx: Context, text: str, topic: str = "") -> int:
        self.lines.append(text)
        self.mood = Mood(text)
        if topic:
            self.topic = topic
        self.lines.append(await ctx.run("answer", act, f"re: {text}"))
        return len(self.lines)

    @handler
    async def wait(self, ctx: Context) -> str:
        awakeable = ctx.awakeable(str)
        self.topic = f"waits for {awakeable.id}"
        self.topic = await awakeable
        await ctx.run("after", act, "after")
        self.topic += "!"
        return self.topic

    @handler
    async def set_topic(self, ctx: Context, topic: str) -> None:
        self.topic = topic

    @handler
    async def set_name(self, ctx: Context, name: str, value: Any) -> None:
        ctx.set(name, value)
        await ctx.run("set", act, name)

    @handler
    async def forget_topic(self, ctx: Context) -> None:
        del self.topic

    @handler
    async def forget_topic_with_step(self, ctx: Context) -> None:
        del self.topic
        await ctx.run("forget", act, "forgot")

    @handler
    async def refuse(self, ctx: Context) -> None:
        self.topic = "refused"
        message = "no"
        raise TerminalError(message)

    @handler
    async def write_much(self, ctx: Context, count: int) -> None:
        self.lines.extend(f"line {number} of a long text" for number in range(count))
        await ctx.run("write", act, "wrote")

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.lines


class Order(Workflow):
    item: str = state("")
    note: str = state("new")

    @handler
    async def run(self, ctx: Context, item: str) -> None:
        self.item = item
        assert self.note
        await ctx.run("order", act, item)
        self.item += " ordered"


class Plain(Service):
    @handler
    async def say(self, ctx: Context) -> None:
        pass


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Ledger.lines.clear()
    world = World([Chat, Order, Plain], RuntimeConfig(retention=timedelta(hours=1)))
    yield world
    world.close()


async def call(
    runtime: Engine, handler_name: str, argument: bytes = b"", *, key: str = "sam"
) -> str:
    """Call a handler to its end, whatever that is; gives the id."""
    request = CallRequest(target=Target("Chat", key, handler_name), argument=argument)
    return (await runtime.submit(request, wait=True)).invocation_id


def say(runtime: Engine, text: str, *, topic: str = "", key: str = "sam") -> Awaitable[str]:
    body = f'{{"text": "{text}", "topic": "{topic}"}}'.encode()
    return call(runtime, "say", body, key=key)


# -- Now, and as invocations left it ----------------------------------------------------------


async def test_the_state_now_has_declared_types_and_only_what_was_stored(world: World) -> None:
    runtime = await world.start()
    await say(runtime, "a")
    await call(runtime, "set_name", b'{"name": "extra", "value": {"n": [1, 2]}}')
    found = await runtime.state(Chat, "sam")
    assert found == {"mood": Mood("a"), "said": ["a", "re: a"], "extra": {"n": [1, 2]}}
    assert type(found["said"]) is list
    assert await runtime.state("Chat", "nobody") == {}
    with pytest.raises(TypeError):
        found["said"] = []  # type: ignore[index]  # that is the point


async def test_the_state_is_read_as_each_invocation_left_it(world: World) -> None:
    runtime = await world.start()
    ids = [await say(runtime, text) for text in "abc"]
    runtime = await world.restart()
    for number, id_ in enumerate(ids):
        found = await runtime.state(Chat, "sam", at=id_)
        assert found["mood"] == Mood("abc"[number])
        assert len(found["said"]) == 2 * number + 2


async def test_what_a_reader_changes_is_nobodys_state(world: World) -> None:
    runtime = await world.start()
    id_ = await say(runtime, "a")
    (await runtime.state(Chat, "sam"))["said"].append("mine")
    (await runtime.state(Chat, "sam", at=id_))["said"].append("mine")
    assert (await runtime.state(Chat, "sam"))["said"] == ["a", "re: a"]


async def test_the_past_is_in_the_order_of_turns_and_not_of_acceptance(world: World) -> None:
    runtime = await world.start()
    await runtime.object(Chat, "sam").wait.send()
    await settle()
    queued = await runtime.object(Chat, "sam").say.send("second")
    first = await runtime.object(Chat, "sam", mode="interrupt").say.send("first")
    await settle()
    assert (await runtime.state(Chat, "sam", at=first))["said"] == ["first", "re: first"]
    assert len((await runtime.state(Chat, "sam", at=queued))["said"]) == 4
    assert len((await runtime.state(Chat, "sam", at=queued, entry=1))["said"]) == 2


# -- At an entry ------------------------------------------------------------------------------


async def test_the_state_is_read_as_it_was_before_each_entry(world: World) -> None:
    runtime = await world.start()
    await say(runtime, "a")
    id_ = await say(runtime, "b")  # input, step, its result
    before = ["a", "re: a"]
    found = [(await runtime.state(Chat, "sam", at=id_, entry=k))["said"] for k in range(4)]
    # The first change is stored with the step, the second with the outcome.
    assert found == [before, before, [*before, "b"], [*before, "b"]]


async def test_what_a_waiting_handler_stored_is_there_before_the_entry_that_woke_it(
    world: World,
) -> None:
    runtime = await world.start()
    awaited = await runtime.object(Chat, "sam").wait.send()
    await settle()
    live = [await runtime.state(Chat, "sam", at=awaited, entry=k) for k in range(3)]
    assert live[:2] == [{}, {}]
    assert live[2]["topic"].startswith("waits for awk_")
    runtime.suspend_idle()
    await settle()
    awakeable = parse_awakeable_id(live[2]["topic"].removeprefix("waits for "))
    await runtime.complete_awakeable(awakeable, b'"done"')
    await settle()
    runtime = await world.restart()
    later = [await runtime.state(Chat, "sam", at=awaited, entry=k) for k in range(6)]
    assert later[:3] == live
    # 3 is the step, stored with what was set before it; 5 would come after the step's result.
    assert [each.get("topic") for each in later[3:]] == [live[2]["topic"], "done", "done"]
    assert (await runtime.state(Chat, "sam", at=awaited))["topic"] == "done!"


async def test_a_failure_without_steps_can_be_read_before_and_after(world: World) -> None:
    runtime = await world.start()
    await say(runtime, "a", topic="tea")
    id_ = await call(runtime, "refuse")
    assert (await runtime.state(Chat, "sam", at=id_))["topic"] == "refused"
    for entry in (0, 1):
        assert (await runtime.state(Chat, "sam", at=id_, entry=entry))["topic"] == "tea"


async def test_a_workflow_has_a_past_too(world: World) -> None:
    runtime = await world.start()
    request = CallRequest(target=Target("Order", "7", "run"), argument=b'"tea"')
    id_ = (await runtime.submit(request, wait=True)).invocation_id
    assert await runtime.state(Order, "7", at=id_) == {"item": "tea ordered", "note": "new"}
    assert await runtime.state(Order, "7", at=id_, entry=2) == {"item": "tea", "note": "new"}
    assert await runtime.state(Order, "7", at=id_, entry=1) == {}


# -- What is not known any more ---------------------------------------------------------------


async def test_a_change_without_a_journal_ends_what_is_known_of_the_field(world: World) -> None:
    runtime = await world.start()
    first = await say(runtime, "a", topic="tea")
    await call(runtime, "set_topic", b'"milk"')
    after = await say(runtime, "b")
    with pytest.raises(NotKeptError, match="field 'topic' was changed since"):
        await runtime.state(Chat, "sam", at=first)
    assert (await runtime.state(Chat, "sam", at=after, entry=1))["topic"] == "milk"


async def test_a_deletion_without_a_journal_ends_what_is_known(world: World) -> None:
    runtime = await world.start()
    first = await say(runtime, "a", topic="tea")
    await call(runtime, "forget_topic")
    with pytest.raises(NotKeptError, match="something was deleted since"):
        await runtime.state(Chat, "sam", at=first)
    second = await say(runtime, "b", topic="jam")
    with pytest.raises(NotKeptError, match="something was deleted since"):
        await runtime.state(Chat, "sam", at=first)
    assert "topic" not in await runtime.state(Chat, "sam", at=second, entry=1)


@pytest.mark.parametrize("is_set_again", [False, True])
async def test_a_deletion_whose_record_was_collected_ends_what_is_known(
    world: World,
    is_set_again: bool,  # noqa: FBT001  # a case
) -> None:
    runtime = await world.start()
    first = await say(runtime, "a", topic="tea")
    gone = await call(runtime, "forget_topic_with_step")
    if is_set_again:
        await say(runtime, "b", topic="jam")
    assert (await runtime.state(Chat, "sam", at=first))["topic"] == "tea"
    forget(runtime, gone)
    with pytest.raises(NotKeptError, match="something was deleted since"):
        await runtime.state(Chat, "sam", at=first)


async def test_a_change_whose_record_was_collected_ends_what_is_known(world: World) -> None:
    runtime = await world.start()
    first = await say(runtime, "a")
    gone = await say(runtime, "b")
    last = await say(runtime, "c")
    forget(runtime, gone)
    with pytest.raises(NotKeptError, match="was changed since"):
        await runtime.state(Chat, "sam", at=first)
    assert len((await runtime.state(Chat, "sam", at=last, entry=1))["said"]) == 4
    with pytest.raises(UnknownTargetError, match="kept no longer"):
        await runtime.state(Chat, "sam", at=gone)


async def test_a_workflow_that_is_being_forgotten_has_no_state_in_parts(world: World) -> None:
    runtime = await world.start()
    request = CallRequest(target=Target("Order", "7", "run"), argument=b'"tea"')
    id_ = (await runtime.submit(request, wait=True)).invocation_id
    forgetting = forget(runtime, id_, rows_max=4)
    seen: list[Any] = []
    while forgetting.has_remains:
        with pytest.raises(UnknownTargetError):
            await runtime.state(Order, "7", at=id_)
        try:
            seen.append(await runtime.state(Order, "7"))
        except NotKeptError as error:
            seen.append(type(error))
        forgetting.clear_remains(Budget(world.clock, rows_max=1, seconds_max=1))
    distinct = [each for each, _ in itertools.groupby(seen)]
    assert distinct == [NotKeptError, {}]
    assert await runtime.state(Order, "7") == {}


def forget(runtime: Engine, invocation_id: str, *, rows_max: int = 100) -> Forgetting:
    """Have retention begin to forget one completed invocation."""
    private: Any = runtime
    id_ = parse_invocation_id(invocation_id)
    row = private._commits.get(keys.outcome(id_))  # noqa: SLF001  # only time does it otherwise
    forgetting: Forgetting = private._retention.forgetting  # noqa: SLF001
    budget = Budget(private._clock, rows_max=rows_max, seconds_max=1)  # noqa: SLF001
    forgetting.forget(id_, decode_outcome(row), row, budget)
    return forgetting


# -- Bad questions ----------------------------------------------------------------------------


async def test_questions_that_make_no_sense_are_refused_with_the_reason(world: World) -> None:
    runtime = await world.start()
    chat = runtime.object(Chat, "sam")
    mine = await say(runtime, "a")
    plain = await call(runtime, "set_topic", b'"milk"')
    other = await say(runtime, "a", key="kim")
    reader = await call(runtime, "read")
    running = await chat.wait.send()
    waiting = await chat.say.send("b")
    delayed = await chat.say.send("b", delay=timedelta(hours=1))
    await settle()
    for at, entry, kind, says in (
        (other, None, InvalidArgumentError, "is Chat/kim/say, and no invocation of Chat/sam"),
        (reader, None, InvalidArgumentError, "a shared handler"),
        ("inv_" + "0" * 32, None, UnknownTargetError, "does not exist"),
        ("awk_" + "0" * 40, None, InvalidArgumentError, "an awakeable id"),
        (mine, 4, InvalidArgumentError, "has 3 entries, from 0 on"),
        (mine, -1, InvalidArgumentError, "has 3 entries, from 0 on"),
        (None, 1, InvalidArgumentError, "say which with at="),
        (plain, 1, NotKeptError, "is not kept, so its entries cannot be named"),
        (running, None, ConflictError, "is not completed"),
        (waiting, None, ConflictError, "has not begun"),
        (delayed, 0, ConflictError, "has not begun"),
    ):
        with pytest.raises(kind, match=says):
            await runtime.state(Chat, "sam", at=at, entry=entry)
    for cls, kind, says in (
        (Plain, InvalidArgumentError, "has no keys and no state"),
        ("Chatt", UnknownTargetError, "did you mean 'Chat'"),
    ):
        with pytest.raises(kind, match=says):
            runtime.state(cls, "sam")
    with pytest.raises(InvalidArgumentError, match="must not be empty"):
        runtime.state(Chat, "")


async def test_an_invocation_that_never_began_has_left_nothing(world: World) -> None:
    runtime = await world.start()
    chat = runtime.object(Chat, "sam")
    await chat.wait.send()
    waiting = await chat.say.send("b")
    await settle()
    await runtime.invocation(waiting).cancel()
    with pytest.raises(ConflictError, match="never began"):
        await runtime.state(Chat, "sam", at=waiting)


# -- Forks ------------------------------------------------------------------------------------


async def test_a_fork_begins_where_the_other_was_and_goes_its_own_way(world: World) -> None:
    runtime = await world.start()
    ids = [await say(runtime, text) for text in "abc"]
    await runtime.fork(Chat, "sam", to="now")
    await runtime.fork(Chat, "sam", to="then", at=ids[0])
    await runtime.fork("Chat", "sam", to="between", at=ids[1], entry=2)
    runtime = await world.restart(keep_written=False)
    assert len((await runtime.state(Chat, "now"))["said"]) == 6
    assert (await runtime.state(Chat, "then"))["said"] == ["a", "re: a"]
    assert (await runtime.state(Chat, "between"))["said"] == ["a", "re: a", "b"]
    assert await runtime.object(Chat, "then").say("z") == 4
    assert await runtime.object(Chat, "sam").read() == await runtime.object(Chat, "now").read()


async def test_a_fork_of_a_long_value_is_changed_and_read_like_any_other(world: World) -> None:
    runtime = await world.start()
    first = await call(runtime, "write_much", b"500")
    await call(runtime, "write_much", b"700")
    await runtime.fork(Chat, "sam", to="kim", at=first)
    await runtime.object(Chat, "kim").write_much(3)
    lines = await runtime.object(Chat, "kim").read()
    assert (len(lines), lines[499:501]) == (
        503,
        ["line 499 of a long text", "line 0 of a long text"],
    )


async def test_a_fork_is_seen_where_the_key_was_read_empty_before(world: World) -> None:
    runtime = await world.start()
    await say(runtime, "a")
    assert await runtime.object(Chat, "kim").read() == []
    await call(runtime, "forget_topic", key="kim")
    await runtime.fork(Chat, "sam", to="kim")
    assert await runtime.object(Chat, "kim").say("b") == 4


async def test_the_past_of_a_fork_begins_with_what_it_was_made_from(world: World) -> None:
    runtime = await world.start()
    source = await say(runtime, "a")
    await runtime.fork(Chat, "sam", to="lee")
    with pytest.raises(InvalidArgumentError, match="no invocation of Chat/lee"):
        await runtime.state(Chat, "lee", at=source)
    first = await say(runtime, "b", key="lee")
    assert (await runtime.state(Chat, "lee", at=first, entry=0))["said"] == ["a", "re: a"]


async def test_a_fork_never_touches_a_key_that_is_in_use(world: World) -> None:
    runtime = await world.start()
    await say(runtime, "a")
    await say(runtime, "x", key="kim")
    busy = await runtime.object(Chat, "lee").wait.send()
    await settle()
    rows = dict(world.store.scan(b"", None))
    for to, says in (("kim", "has state already, for example 'mood'"), ("lee", busy)):
        with pytest.raises(ConflictError, match=says):
            await runtime.fork(Chat, "sam", to=to)
    for cls, to, kind, says in (
        (Chat, "sam", InvalidArgumentError, "onto itself"),
        (Chat, "", InvalidArgumentError, "must not be empty"),
        (Order, "x", InvalidArgumentError, "a workflow, which runs once per key"),
        (Plain, "x", InvalidArgumentError, "has no keys and no state"),
    ):
        with pytest.raises(kind, match=says):
            await runtime.fork(cls, "sam", to=to)
    with pytest.raises(UnknownTargetError, match="does not exist"):
        await runtime.fork(Chat, "sam", to="new", at="inv_" + "0" * 32)
    world.store.is_nearly_full = True
    with pytest.raises(StoreFullError):
        await runtime.fork(Chat, "sam", to="new")
    assert dict(world.store.scan(b"", None)) == rows


@pytest.mark.parametrize("is_applied", [False, True])
async def test_a_fork_that_dies_in_the_middle_is_there_whole_or_not_at_all(
    world: World,
    is_applied: bool,  # noqa: FBT001  # a case
) -> None:
    runtime = await world.start()
    await call(runtime, "write_much", b"300")
    await world.crash()
    disk = DyingStore(world.store, die_at=0, applied=is_applied)
    runtime = await world.start(store=disk)
    with pytest.raises(StoreFailedError):
        await runtime.fork(Chat, "sam", to="kim")
    runtime = await world.restart()
    assert len((await runtime.state(Chat, "kim")).get("said", ())) == 300 * is_applied
