"""A handler that recurses to the end of the stack gets its error, and nothing is half done."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from holdfast import Context, RetryPolicy, Service, VirtualObject, Workflow, handler, shared, state
from holdfast.journal.entry import Issued
from holdfast.runtime.testing import settle
from holdfast.runtime.verify import verify_rows

from .controlled import Outer
from .test_cancel import entries_of
from .worlds import World

RAN: list[str] = []
ONCE = RetryPolicy(max_attempts=1)


class Mail(Service):
    @handler
    async def deliver(self, ctx: Context, what: str) -> None:
        RAN.append(what)


class Sign(Workflow):
    @handler
    async def run(self, ctx: Context) -> None:
        pass

    @shared
    async def wait(self, ctx: Context, name: str) -> None:
        await ctx.promise(name)
        RAN.append(name)

    @shared
    async def sign_at(self, ctx: Context) -> int:
        return at_every_depth(lambda n: ctx.promise(f"{n}").resolve(None))


class Waiter(VirtualObject):
    @handler
    async def wait(self, ctx: Context, name: str) -> None:
        question = ctx.awakeable()
        Outer.lines.append(question.id)
        await question
        RAN.append(name)

    @handler
    async def hear(self, ctx: Context, name: str) -> None:
        await ctx.signal("go")
        RAN.append(name)


def at_depth(levels: int, act: Callable[[], object]) -> None:
    if levels:
        at_depth(levels - 1, act)
    else:
        act()


def at_every_depth(act: Callable[[int], object]) -> int:
    """Call ``act`` near the end of the stack, one frame nearer each time; gives the successes."""
    succeeded = 0
    limit = sys.getrecursionlimit()
    for levels in range(limit - 260, limit):
        try:
            at_depth(levels, lambda: act(levels))  # noqa: B023  # it is called at once
        except RecursionError:
            continue
        succeeded += 1
    return succeeded


class Climber(VirtualObject):
    counts: dict[str, int] = state(default_factory=dict)

    @handler
    async def sends(self, ctx: Context) -> int:
        return at_every_depth(lambda n: ctx.service(Mail).deliver.send(f"{n}"))

    @handler
    async def calls(self, ctx: Context) -> int:
        calls: list[Any] = []
        at_every_depth(lambda n: calls.append(ctx.service(Mail).deliver(f"{n}")))
        await asyncio.gather(*calls)
        return len(calls)

    @handler
    async def calls_objects(self, ctx: Context) -> int:
        calls: list[Any] = []
        at_every_depth(lambda n: calls.append(ctx.object(Climber, f"{n}").note()))
        await asyncio.gather(*calls)
        return len(calls)

    @handler
    async def note(self, ctx: Context) -> None:
        RAN.append(ctx.key)

    @handler
    async def sleeps(self, ctx: Context) -> int:
        sleeps: list[Any] = []
        at_every_depth(lambda _: sleeps.append(ctx.sleep(1)))
        await asyncio.gather(*sleeps)
        RAN.extend("." * len(sleeps))
        return len(sleeps)

    @handler
    async def resolves(self, ctx: Context) -> int:
        ids = iter(Outer.lines)
        return at_every_depth(lambda _: ctx.resolve_awakeable(next(ids)))

    @handler
    async def signals(self, ctx: Context) -> int:
        ids = iter(Outer.lines)
        return at_every_depth(lambda _: ctx.send_signal(next(ids), "go"))

    @handler
    async def keeps(self, ctx: Context) -> int:
        """Changes the state at each depth, with a step that stores it."""
        steps: list[Any] = []

        def count(depth: int) -> None:
            self.counts[str(depth)] = depth
            steps.append(ctx.run("note", RAN.append, f"{depth}"))

        at_every_depth(count)
        await asyncio.gather(*steps)
        return len(steps)

    @shared
    async def counted(self, ctx: Context) -> int:
        return len(self.counts)

    @handler(retry=RetryPolicy(max_attempts=3, on_max_attempts="fail"))
    async def runs_away(self, ctx: Context) -> None:
        def walk(depth: int) -> None:
            ctx.service(Mail).deliver.send(f"{depth}")
            walk(depth + 1)

        walk(0)


CLASSES: list[type] = [Mail, Sign, Waiter, Climber]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    RAN.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


async def climb(world: World, name: str) -> int:
    id_ = await getattr(world.runtime.object(Climber, "c"), name).send()
    await world.clock.advance(5)
    await settle()
    assert verify_rows(world.store) == []
    await world.restart()
    await settle()
    made = await world.runtime.invocation(id_).output()
    commands = [entry for entry in entries_of(world, id_) if isinstance(entry, Issued)]
    assert len(commands) == made > 0
    assert verify_rows(world.store) == []
    return int(made)


@pytest.mark.parametrize("name", ["sends", "calls", "calls_objects", "sleeps"])
async def test_what_succeeds_is_done_once_and_what_fails_not_at_all(
    world: World, name: str
) -> None:
    assert await climb(world, name) == len(RAN)


@pytest.mark.parametrize(("name", "what"), [("resolves", "wait"), ("signals", "hear")])
async def test_whoever_is_told_hears_of_it(world: World, name: str, what: str) -> None:
    waiting = [
        await getattr(world.runtime.object(Waiter, f"{n}"), what).send(f"{n}") for n in range(300)
    ]
    await settle()
    if name == "signals":
        Outer.lines[:] = waiting

    assert await climb(world, name) == len(RAN)


async def test_what_was_changed_before_is_stored(world: World) -> None:
    made = await climb(world, "keeps")

    assert await world.runtime.object(Climber, "c").counted() >= made


async def test_one_that_runs_away_has_sent_what_its_journal_says(world: World) -> None:
    id_ = await world.runtime.object(Climber, "c").runs_away.send()
    await world.clock.advance(60)
    await settle()
    await world.restart()
    await settle()

    commands = [entry for entry in entries_of(world, id_) if isinstance(entry, Issued)]
    assert len(RAN) == len(commands)
    assert len(set(RAN)) == len(RAN), "one was sent twice"
    assert verify_rows(world.store) == []


@pytest.mark.parametrize("what", ["awakeable", "signal", "kill"])
async def test_what_a_program_asks_for_is_done_whole_or_not_at_all(world: World, what: str) -> None:
    runtime = world.runtime
    waiter = {"awakeable": "wait", "signal": "hear", "kill": "wait"}[what]
    ids = [await getattr(runtime.object(Waiter, f"{n}"), waiter).send("x") for n in range(300)]
    await settle()
    names = iter(Outer.lines if what == "awakeable" else list(ids))
    acts: dict[str, Callable[[str], object]] = {
        "awakeable": runtime.resolve_awakeable,
        "signal": lambda id_: runtime.invocation(id_).signal("go"),
        "kill": lambda id_: runtime.invocation(id_).kill(),
    }
    done = at_every_depth(lambda _: acts[what](next(names)))
    await settle()

    assert verify_rows(world.store) == []
    statuses = [(await runtime.invocation(id_).describe()).status for id_ in ids]
    assert statuses.count("completed") == done > 0
    assert set(statuses) == {"completed", "suspended"}
