"""What concurrent clients saw of a real server that was killed under them can be put in order."""

import os
from dataclasses import replace
from pathlib import Path

from tests.histories.operations import Operation
from tests.histories.rounds import judge, run_round
from tests.histories.virtual import run_virtual

SEED = os.environ.get("HOLDFAST_HISTORIES_SEED", "1")


async def test_histories_recorded_through_kills_are_linearizable(tmp_path: Path) -> None:
    """The long form is ``python -m tests.proof --only histories --long``."""
    verdict = await run_round(SEED, tmp_path, kills=4)
    assert not verdict.violations, f"seed {SEED}:\n" + "\n".join(verdict.violations[:20])
    assert verdict.count.repeated > 0, "no kill hit a request, so nothing was tested"
    counters = [name for name in verdict.histories if name.startswith("Counter/")]
    for target in counters:
        assert _is_a_lie_seen(target, verdict.histories[target])


def test_histories_recorded_through_power_cuts_are_linearizable() -> None:
    verdict = run_virtual(SEED, ends=40)
    assert not verdict.violations, f"seed {SEED}:\n" + "\n".join(verdict.violations[:20])
    assert verdict.faults["power cut"] > 10
    assert verdict.count.repeated > 50, "no cut hit a request, so nothing was tested"


def test_a_seed_gives_the_same_history_again() -> None:
    assert run_virtual("again", ends=3).histories == run_virtual("again", ends=3).histories


def _is_a_lie_seen(target: str, history: list[Operation]) -> bool:
    """Whether one wrong answer in the middle would have been seen; true if there is none."""
    answered = [each for each in history if each.asked[0] == "add" and each.ended is not None]
    if not answered:
        return True
    lie = answered[len(answered) // 2]
    told = [replace(each, answer=-1) if each is lie else each for each in history]
    return bool(list(judge({target: told})))
