"""Whatever commit a process dies at, the clients and the objects end as if it had not.

Each script of the corpus is played once undisturbed and then for each of its commits: killed just
before the commit, killed just after it, and with the power cut, which loses all that was not
synced; each of these once with a recovery that is left in peace, and once with one that dies too.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast import RuntimeConfig
from holdfast.testing.crashes import deaths

from .corpus import CLASSES, SCRIPTS
from .stage import OUTSIDE, Ending, Play, check_lines

CONFIG = RuntimeConfig()


STEPS_MAY_DIFFER = {"defaults", "lookers", "steer and kill"}
"""Of a killed turn the last step may have been cut off, where the process died in it before."""


def comparable(name: str, ending: Ending) -> Ending:
    """What must be the same; a drawn default and what a bystander happened to see may differ."""
    state = {key: row for key, row in ending.state.items() if b"token" not in key}
    steps = [] if name in STEPS_MAY_DIFFER else ending.steps
    return replace(ending, state=state, steps=steps)


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_crash_at_any_commit_changes_nothing(name: str) -> None:
    script = SCRIPTS[name]
    undisturbed = Play(CLASSES, CONFIG)
    expected = comparable(name, await undisturbed.run(script))
    check_lines(OUTSIDE.lines)
    assert undisturbed.writes >= 2

    for death in deaths(undisturbed.writes, crash_again=True):
        play = Play(CLASSES, CONFIG, death=death)
        try:
            ending = comparable(name, await play.run(script))
            check_lines(OUTSIDE.lines)
        except BaseException as error:
            error.add_note(f"{name} with {death}")
            raise
        assert ending == expected, f"{name} with {death}"
        assert play.crashes >= 1, f"{name} with {death}"
