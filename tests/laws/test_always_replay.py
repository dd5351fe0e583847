"""A handler that replays its whole journal at every rest gives what one that goes on gives."""

from __future__ import annotations

import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler, state
from holdfast.testing import PENDING, World
from holdfast.testing.crashes import deaths

from .corpus import CLASSES, SCRIPTS
from .stage import OUTSIDE, Play, act, check_lines
from .test_crash_at_every_commit import comparable

ALWAYS = RuntimeConfig(always_replay=True)


@pytest.mark.parametrize("name", SCRIPTS)
async def test_replaying_at_every_rest_changes_nothing(name: str) -> None:
    script = SCRIPTS[name]
    undisturbed = Play(CLASSES)
    expected = comparable(name, await undisturbed.run(script))
    play = Play(CLASSES, ALWAYS)
    ending = comparable(name, await play.run(script))

    assert ending == expected
    check_lines(OUTSIDE.lines)
    assert play.writes == undisturbed.writes
    more = attempts_of(play) - attempts_of(undisturbed)
    assert more > 0 or name in {"duplicates", "delayed"}, "scripts whose handlers never wait"


def attempts_of(play: Play) -> int:
    return play.world.runtime.statistics().attempts_started


@pytest.mark.parametrize("name", SCRIPTS)
async def test_replaying_at_every_rest_after_a_crash_changes_nothing(name: str) -> None:
    script = SCRIPTS[name]
    undisturbed = Play(CLASSES)
    expected = comparable(name, await undisturbed.run(script))

    for death in deaths(undisturbed.writes, crash_again=False):
        ending = comparable(name, await Play(CLASSES, ALWAYS, death=death).run(script))
        assert ending == expected, f"{name} with {death}"
        check_lines(OUTSIDE.lines)


class Moody(VirtualObject):
    """Asks for another step each time that its code runs."""

    heard: list[str] = state(default_factory=list)

    @handler
    async def change_mind(self, ctx: Context) -> str:
        slow = ctx.run("slow", act, "slow", 0, "slow", 1_000)
        name = f"mood {OUTSIDE.count('moods')}"
        self.heard.append(await ctx.run(name, act, "mood", 0, name, 10))
        return str(await slow)


async def test_code_that_is_not_deterministic_shows_at_its_first_rest() -> None:
    world = World([Moody], ALWAYS)
    OUTSIDE.clear(world.clock)
    runtime = await world.start()
    await runtime.object(Moody, "m").change_mind.send()
    await world.clock.advance(0.1)

    journal = runtime.journal("Moody/m/change_mind")
    assert journal.status == "paused"
    assert "mood 1" in journal.reason
    assert "mood 2" in journal.reason
    assert [step.result for step in journal.steps] == [PENDING, "mood 1"]


async def test_without_it_the_same_code_passes_until_something_replays_it() -> None:
    world = World([Moody])
    OUTSIDE.clear(world.clock)
    runtime = await world.start()

    assert await world.finish(runtime.object(Moody, "m").change_mind()) == "slow"


async def test_an_action_goes_on_while_its_handler_replays_and_when_it_is_paused() -> None:
    world = World([Moody], ALWAYS)
    OUTSIDE.clear(world.clock)
    runtime = await world.start()
    await runtime.object(Moody, "m").change_mind.send()
    await world.clock.advance(0.1)
    assert runtime.journal("Moody/m/change_mind").steps[0].result is PENDING
    await world.clock.advance(1)

    assert runtime.journal("Moody/m/change_mind").steps[0].result == "slow"
    assert [lane for _, lane, _ in OUTSIDE.lines] == ["slow", "mood"]
