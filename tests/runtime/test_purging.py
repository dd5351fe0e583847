"""Forgetting a completed invocation because somebody says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    ConflictError,
    Context,
    RuntimeConfig,
    Service,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle
from holdfast.testing import crash_everywhere

from .agents import Agent, Counter, act
from .worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.testing import Client, VirtualRuntime


class Signup(Workflow):
    """Something to be forgotten whole."""

    stage: str = state("unknown")

    @handler
    async def run(self, ctx: Context, name: str) -> str:
        self.stage = await ctx.run("greet", act, f"hello {name}")
        return self.stage

    @shared
    async def look(self, ctx: Context) -> str:
        return self.stage

    @shared
    async def look_twice(self, ctx: Context) -> list[Any]:
        seen = [self.stage, ctx.keys()]
        await ctx.awakeable(str)
        return [*seen, self.stage, ctx.keys(), await ctx.promise("code", int).peek()]


class Box(VirtualObject):
    """Something that takes away."""

    thing: str = state("")

    @handler
    async def put(self, ctx: Context, thing: str) -> None:
        self.thing = thing

    @handler
    async def take(self, ctx: Context) -> None:
        del self.thing
        await ctx.run("act", act, "taken")


class Clerk(Service):
    """Something with a journal and nothing else."""

    @handler
    async def work(self, ctx: Context, steps: int) -> None:
        for number in range(steps):
            await ctx.run(f"act {number}", act, f"{number}")


CLASSES = [Agent, Box, Clerk, Counter, Signup]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(CLASSES, RuntimeConfig(retention=timedelta(seconds=100)))
    await world.start()
    yield world
    world.close()


async def completed(world: World, steps: int) -> str:
    """The id of an invocation whose outcome is durable."""
    request = CallRequest(target=Target("Agent", "a", "work"), argument=str(steps).encode())
    return (await world.finish(world.runtime.submit(request, wait=True))).invocation_id


def tables(world: World) -> set[bytes]:
    return {key[:1] for key, _ in world.store.scan(b"", None)} - {keys.META}


async def test_a_purged_invocation_leaves_the_state_and_nothing_else(world: World) -> None:
    agent = world.runtime.object(Agent, "a", idempotency_key="k")
    sent = await agent.work.send(3)
    await settle()
    assert tables(world) == {keys.OUTCOME, keys.JOURNAL, keys.UNDO, keys.IDEMPOTENCY, keys.STATE}
    await world.runtime.invocation(sent).purge()

    assert tables(world) == {keys.STATE}
    assert len(await world.runtime.object(Agent, "a").history()) == 3


async def test_nobody_finds_a_purged_invocation(world: World) -> None:
    agent = world.runtime.object(Agent, "a", idempotency_key="k")
    sent = await agent.work.send(1)
    assert len(await agent.work(1)) == 1
    await world.runtime.invocation(sent).purge()
    for verb in ("purge", "purge_journal", "attach", "output", "cancel", "kill", "resume"):
        with pytest.raises(UnknownTargetError, match=f"{sent} does not exist"):
            await getattr(world.runtime.invocation(sent), verb)()

    assert len(await agent.work(1)) == 2


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_what_is_not_completed_cannot_be_purged_and_goes_on(
    world: World,
    is_restarted: bool,  # noqa: FBT001  # pytest gives it by name
) -> None:
    runtime: VirtualRuntime = world.runtime
    napping = await runtime.object(Agent, "a").nap.send(10)
    behind = await runtime.object(Agent, "a").work.send(1)
    later = await runtime.object(Agent, "b").work.send(1, delay=timedelta(seconds=5))
    paused = await runtime.object(Agent, "c").nap.send(10)
    await settle()
    await runtime.invocation(paused).pause()
    runtime.suspend_idle()
    if is_restarted:
        runtime = await world.restart()
    rows = dict(world.store.scan(b"", None))
    for each in (napping, behind, later, paused):
        for verb in ("purge", "purge_journal"):
            with pytest.raises(ConflictError, match=r"is not completed.* cancel\(\) or kill\(\)"):
                await getattr(runtime.invocation(each), verb)()

    assert dict(world.store.scan(b"", None)) == rows
    await world.clock.advance(20)
    assert len(await runtime.object(Agent, "a").history()) == 1


async def test_a_purged_journal_leaves_the_outcome_that_answers_a_repeated_call(
    world: World,
) -> None:
    agent = world.runtime.object(Agent, "a", idempotency_key="k")
    sent = await agent.work.send(2)
    first = await agent.work(2)
    assert await world.runtime.invocation(sent).purge_journal()
    assert tables(world) == {keys.OUTCOME, keys.IDEMPOTENCY, keys.STATE}
    assert not await world.runtime.invocation(sent).purge_journal()

    assert await agent.work(2) == first
    await world.clock.advance(200)
    assert tables(world) == {keys.STATE}


async def test_a_call_without_steps_has_no_journal_to_purge(world: World) -> None:
    sent = await world.runtime.object(Counter, "a").add.send(1)
    await settle()
    assert not await world.runtime.invocation(sent).purge_journal()
    await world.runtime.invocation(sent).purge()

    assert tables(world) == {keys.STATE}


async def test_a_purged_workflow_frees_its_key(world: World) -> None:
    run = await world.runtime.workflow(Signup, "sam").run.send("sam")
    await settle()
    with pytest.raises(ConflictError):
        await world.runtime.workflow(Signup, "sam").run("again")
    await world.runtime.invocation(run).purge()
    assert tables(world) == set()
    assert await world.runtime.workflow(Signup, "sam").look() == "unknown"

    assert await world.runtime.workflow(Signup, "sam").run("again") == "hello again"


async def test_a_purge_tells_that_what_a_turn_took_away_is_not_known_any_more(
    world: World,
) -> None:
    box = world.runtime.object(Box, "b")
    await box.put("a")
    taken = await box.take.send()
    await settle()
    assert keys.HISTORY not in tables(world)
    await world.runtime.invocation(taken).purge_journal()

    assert keys.HISTORY in tables(world)


async def test_a_long_journal_is_gone_at_once_and_deleted_in_slices(world: World) -> None:
    await world.crash()
    world.config = RuntimeConfig(collect_rows_max=10)
    runtime = await world.start()
    sent = await completed(world, steps=40)
    await runtime.invocation(sent).purge()
    assert keys.OUTCOME not in tables(world)
    assert {keys.JOURNAL, keys.REMAINS} <= tables(world)
    with pytest.raises(UnknownTargetError):
        await runtime.invocation(sent).purge()
    await world.restart()
    await world.clock.advance(2)

    assert tables(world) == {keys.STATE}


async def test_a_long_journal_goes_whole_when_a_shorter_one_is_purged_meanwhile(
    world: World,
) -> None:
    """It went on behind as many entries as the shorter one had, and left those before for ever."""
    await world.crash()
    world.config = RuntimeConfig(collect_rows_max=10)
    runtime = await world.start()
    short = await runtime.service(Clerk).work.send(4)
    long = await runtime.service(Clerk, idempotency_key="k").work.send(40)
    for each in (short, long):
        await runtime.invocation(each).attach()
    await runtime.invocation(long).purge()  # eight entries, beside the outcome and the key
    await runtime.invocation(short).purge()  # nine
    assert {keys.JOURNAL, keys.REMAINS} == tables(world)
    await world.clock.advance(2)

    assert tables(world) == set()


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_workflow_goes_whole_although_its_journal_is_being_deleted_already(
    world: World,
    is_restarted: bool,  # noqa: FBT001  # pytest gives it by name
) -> None:
    """What was left of the journal when the process died then was left for ever."""
    await world.crash()
    world.config = RuntimeConfig(collect_rows_max=1)
    runtime = await world.start()
    sent = await runtime.workflow(Signup, "sam").run.send("sam")
    await runtime.invocation(sent).attach()
    purged = asyncio.gather(
        runtime.invocation(sent).purge_journal(), runtime.invocation(sent).purge()
    )
    await purged
    if is_restarted:
        await world.restart()
    await world.clock.advance(2)

    assert tables(world) == set()


async def test_a_workflow_is_started_anew_although_the_forgotten_one_is_being_deleted(
    world: World,
) -> None:
    """Whoever started it was told the id of the forgotten one, and nothing ran."""
    runtime = await slow_to_delete(world)
    first = await runtime.workflow(Signup, "sam").run.send("sam")
    await runtime.invocation(first).attach()
    await runtime.invocation(first).purge()
    assert keys.WORKFLOW in tables(world)
    second = await runtime.workflow(Signup, "sam").run.send("again")
    assert second != first
    await world.clock.advance(60)

    assert await runtime.invocation(second).attach() == "hello again"
    assert await runtime.workflow(Signup, "sam").look() == "hello again"


async def test_a_promise_that_is_kept_early_does_not_go_with_the_forgotten_workflow(
    world: World,
) -> None:
    runtime = await slow_to_delete(world)
    first = await runtime.workflow(Signup, "sam").run.send("sam")
    await runtime.invocation(first).attach()
    await runtime.promise(Signup, "sam", "code").resolve(1)
    await runtime.invocation(first).purge()
    assert keys.WORKFLOW in tables(world)
    await runtime.promise(Signup, "sam", "code").resolve(2)
    await world.clock.advance(60)

    assert await runtime.promise(Signup, "sam", "code").peek() == 2


async def test_nobody_is_told_anything_of_a_forgotten_workflow_that_is_being_deleted(
    world: World,
) -> None:
    runtime = await slow_to_delete(world)
    sent = await runtime.workflow(Signup, "sam").run.send("sam")
    await runtime.invocation(sent).attach()
    await runtime.promise(Signup, "sam", "code").resolve(1)
    looking = asyncio.ensure_future(runtime.workflow(Signup, "sam").look_twice())
    await settle()
    await runtime.invocation(sent).purge()
    assert {keys.WORKFLOW, keys.STATE, keys.PROMISE} <= tables(world)

    assert await runtime.promise(Signup, "sam", "code").peek() is None
    assert await runtime.find_invocation(Signup, "sam") is None
    assert await runtime.workflow(Signup, "sam").look() == "unknown"
    [awakeable] = await runtime.awakeables()
    await runtime.resolve_awakeable(awakeable.id, "go on")
    assert await looking == ["hello sam", ["stage"], "unknown", [], None]
    assert {keys.WORKFLOW, keys.STATE, keys.PROMISE} <= tables(world)


async def slow_to_delete(world: World) -> VirtualRuntime:
    await world.crash()
    world.config = RuntimeConfig(collect_rows_max=1)
    return await world.start()


async def test_a_purge_that_a_power_cut_takes_along_has_not_happened(world: World) -> None:
    sent = await completed(world, steps=1)
    purged = asyncio.ensure_future(asyncio.wait_for(world.runtime.invocation(sent).purge(), 60))
    await world.crash(keep_written=False)
    assert isinstance((await asyncio.gather(purged, return_exceptions=True))[0], Exception)
    runtime = await world.start()

    assert await runtime.invocation(sent).purge_journal()


async def purge_one(client: Client) -> list[Any]:
    agent = client.object(Agent, "a")
    sent = await agent.work.send(8)
    other = await agent.work.send(2)
    await client.sleep(60)

    async def purge(runtime: VirtualRuntime) -> None:
        try:
            await runtime.invocation(sent).purge()
        except UnknownTargetError:
            return  # The answer to the first time was lost.

    await client.ask(purge)
    await client.ask(lambda runtime: runtime.invocation(other).purge_journal())
    await client.sleep(60)

    async def look(runtime: VirtualRuntime) -> list[str]:
        return sorted({key[:1].decode() for key, _ in runtime.store.scan(b"", None)})

    return [await client.ask(look), len(await agent.work(0))]


async def test_wherever_the_process_dies_what_is_purged_is_gone_and_the_rest_is_there() -> None:
    config = RuntimeConfig(collect_rows_max=5, maintenance_ms=10_000)
    report = await crash_everywhere(purge_one, CLASSES, config=config, crash_again=True)

    assert report.ending.outcome == [["d", "m", "o", "s"], 10]
