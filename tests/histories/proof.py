"""Histories, as a part of the proof."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from tests.histories.rounds import Verdict, run_round
from tests.proof.parts import Line, Part, Size, Table

ROUNDS = {Size.PROVE: 1, Size.LONG: 70}
KILLS_PER_ROUND = 16


def run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    """Record histories of a real server through kills, and put each in order."""
    verdicts: list[Verdict] = []
    for number in range(ROUNDS[size]):
        place = directory / str(number)
        place.mkdir()
        verdicts.append(asyncio.run(run_round(f"{seed}-{number}", place, kills=KILLS_PER_ROUND)))
    operations = sum(each.operations for each in verdicts)
    objects = sum(len(each.histories) for each in verdicts)
    violations = tuple(
        f"{each.seed}: {violation}" for each in verdicts for violation in each.violations
    )
    yield Line(
        fault="SIGKILL, SIGTERM and SIGSTOP under concurrent clients",
        invariants=("I1", "I2", "I5", "I6", "I8", "I19"),
        injected=sum(sum(each.faults.values()) for each in verdicts),
        checked=f"{operations:,} operations on {objects:,} objects are linearizable",
        violations=violations,
        seed=seed,
    )
    counts = [each.count for each in verdicts]
    yield Table(
        title="What the histories hold",
        columns=("operations", "count"),
        rows=(
            ("answered", f"{sum(each.answered for each in counts):,}"),
            ("of unknown outcome", f"{sum(each.unknown for each in counts):,}"),
            ("sent again after a broken connection", f"{sum(each.repeated for each in counts):,}"),
            ("sent twice at once", f"{sum(each.doubled for each in counts):,}"),
            ("left by the client, then asked again", f"{sum(each.left for each in counts):,}"),
        ),
    )


PART = Part(name="histories", title="Histories", run=run)
