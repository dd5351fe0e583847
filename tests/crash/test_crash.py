"""A real server, killed again and again under load, keeps what it promised."""

import os
from pathlib import Path

from tests.crash.rounds import Plan, run_round
from tests.processes import free_port

SEED = os.environ.get("HOLDFAST_CRASH_SEED", "1")


async def test_forty_kills_break_no_promise(tmp_path: Path) -> None:
    """The long form is ``python -m tests.crash.soak``."""
    plan = Plan(seed=SEED, prefix="r", kills=40, directory=tmp_path, port=free_port())
    report = await run_round(plan)
    assert not report.violations, f"seed {SEED}:\n" + "\n".join(report.violations[:20])
    assert report.kills == 40
    assert report.pauses > 0
    assert report.intruders > 0
    assert report.early_kills > 0
    assert report.repeated_steps > 0, "no kill hit a running step, so nothing was tested"
