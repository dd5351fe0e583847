"""What a program outside is told of a state that it waits for: tags, changes, both orders."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    NotKeptError,
    RuntimeClosedError,
    RuntimeConfig,
    Service,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    state,
)
from holdfast.runtime.state_reads import StateQuestion
from holdfast.runtime.state_tags import hash_rows
from holdfast.runtime.testing import settle
from holdfast.runtime.watches import TAGS_MAX

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def act() -> str:
    await asyncio.sleep(0)
    return "done"


@dataclass
class Line:
    text: str


class Pad(VirtualObject):
    """Holds lines and other things; every change leaves by another way."""

    lines: list[Line] = state(default_factory=list)
    title: str = state("none")
    raw: Any = state(None)

    @handler
    async def add(self, ctx: Context, text: str) -> None:
        self.lines.append(Line(text))

    @handler
    async def set_title(self, ctx: Context, title: str) -> None:
        self.title = title

    @handler
    async def set_raw(self, ctx: Context, kind: str) -> None:
        self.raw = {"nan": float("nan"), "bytes": b"\0\1", "keys": {1: "one"}}[kind]

    @handler
    async def look(self, ctx: Context) -> int:
        return len(self.lines)

    @handler
    async def wipe(self, ctx: Context) -> None:
        for name in list(ctx.keys()):
            ctx.clear(name)

    @handler
    async def think(self, ctx: Context) -> None:
        self.title = "thinking"
        awakeable = ctx.awakeable(str)
        self.raw = awakeable.id
        await ctx.run("act", act)
        self.title = await awakeable


class Deal(Workflow):
    stage: str = state("new")

    @handler
    async def run(self, ctx: Context) -> str:
        self.stage = "waiting"
        return await ctx.promise("signed", str)


class Mailer(Service):
    @handler
    async def mail(self, ctx: Context) -> None:
        pass


class OtherPad(VirtualObject, name="Pad"):
    """The same after an edit that what is stored does not follow."""

    title: int = state(0)

    @handler
    async def look(self, ctx: Context) -> int:
        return self.title


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Pad, Deal, Mailer], RuntimeConfig(workflow_retention=timedelta(seconds=5)))
    await world.start()
    yield world
    world.close()


async def tag_of(world: World, key: str = "sam") -> str:
    return (await world.runtime.wait_state(Pad, key)).tag


async def test_a_snapshot_holds_what_state_gives(world: World) -> None:
    await world.runtime.object(Pad, "sam").add("one")
    seen = await world.runtime.wait_state(Pad, "sam")
    assert seen.values == await world.runtime.state(Pad, "sam") == {"lines": [Line("one")]}


async def test_a_reader_between_a_decision_and_its_write_gets_no_old_tag_with_new_values(
    world: World,
) -> None:
    before = await world.runtime.wait_state(Pad, "sam")
    # Its own, for reads come between a decision and the disk.
    commits = world.runtime._commits  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    write, reads = commits.write, list[asyncio.Future[Any]]()

    def read_and_write() -> None:
        reads.append(world.runtime.wait_state(Pad, "sam"))
        write()

    commits.write = read_and_write  # type: ignore[method-assign]
    await world.runtime.object(Pad, "sam").add("one")
    commits.write = write  # type: ignore[method-assign]
    seen = await asyncio.gather(*reads)
    assert seen[-1].values == {"lines": [Line("one")]}
    assert all((each.tag == before.tag) == (each.values == before.values) for each in seen)


async def test_a_tag_is_another_one_after_each_change_and_the_old_one_when_it_is_undone(
    world: World,
) -> None:
    pad = world.runtime.object(Pad, "sam")
    empty = await tag_of(world)
    await pad.set_title("a")
    a = await tag_of(world)
    await pad.set_title("b")
    b = await tag_of(world)
    await pad.add("x")
    with_line = await tag_of(world)
    assert len({empty, a, b, with_line}) == 4
    await pad.wipe()
    assert await tag_of(world) == empty
    await pad.set_title("a")
    assert await tag_of(world) == a


async def test_a_call_that_changes_nothing_changes_no_tag(world: World) -> None:
    pad = world.runtime.object(Pad, "sam")
    await pad.add("x")
    before = await tag_of(world)
    await pad.look()
    await pad.set_title("none")
    await pad.wipe()
    await pad.add("x")
    await pad.look()
    assert await tag_of(world) == before


async def test_a_tag_survives_a_restart_and_waits_on_after_it(world: World) -> None:
    await world.runtime.object(Pad, "sam").add("x")
    before = await tag_of(world)
    await world.restart()
    assert await tag_of(world) == before
    waiting = world.runtime.wait_state(Pad, "sam", since=before)
    await settle()
    assert not waiting.done()
    await world.runtime.object(Pad, "sam").add("y")
    assert (await waiting).values["lines"] == [Line("x"), Line("y")]


async def test_states_of_two_changes_within_one_turn_have_two_tags(world: World) -> None:
    sending = asyncio.ensure_future(world.runtime.object(Pad, "sam").think())
    await settle()
    thinking = await world.runtime.wait_state(Pad, "sam")
    assert thinking.values["title"] == "thinking"
    await world.runtime.resolve_awakeable(thinking.values["raw"], "thought")
    await sending
    after = await world.runtime.wait_state(Pad, "sam")
    assert after.values["title"] == "thought"
    assert after.tag != thinking.tag


async def test_a_change_just_before_the_wait_begins_is_told_at_once(world: World) -> None:
    before = await tag_of(world)
    changing = asyncio.ensure_future(world.runtime.object(Pad, "sam").add("x"))
    await settle()
    waiting = world.runtime.wait_state(Pad, "sam", since=before)
    assert (await waiting).values == {"lines": [Line("x")]}
    await changing


async def test_a_change_just_after_the_wait_has_begun_is_told(world: World) -> None:
    before = await tag_of(world)
    waiting = world.runtime.wait_state(Pad, "sam", since=before)
    await world.runtime.object(Pad, "sam").add("x")
    assert (await waiting).values == {"lines": [Line("x")]}


async def test_a_change_is_told_in_whatever_round_of_the_loop_the_wait_begins(
    world: World,
) -> None:
    before = await tag_of(world)
    calling = asyncio.ensure_future(world.runtime.object(Pad, "sam").add("x"))
    waiting = [world.runtime.wait_state(Pad, "sam", since=before)]
    for _ in range(20):
        await asyncio.sleep(0)
        waiting.append(world.runtime.wait_state(Pad, "sam", since=before))
    assert calling.done()
    seen = await asyncio.gather(*waiting)
    assert [each.values for each in seen] == [{"lines": [Line("x")]}] * len(waiting)


async def test_a_wait_ignores_other_objects_and_calls_that_change_nothing(world: World) -> None:
    before = await tag_of(world)
    waiting = world.runtime.wait_state(Pad, "sam", since=before)
    await world.runtime.object(Pad, "kim").add("x")
    await world.runtime.object(Pad, "sa").add("x")
    await world.runtime.object(Pad, "sam").look()
    await settle()
    assert not waiting.done()
    waiting.cancel()


async def test_a_state_that_comes_back_within_one_batch_answers_nobody(world: World) -> None:
    await world.runtime.object(Pad, "sam").set_title("a")
    before = await tag_of(world)
    waiting = world.runtime.wait_state(Pad, "sam", since=before)
    pad = world.runtime.object(Pad, "sam")
    await asyncio.gather(pad.set_title("b"), pad.set_title("a"))
    await settle()
    assert not waiting.done()
    waiting.cancel()


async def test_a_wait_that_is_over_answers_the_same_state_with_the_same_tag(world: World) -> None:
    await world.runtime.object(Pad, "sam").add("x")
    before = await world.runtime.wait_state(Pad, "sam")
    waiting = world.runtime.wait_state(Pad, "sam", since=before.tag, timeout=timedelta(seconds=30))
    await world.clock.advance(29)
    assert not waiting.done()
    await world.clock.advance(1)
    assert await waiting == before


async def test_an_unknown_tag_is_answered_at_once(world: World) -> None:
    seen = await world.runtime.wait_state(Pad, "sam", since="what anyone wrote")
    assert seen.values == {}


async def test_thousands_who_wait_are_all_told_and_then_forgotten(world: World) -> None:
    before = await tag_of(world)
    waiting = [world.runtime.wait_state(Pad, "sam", since=before) for _ in range(2_000)]
    assert len(world.runtime.core.watches) == 2_000
    await world.runtime.object(Pad, "sam").add("x")
    tags = {seen.tag for seen in await asyncio.gather(*waiting)}
    assert len(tags) == 1
    assert len(world.runtime.core.watches) == 0


async def test_whoever_cancels_a_wait_is_forgotten_at_once(world: World) -> None:
    await world.clock.advance(0.01)
    tag, before_ms = await tag_of(world), world.clock.next_ms()
    waiting = world.runtime.wait_state(Pad, "sam", since=tag, timeout=timedelta(milliseconds=5))
    assert world.clock.next_ms() == world.clock.now_ms() + 5
    assert len(world.runtime.core.watches) == 1
    waiting.cancel()
    assert len(world.runtime.core.watches) == 0
    assert len(world.runtime.core.answers) == 0
    assert world.clock.next_ms() == before_ms
    await world.runtime.object(Pad, "sam").add("x")


async def test_a_runtime_that_stops_answers_whoever_waits(world: World) -> None:
    waiting = world.runtime.wait_state(Pad, "sam", since=await tag_of(world))
    await world.runtime.stop()
    with pytest.raises(RuntimeClosedError):
        await waiting


async def test_what_fits_no_class_and_no_key_is_refused(world: World) -> None:
    runtime = world.runtime
    with pytest.raises(InvalidArgumentError, match="Mailer is a service, which has no keys"):
        await runtime.wait_state(Mailer, "sam")
    with pytest.raises(UnknownTargetError, match="Nobody"):
        await runtime.wait_state("Nobody", "sam")
    with pytest.raises(InvalidArgumentError, match="key"):
        await runtime.wait_state(Pad, "")


async def test_a_value_that_no_longer_fits_its_type_is_named(world: World) -> None:
    await world.runtime.object(Pad, "sam").set_title("a")
    world.classes = [OtherPad]
    await world.restart()
    with pytest.raises(InvalidArgumentError, match="'title'"):
        await world.runtime.wait_state(OtherPad, "sam")
    document = await world.runtime.read_state(StateQuestion(service="Pad", key="sam"))
    assert document.body is None
    assert document.problem is not None
    assert "'title'" in document.problem


async def test_a_wait_for_a_value_that_no_longer_fits_is_answered_with_that(world: World) -> None:
    world.classes = [OtherPad, Mailer]
    await world.restart()
    assert (await world.runtime.wait_state(OtherPad, "sam")).values == {}


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("bytes", b'{"raw":"AAE="}', None),
        ("keys", b'{"raw":{"1":"one"}}', None),
        ("nan", None, "state field 'raw' cannot be said in JSON"),
    ],
)
async def test_the_json_of_a_state_says_it_or_why_not(
    kind: str, body: bytes | None, problem: str | None, world: World
) -> None:
    await world.runtime.object(Pad, "sam").set_raw(kind)
    document = await world.runtime.read_state(StateQuestion(service="Pad", key="sam"))
    assert document.body == body
    assert (document.problem is None) == (problem is None)
    assert (problem or "") in (document.problem or "")


def test_no_two_states_are_the_same_bytes_to_the_hash() -> None:
    states: list[dict[str, dict[bytes, bytes]]] = [
        {},
        {"a": {b"": b"bc"}},
        {"a": {b"": b"b"}, "c": {b"": b""}},
        {"a": {b"": b"b", b"c": b""}},
        {"a": {b"b": b"c"}},
        {"ab": {b"": b"c"}},
        {"a": {b"": b"1"}, "b": {b"p": b"r"}, "c": {b"s": b"t"}},
        {"a": {b"": b"1", b"b": b"p", b"r": b"c", b"s": b"t"}},
    ]
    assert len({hash_rows(rows) for rows in states}) == len(states)


async def test_what_is_remembered_of_states_is_bounded(world: World) -> None:
    watches = world.runtime.core.watches
    for number in range(TAGS_MAX + 10):
        watches.keep_tag(b"%d" % number, "t")
    assert watches.find_tag(b"9") is None
    assert watches.find_tag(b"10") == "t"


async def test_a_promise_that_is_waited_for_outside_is_told_when_it_is_completed(
    world: World,
) -> None:
    promise = world.runtime.promise(Deal, "42", "signed", str)
    waiting, other = promise.wait(), promise.wait()
    outcome = promise.wait_outcome(5)
    await settle()
    assert not waiting.done()
    other.cancel()
    await promise.resolve("sam")
    assert await waiting == "sam"
    assert await outcome == b'"sam"'
    assert await promise.wait() == "sam"
    assert len(world.runtime.core.watches) == 0


async def test_a_promise_resolved_with_null_is_completed(world: World) -> None:
    promise = world.runtime.promise(Deal, "42", "signed")
    waiting = promise.wait()
    await promise.resolve(None)
    assert await waiting is None
    assert await promise.wait_outcome(0) == b"null"


async def test_a_promise_that_is_rejected_raises_for_whoever_waits(world: World) -> None:
    promise = world.runtime.promise(Deal, "42", "signed")
    waiting = promise.wait()
    await promise.reject(TerminalError("no", status_code=410))
    with pytest.raises(TerminalError, match="no"):
        await waiting


async def test_a_wait_for_a_promise_ends_with_its_time(world: World) -> None:
    waiting = world.runtime.promise(Deal, "42", "signed").wait_outcome(5)
    await world.clock.advance(4)
    assert not waiting.done()
    await world.clock.advance(1)
    assert await waiting is None


async def test_a_promise_is_waited_for_across_a_restart(world: World) -> None:
    await world.runtime.workflow(Deal, "42").run.send()
    await world.restart()
    waiting = world.runtime.promise(Deal, "42", "signed", str).wait()
    await world.runtime.promise(Deal, "42", "signed", str).resolve("kim")
    assert await waiting == "kim"


async def test_the_past_has_the_tag_that_it_had(world: World) -> None:
    pad = world.runtime.object(Pad, "sam")
    first = await pad.set_title.send("a")
    await world.runtime.invocation(first).attach()
    tag = await tag_of(world)
    sending = asyncio.ensure_future(pad.think())
    await settle()
    asked = (await world.runtime.wait_state(Pad, "sam")).values["raw"]
    await world.runtime.resolve_awakeable(asked, "thought")
    await sending
    document = await world.runtime.read_state(StateQuestion(service="Pad", key="sam", at=first))
    assert (document.tag, document.body) == (tag, b'{"title":"a"}')
    known = StateQuestion(service="Pad", key="sam", at=first, known=frozenset((tag,)))
    assert (await world.runtime.read_state(known)).body is None
    await pad.set_title("b")
    await pad.wipe()
    with pytest.raises(NotKeptError):
        await world.runtime.read_state(StateQuestion(service="Pad", key="sam", at=first))


async def test_an_edit_by_an_operator_is_told_as_any_other_change(world: World) -> None:
    await world.runtime.object(Pad, "sam").set_title("a")
    waiting = world.runtime.wait_state(Pad, "sam", since=await tag_of(world))
    await world.runtime.set_state(Pad, "sam", {"title": "edited"})
    assert (await waiting).values == {"title": "edited"}
