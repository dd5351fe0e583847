"""A patch gives one answer per invocation, whatever ended its earlier attempts, and wherever.

Old code runs up to each of its commits and dies there; new code, with a patch in it, takes over and
replays at every rest. An invocation that has passed the patch goes on as it began, one that comes
to it beyond its journal takes the new way, and every later attempt agrees. Then the patch is taken
out again: what was recorded with it replays without it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    Context,
    ContextMisuseError,
    InvalidArgumentError,
    RuntimeConfig,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.journal import keys
from holdfast.journal.entry import Issued, Patched, Run
from holdfast.journal.records import decode_invocation
from holdfast.objects.identity import InvocationId
from holdfast.testing import World
from holdfast.testing.journals import read_entries
from holdfast.testing.stage import Death, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from holdfast.testing.clients import Client

    Body = Callable[[Any, Context], Awaitable[None]]

ALWAYS = RuntimeConfig(always_replay=True)


@dataclass
class Seen:
    """What the handlers of one play were told."""

    attempts: list[list[tuple[str, bool]]] = field(default_factory=list[list[tuple[str, bool]]])

    def ask(self, ctx: Context, patch_id: str) -> bool:
        answer = ctx.patched(patch_id)
        self.attempts[-1].append((patch_id, answer))
        return answer


SEEN = Seen()


def make_class(body: Body) -> type:
    class Changing(VirtualObject):
        path: list[str] = state(default_factory=list)
        count: int = state(0)

        @handler
        async def go(self, ctx: Context) -> list[str]:
            SEEN.attempts.append([])
            await body(self, ctx)
            return [*self.path, str(self.count)]

        @shared
        async def peek(self, ctx: Context) -> list[str]:
            return [*self.path, str(self.count)]

    return Changing


async def act(value: str) -> str:
    return value


async def slow(value: str) -> str:
    await asyncio.sleep(0)
    return value


# -- Programs: old code, and the same with patches ----------------------------------------------


async def plain_old(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    me.path.append(await ctx.run("b", act, "b"))
    await ctx.sleep(1)
    me.path.append(await ctx.run("c", act, "c"))


async def plain_new(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    if SEEN.ask(ctx, "p"):
        me.path.append(await ctx.run("x", act, "x"))
    else:
        me.path.append(await ctx.run("b", act, "b"))
    await ctx.sleep(1)
    me.path.append(await ctx.run("c", act, "c"))
    if SEEN.ask(ctx, "p"):
        me.path.append(await ctx.run("y", act, "y"))


async def plain_without_patch(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    me.path.append(await ctx.run("x", act, "x"))
    await ctx.sleep(1)
    me.path.append(await ctx.run("c", act, "c"))
    me.path.append(await ctx.run("y", act, "y"))


async def plain_asked_later_only(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    me.path.append(await ctx.run("x", act, "x"))
    await ctx.sleep(1)
    me.path.append(await ctx.run("c", act, "c"))
    if SEEN.ask(ctx, "p"):
        me.path.append(await ctx.run("y", act, "y"))


async def loop_old(me: Any, ctx: Context) -> None:
    for number in range(3):
        me.path.append(await ctx.run(f"old {number}", act, f"old {number}"))


async def loop_new(me: Any, ctx: Context) -> None:
    for number in range(3):
        name = f"new {number}" if SEEN.ask(ctx, "p") else f"old {number}"
        me.path.append(await ctx.run(name, act, name))


async def loop_without_patch(me: Any, ctx: Context) -> None:
    for number in range(3):
        me.path.append(await ctx.run(f"new {number}", act, f"new {number}"))


async def first_of_all_old(me: Any, ctx: Context) -> None:
    me.path.append("begun")
    me.path.append(await ctx.run("old a", act, "old a"))


async def first_of_all_new(me: Any, ctx: Context) -> None:
    me.path.append("begun")
    name = "new a" if SEEN.ask(ctx, "p") else "old a"
    me.path.append(await ctx.run(name, act, name))


async def first_of_all_without_patch(me: Any, ctx: Context) -> None:
    me.path.append("begun")
    me.path.append(await ctx.run("new a", act, "new a"))


async def two_ids_old(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    me.path.append(await ctx.run("b", act, "b"))
    me.path.append(await ctx.run("c", act, "c"))


async def two_ids_new(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    if SEEN.ask(ctx, "p"):
        me.path.append("p")
    if SEEN.ask(ctx, "q"):
        me.path.append(await ctx.run("q", act, "q"))
    me.path.append(await ctx.run("b", act, "b"))
    if SEEN.ask(ctx, "q"):
        me.path.append("q again")
    if SEEN.ask(ctx, "r"):
        me.path.append(await ctx.run("r", act, "r"))
    me.path.append(await ctx.run("c", act, "c"))


async def two_ids_the_other_way_round(me: Any, ctx: Context) -> None:
    """The same code as far as anyone can tell: two patches side by side, asked in other order."""
    me.path.append(await ctx.run("a", act, "a"))
    q = SEEN.ask(ctx, "q")
    if SEEN.ask(ctx, "p"):
        me.path.append("p")
    if q:
        me.path.append(await ctx.run("q", act, "q"))
    me.path.append(await ctx.run("b", act, "b"))
    r = SEEN.ask(ctx, "r")
    if SEEN.ask(ctx, "q"):
        me.path.append("q again")
    if r:
        me.path.append(await ctx.run("r", act, "r"))
    me.path.append(await ctx.run("c", act, "c"))


async def two_ids_one_removed(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    me.path.append("p")
    if SEEN.ask(ctx, "q"):
        me.path.append(await ctx.run("q", act, "q"))
    me.path.append(await ctx.run("b", act, "b"))
    if SEEN.ask(ctx, "q"):
        me.path.append("q again")
    me.path.append(await ctx.run("r", act, "r"))
    me.path.append(await ctx.run("c", act, "c"))


async def two_ids_without_patch(me: Any, ctx: Context) -> None:
    me.path.append(await ctx.run("a", act, "a"))
    me.path.append("p")
    me.path.append(await ctx.run("q", act, "q"))
    me.path.append(await ctx.run("b", act, "b"))
    me.path.append("q again")
    me.path.append(await ctx.run("r", act, "r"))
    me.path.append(await ctx.run("c", act, "c"))


async def in_tasks(me: Any, ctx: Context, names: dict[str, Callable[[], str]]) -> None:
    """Two lanes side by side; each step of a lane is named when it is asked for."""

    async def lane(lane: str) -> list[str]:
        first = await ctx.run(f"{lane} 1", slow, f"{lane} 1")
        second = names[lane]()
        return [first, await ctx.run(second, slow, second)]

    for each in await asyncio.gather(lane("a"), lane("b")):
        me.path.extend(each)


async def tasks_old(me: Any, ctx: Context) -> None:
    await in_tasks(me, ctx, {"a": lambda: "a 2", "b": lambda: "b 2"})


async def tasks_new(me: Any, ctx: Context) -> None:
    def name(lane: str) -> str:
        return f"{lane} new" if SEEN.ask(ctx, f"patch {lane}") else f"{lane} 2"

    await in_tasks(me, ctx, {"a": lambda: name("a"), "b": lambda: name("b")})


async def tasks_without_patch(me: Any, ctx: Context) -> None:
    await in_tasks(me, ctx, {"a": lambda: "a new", "b": lambda: "b new"})


async def waiting_old(me: Any, ctx: Context) -> None:
    """Changes state and then waits without a command: what it changed is stored all the same."""
    timer = ctx.sleep(5)
    await ctx.run("a", act, "a")
    me.path.append("old")
    me.count += 10
    await timer
    me.path.append(await ctx.run("b", act, "b"))


async def waiting_new(me: Any, ctx: Context) -> None:
    timer = ctx.sleep(5)
    await ctx.run("a", act, "a")
    if SEEN.ask(ctx, "p"):
        me.path.extend(["new"] * 3)
        me.count += 1
    else:
        me.path.append("old")
        me.count += 10
    await timer
    if SEEN.ask(ctx, "p"):
        del me.path[:2]
    me.path.append(await ctx.run("b", act, "b"))


async def waiting_without_patch(me: Any, ctx: Context) -> None:
    timer = ctx.sleep(5)
    await ctx.run("a", act, "a")
    me.path.extend(["new"] * 3)
    me.count += 1
    await timer
    del me.path[:2]
    me.path.append(await ctx.run("b", act, "b"))


async def waiting_asked_later_only(me: Any, ctx: Context) -> None:
    timer = ctx.sleep(5)
    await ctx.run("a", act, "a")
    me.path.extend(["new"] * 3)
    me.count += 1
    await timer
    if SEEN.ask(ctx, "p"):
        del me.path[:2]
    me.path.append(await ctx.run("b", act, "b"))


async def state_around_old(me: Any, ctx: Context) -> None:
    me.path.extend(["1", "2"])
    me.path.append(await ctx.run("a", act, "a"))


async def state_around_new(me: Any, ctx: Context) -> None:
    """State changes on both sides of the patch, and a list that first grows and then shrinks."""
    me.path.extend(["1", "2"])
    if SEEN.ask(ctx, "p"):
        me.path.extend(["3"] * 200)
        me.count += 1
    me.path.append(await ctx.run("a", act, "a"))
    if SEEN.ask(ctx, "q"):
        del me.path[2:202]
        me.count += 1


async def state_around_without_patch(me: Any, ctx: Context) -> None:
    me.path.extend(["1", "2"])
    me.path.extend(["3"] * 200)
    me.count += 1
    me.path.append(await ctx.run("a", act, "a"))
    del me.path[2:202]
    me.count += 1


PROGRAMS = {
    "plain": (plain_old, plain_new, plain_without_patch),
    "loop": (loop_old, loop_new, loop_without_patch),
    "first of all": (first_of_all_old, first_of_all_new, first_of_all_without_patch),
    "two ids": (two_ids_old, two_ids_new, two_ids_without_patch),
    "tasks": (tasks_old, tasks_new, tasks_without_patch),
    "waiting": (waiting_old, waiting_new, waiting_without_patch),
    "state around": (state_around_old, state_around_new, state_around_without_patch),
}


# -- The play ----------------------------------------------------------------------------------


class ChangingStage(Stage):
    """After a death the code is another one, and replays at every rest."""

    codes: Iterator[type]

    def crashed(self) -> None:
        self.world.classes = [next(self.codes, self.world.classes[0])]
        self.world.config = ALWAYS


@dataclass
class Played:
    outcome: list[str]
    writes: int
    """Of the first process."""
    patches: list[str]
    steps: list[str]
    paused: str


async def play(*bodies: Body, death: Death | None = None) -> Played:
    """Run the first code, and the next one after each death."""
    SEEN.attempts.clear()
    stage = ChangingStage([make_class(bodies[0])], None if death else ALWAYS, death=death)
    stage.codes = iter([make_class(body) for body in bodies[1:]])

    async def ask(client: Client) -> Any:
        return await client.call_by_name("Changing", "c", "go")

    task = await stage.play(ask)
    rows = keys.INVOCATION if not task.done() else keys.OUTCOME
    ((key, row),) = stage.store.scan(*keys.prefix_range(rows))
    entries = read_entries(stage.store, InvocationId(key[1:]))
    commands = [entry.command for entry in entries if isinstance(entry, Issued)]
    played = Played(
        outcome=task.result() if task.done() else [],
        writes=stage.disks[0].writes,
        patches=[command.name for command in commands if isinstance(command, Patched)],
        steps=[command.name for command in commands if isinstance(command, Run)],
        paused="" if task.done() else decode_invocation(row).last_failure,
    )
    if task.done():
        # In a process of its own: the one of the play may still have a death before it.
        stored = await (await stage.world.restart()).call_by_name("Changing", "c", "peek")
        assert stored == played.outcome, "what is stored is not what the handler had"
    task.cancel()
    stage.close()
    return played


def check_answers(patches: list[str]) -> dict[str, bool]:
    """Every attempt was told the same as far as it came; gives the answers by id."""
    longest = max(SEEN.attempts, key=len)
    for attempt in SEEN.attempts:
        assert attempt == longest[: len(attempt)], "two attempts were told different things"
    answers = dict(longest)
    for patch_id, answer in longest:
        assert answer is answers[patch_id], "one invocation was told both"
    assert sorted(patches) == sorted(name for name, answer in answers.items() if answer)
    return answers


def every_death(writes: int) -> list[Death]:
    return [Death(at, is_applied=applied) for at in range(writes) for applied in (False, True)]


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_new_invocation_takes_the_new_way_at_once(name: str) -> None:
    old, new, without = PROGRAMS[name]
    played = await play(new)
    answers = check_answers(played.patches)

    assert all(answers.values())
    assert answers
    assert played.outcome == (await play(without)).outcome
    assert played.outcome != (await play(old)).outcome


@pytest.mark.parametrize("name", PROGRAMS)
async def test_one_that_was_under_way_goes_on_as_it_began(name: str) -> None:
    old, new, _ = PROGRAMS[name]
    before, after = await play(old), await play(new)
    outcomes: list[list[str]] = []
    for death in every_death((await play(old, death=Death(10_000))).writes):
        played = await play(old, new, death=death)
        answers = check_answers(played.patches)
        outcomes.append(played.outcome)
        if not any(answers.values()):
            assert (played.outcome, played.steps) == (before.outcome, before.steps), death
        elif all(answers.values()):
            assert (played.outcome, played.steps) == (after.outcome, after.steps), death

    assert after.outcome in outcomes, "nothing ever came to the patch beyond its journal"
    assert before.outcome in outcomes, "nothing ever had passed the patch"


@pytest.mark.parametrize("name", PROGRAMS)
async def test_it_goes_on_the_same_after_further_deaths(name: str) -> None:
    """Old code dies, new code takes over and dies as well, at each of its commits."""
    old, new, _ = PROGRAMS[name]
    for first in every_death((await play(old, death=Death(10_000))).writes):
        expected = await play(old, new, death=first)
        answers = check_answers(expected.patches)
        for again_at_write in range(6):
            death = replace(first, again_at_write=again_at_write)
            played = await play(old, new, new, death=death)
            assert check_answers(played.patches) == answers, death
            assert played == expected, death


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_patch_is_taken_out_while_invocations_with_it_are_under_way(name: str) -> None:
    _, new, without = PROGRAMS[name]
    expected = await play(without)
    for death in every_death((await play(new, death=Death(10_000))).writes):
        played = await play(new, without, death=death)
        assert (played.outcome, played.steps) == (expected.outcome, expected.steps), death


@pytest.mark.parametrize(
    ("patched", "changed"),
    [
        (two_ids_new, two_ids_the_other_way_round),
        (two_ids_new, two_ids_one_removed),
        (plain_new, plain_asked_later_only),
        (waiting_new, waiting_asked_later_only),
    ],
)
async def test_patches_side_by_side_come_in_any_order_and_go_one_by_one(
    patched: Body, changed: Body
) -> None:
    expected = await play(patched)
    for death in every_death((await play(patched, death=Death(10_000))).writes):
        played = await play(patched, changed, death=death)
        assert (played.outcome, played.steps) == (expected.outcome, expected.steps), death


async def test_code_without_the_old_way_pauses_what_went_it() -> None:
    writes = (await play(plain_old, death=Death(10_000))).writes
    played = [
        await play(plain_old, plain_without_patch, death=each) for each in every_death(writes)
    ]
    paused = [each.paused for each in played if each.paused]

    assert paused
    assert all('recorded ctx.run("b")' in each for each in paused)
    assert all('asks for ctx.run("x")' in each for each in paused)
    assert any(not each.paused for each in played)


async def test_a_mismatch_behind_a_patch_names_the_command_and_not_the_patch() -> None:
    async def other(me: Any, ctx: Context) -> None:
        me.path.append(await ctx.run("a", act, "a"))
        me.path.append(await ctx.run("z", act, "z"))

    writes = (await play(plain_new, death=Death(10_000))).writes
    played = [await play(plain_new, other, death=each) for each in every_death(writes)]

    assert {each.paused.partition(";")[0].partition(" (")[0] for each in played if each.paused} == {
        'entry 4: the journal recorded ctx.run("x")'
    }


async def test_a_handler_that_ends_before_its_patches_is_no_mismatch() -> None:
    async def asks_last(me: Any, ctx: Context) -> None:
        me.path.append(await ctx.run("a", act, "a"))
        me.count += ctx.patched("p") + ctx.patched("q")
        await ctx.sleep(1)

    async def asks_for_nothing(me: Any, ctx: Context) -> None:
        me.path.append(await ctx.run("a", act, "a"))
        me.count += 2
        await ctx.sleep(1)

    expected = await play(asks_for_nothing)
    for death in every_death((await play(asks_last, death=Death(10_000))).writes):
        played = await play(asks_last, asks_for_nothing, death=death)
        assert (played.outcome, played.paused) == (expected.outcome, ""), death


async def test_a_shared_handler_is_told_the_same_on_every_replay() -> None:
    class Watching(VirtualObject):
        told: list[bool] = state(default_factory=list)

        @shared
        async def watch(self, ctx: Context) -> list[bool]:
            SEEN.attempts.append([])
            SEEN.ask(ctx, "p")
            await ctx.run("a", act, "a")
            SEEN.ask(ctx, "q")
            await ctx.sleep(1)
            return [SEEN.ask(ctx, "p"), SEEN.ask(ctx, "q")]

    SEEN.attempts.clear()
    world = World([Watching], ALWAYS)
    runtime = await world.start()
    answer = runtime.object(Watching, "w").watch()

    assert await world.finish(answer) == [True, True]
    assert len(SEEN.attempts) > 2
    check_answers(["p", "q"])
    world.close()


class Misuse(VirtualObject):
    @handler
    async def named(self, ctx: Context, patch_id: str) -> bool:
        return ctx.patched(patch_id)

    @handler
    async def unnamed(self, ctx: Context) -> str:
        try:
            ctx.patched(3)  # type: ignore[arg-type]  # what it says of that is the point
        except InvalidArgumentError as error:
            return error.message
        return ""

    @handler
    async def in_action(self, ctx: Context) -> str:
        async def action() -> str:
            try:
                ctx.patched("p")
            except ContextMisuseError as error:
                return error.message
            return ""

        return await ctx.run("action", action)


async def test_a_patch_without_a_name_or_outside_of_the_handler_is_refused() -> None:
    world = World([Misuse])
    runtime = await world.start()
    misuse = runtime.object(Misuse, "m")

    assert "the name of a patch is a str" in await misuse.unnamed()
    assert "outside of it" in await misuse.in_action()
    assert await misuse.named("x" * 256) is True
    rows = [row for _, row in world.store.scan(*keys.prefix_range(keys.JOURNAL))]
    assert not any(row[2:3] == b"\x0f" for row in rows[:-1]), "a refused patch left a row"
    world.close()
