"""What is told of the steps of an invocation: their status, and nothing that is not on disk."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    NotKeptError,
    RetryPolicy,
    RuntimeConfig,
    Service,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    handler,
    state,
    step_info,
)
from holdfast.journal.records import StepRecord, StepState, decode_step
from holdfast.objects.identity import parse_invocation_id
from holdfast.runtime.testing import settle

from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.runtime.effects import EffectInfo, EffectPage

KEYS: dict[str, str] = {}
"""What actions were given, by the name of their step."""

HANGING: set[str] = set()
FAILING: set[str] = set()
ONCE = RetryPolicy(max_attempts=1, on_max_attempts="fail")


async def act(name: str) -> str:
    KEYS[name] = step_info().idempotency_key
    if name in HANGING:
        await asyncio.get_running_loop().create_future()
    if name in FAILING:
        message = f"{name} is down"
        raise OSError(message)
    return name


async def refuse() -> None:
    message = "no such account"
    raise TerminalError(message)


class Teller(VirtualObject):
    done: list[str] = state(default_factory=list)

    @handler
    async def pay(self, ctx: Context, names: list[str]) -> None:
        for name in names:
            self.done.append(await ctx.run(name, act, name))

    @handler
    async def pay_held(self, ctx: Context, name: str) -> None:
        await ctx.step(on_unknown="pause").run(name, act, name)

    @handler
    async def pay_once_or_tell(self, ctx: Context, name: str) -> None:
        try:
            await ctx.step(on_unknown="fail").run(name, act, name)
        except TerminalError:
            await ctx.awakeable(str)

    @handler
    async def refused(self, ctx: Context) -> None:
        try:
            await ctx.run("refused", refuse)
        except TerminalError:
            await ctx.run("after", act, "after")

    @handler
    async def pay_two_and_want_one(self, ctx: Context) -> None:
        first, second = ctx.run("a", act, "a"), ctx.run("b", act, "b")
        await first
        second.cancel()
        await ctx.awakeable(str)

    @handler
    async def give_up(self, ctx: Context, name: str) -> None:
        try:
            async with asyncio.timeout(10):
                await ctx.run(name, act, name)
        except TimeoutError:
            await ctx.awakeable(str)


class Bank(Service):
    @handler
    async def count(self, ctx: Context) -> int:
        return 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    for names in (KEYS, HANGING, FAILING):
        names.clear()
    world = World([Teller, Bank], RuntimeConfig(retention=timedelta(hours=1)))
    await world.start()
    yield world
    world.close()


async def effects_of(world: World, id_: str) -> EffectPage:
    return await world.runtime.invocation(id_).effects()


async def effect_of(world: World, id_: str) -> EffectInfo:
    (effect,) = await effects_of(world, id_)
    return effect


async def start(world: World, *names: str) -> str:
    id_ = await world.runtime.object(Teller, "sam").pay.send(list(names))
    await settle()
    return id_


async def finish(world: World, *names: str) -> str:
    id_ = await start(world, *names)
    await world.runtime.invocation(id_).attach()
    return id_


async def test_a_step_with_a_result_is_done_and_says_when(world: World) -> None:
    id_ = await start(world, "a", "b")
    first, second = await effects_of(world, id_)
    assert (first.name, first.index, first.status) == ("a", 1, "done")
    assert (second.name, second.status) == ("b", "done")
    assert first.completed_at is not None
    assert first.completed_at.timestamp() * 1000 == world.clock.now_ms()
    assert first.source is not None
    assert first.source.startswith("test_effects.py:")
    assert [first.idempotency_key, second.idempotency_key] == [KEYS["a"], KEYS["b"]]


async def test_counters_that_go_with_the_result_are_not_guessed_afterwards(world: World) -> None:
    FAILING.add("a")
    id_ = await start(world, "a")
    FAILING.clear()
    await world.clock.advance(1)
    effect = await effect_of(world, id_)
    assert effect.status == "done"
    assert (effect.attempts, effect.failures) == (None, None)
    assert (effect.began_at, effect.last_failed_at, effect.next_attempt_at) == (None, None, None)
    assert effect.last_failure is None


async def test_a_step_under_way_is_unknown_also_after_a_restart(world: World) -> None:
    HANGING.add("a")
    id_ = await start(world, "a")
    effect = await effect_of(world, id_)
    assert (effect.status, effect.attempts, effect.failures) == ("unknown", 1, 0)
    assert effect.idempotency_key == KEYS["a"]
    await world.restart()
    await settle()
    again = await effect_of(world, id_)
    assert (again.status, again.attempts, again.failures) == ("unknown", 2, 0)
    assert again.idempotency_key == KEYS["a"] == effect.idempotency_key


async def test_a_step_that_is_tried_again_says_when_and_why_and_survives_a_crash(
    world: World,
) -> None:
    FAILING.add("a")
    failed_ms = world.clock.now_ms()
    id_ = await start(world, "a")
    effect = await effect_of(world, id_)
    assert (effect.status, effect.attempts, effect.failures) == ("failed", 1, 1)
    assert effect.last_failure == "OSError: a is down"
    assert effect.last_failed_at is not None
    assert effect.last_failed_at.timestamp() * 1000 == failed_ms
    assert effect.next_attempt_at is not None
    assert effect.next_attempt_at > effect.last_failed_at
    assert effect.completed_at is None
    await world.restart()
    assert await effect_of(world, id_) == effect


async def test_a_step_that_failed_for_good_says_how(world: World) -> None:
    id_ = await world.runtime.object(Teller, "sam").refused.send()
    await settle()
    refused, after = await effects_of(world, id_)
    assert (refused.status, refused.last_failure) == ("failed", "no such account")
    assert refused.next_attempt_at is None
    assert refused.completed_at is not None
    assert after.status == "done"


async def test_an_interrupted_step_that_a_person_decides_about_is_unknown_until_it_ran_again(
    world: World,
) -> None:
    HANGING.add("a")
    id_ = await world.runtime.object(Teller, "sam").pay_held.send("a")
    await settle()
    await world.restart()
    await settle()
    held = await effect_of(world, id_)
    assert (held.status, held.attempts) == ("unknown", 1)
    assert held.last_failure == "it was interrupted by a crash or a stop"
    HANGING.clear()
    await world.runtime.invocation(id_).resume()
    await settle()
    assert (await effect_of(world, id_)).status == "done"


async def test_a_step_whose_handler_was_told_that_it_is_unknown_is_unknown(world: World) -> None:
    HANGING.add("a")
    id_ = await world.runtime.object(Teller, "sam").pay_once_or_tell.send("a")
    await settle()
    await world.restart()
    await settle()
    effect = await effect_of(world, id_)
    assert effect.status == "unknown"
    assert effect.completed_at is not None
    assert "is unknown" in (effect.last_failure or "")


async def test_a_step_that_was_given_up_is_unknown_and_says_so(world: World) -> None:
    HANGING.add("a")
    id_ = await world.runtime.object(Teller, "sam").give_up.send("a")
    await world.clock.advance(11)
    effect = await effect_of(world, id_)
    assert (effect.status, effect.is_canceled) == ("unknown", True)
    assert (effect.attempts, effect.failures) == (None, None)


async def test_a_step_that_had_its_result_when_it_was_given_up_is_done(world: World) -> None:
    id_ = await world.runtime.object(Teller, "sam").pay_two_and_want_one.send()
    await settle()
    second = (await effects_of(world, id_)).effects[1]
    assert (second.name, second.status, second.is_canceled) == ("b", "done", False)


async def test_a_step_that_a_stop_came_before_did_not_start(world: World) -> None:
    HANGING.add("a")
    id_ = await start(world, "a")
    world.runtime.core.attempts.steps.never_began(parse_invocation_id(id_), 1)
    assert (await effect_of(world, id_)).status == "not started"
    assert (await effect_of(world, id_)).attempts == 0


async def test_a_killed_invocation_says_of_its_open_step_only_that_it_is_unknown(
    world: World,
) -> None:
    HANGING.add("b")
    id_ = await start(world, "a", "b")
    await world.runtime.invocation(id_).kill()
    done, killed = await effects_of(world, id_)
    assert done.status == "done"
    assert (killed.status, killed.attempts) == ("unknown", None)
    assert killed.idempotency_key == KEYS["b"]


async def test_a_restart_from_an_entry_tells_the_keys_that_the_actions_really_got(
    world: World,
) -> None:
    id_ = await start(world, "a", "b", "c")
    given = dict(KEYS)
    again = await world.runtime.invocation(id_).restart(from_entry=4)
    await settle()
    first, second, third = await effects_of(world, again)
    assert first.idempotency_key == given["a"]
    assert [second.idempotency_key, third.idempotency_key] == [KEYS["b"], KEYS["c"]]
    assert KEYS["b"] != given["b"]
    twice = await world.runtime.invocation(again).restart(from_entry=6)
    await settle()
    keys = [each.idempotency_key for each in await effects_of(world, twice)]
    assert keys == [given["a"], second.idempotency_key, KEYS["c"]]
    await world.runtime.invocation(id_).purge()
    keys = [each.idempotency_key for each in await effects_of(world, twice)]
    assert keys == [None, second.idempotency_key, KEYS["c"]]


async def test_pages_give_every_step_once_and_end(world: World) -> None:
    names = [f"step {number}" for number in range(25)]
    id_ = await finish(world, *names)
    handle = world.runtime.invocation(id_)
    seen: list[str] = []
    page = await handle.effects(limit=10)
    while True:
        seen += [each.name for each in page]
        if page.next is None:
            break
        page = await handle.effects(after=page.next, limit=10)
    assert seen == names
    assert (await handle.effects(limit=25)).next is None
    assert len(await handle.effects(after=10_000)) == 0


async def test_a_long_journal_is_read_in_slices_between_which_others_have_their_turn(
    world: World,
) -> None:
    id_ = await finish(world, *[f"step {number}" for number in range(600)])
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    page = await world.runtime.invocation(id_).effects(limit=1000)
    counting.cancel()
    assert len(page) == 600
    assert {each.status for each in page} == {"done"}
    assert rounds >= 1200 // 256


async def test_a_journal_that_goes_while_it_is_read_is_refused_and_not_read_by_halves(
    world: World,
) -> None:
    id_ = await finish(world, *[f"step {number}" for number in range(600)])
    reading = asyncio.ensure_future(world.runtime.invocation(id_).effects(limit=1000))
    await asyncio.sleep(0)
    await world.runtime.invocation(id_).purge_journal()
    with pytest.raises(NotKeptError, match="is not kept"):
        await reading


async def test_what_there_is_not_is_refused_with_the_reason(world: World) -> None:
    runtime = world.runtime
    with pytest.raises(UnknownTargetError, match="does not exist"):
        await runtime.invocation(f"inv_{1:032x}").effects()
    plain = await runtime.service(Bank).count.send()
    await settle()
    with pytest.raises(NotKeptError, match="a call without steps leaves none"):
        await runtime.invocation(plain).effects()
    id_ = await start(world, "a")
    for limit in (0, 1_001):
        with pytest.raises(InvalidArgumentError, match="1 to 1000"):
            await runtime.invocation(id_).effects(limit=limit)
    with pytest.raises(InvalidArgumentError, match="after=-2"):
        await runtime.invocation(id_).effects(after=-2)


async def test_an_invocation_that_waits_for_its_turn_has_no_steps_yet(world: World) -> None:
    HANGING.add("a")
    await start(world, "a")
    waiting = await start(world, "b")
    assert len(await effects_of(world, waiting)) == 0


@pytest.mark.parametrize("failed_ms", [0, 1_234])
@pytest.mark.parametrize("began_ms", [0, 1_000])
def test_the_row_of_a_step_says_when_it_failed(failed_ms: int, began_ms: int) -> None:
    record = StepRecord(state=StepState.FAILED, began_ms=began_ms, failed_ms=failed_ms)
    assert decode_step(record.encode()) == record
