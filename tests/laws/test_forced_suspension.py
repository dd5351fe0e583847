"""An attempt that leaves memory whenever it can gives what one that stays gives."""

from __future__ import annotations

import pytest

from holdfast import RuntimeConfig

from .corpus import CLASSES, SCRIPTS
from .stage import OUTSIDE, Play, check_lines
from .test_crash_at_every_commit import comparable


@pytest.mark.parametrize("name", SCRIPTS)
async def test_suspending_every_idle_attempt_after_every_turn_changes_nothing(name: str) -> None:
    script = SCRIPTS[name]
    expected = comparable(name, await Play(CLASSES).run(script))
    play = Play(CLASSES, RuntimeConfig(idle_ms_max=0, resident_attempts_max=1), suspends=True)
    suspended = 0

    def look(play: Play) -> None:
        nonlocal suspended
        suspended = play.world.runtime.statistics().attempts_suspended

    play.on_move = look
    ending = comparable(name, await play.run(script))

    assert ending == expected
    check_lines(OUTSIDE.lines)
    assert suspended > 0 or name in NEVER_IDLE


NEVER_IDLE = {
    "sequence",
    "group",
    "race",
    "sends",
    "defaults",
    "flaky",
    "terminal",
    "saga terminal",
    "saga error",
    "clean-up",
    "queue",
    "duplicates",
    "delayed",
    "cancel in a section",
    "pause",
}
"""Scripts whose handlers only ever wait for running actions, or not at all."""
