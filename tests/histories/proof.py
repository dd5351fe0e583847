"""Histories, as a part of the proof."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.histories.rounds import Verdict, run_round
from tests.histories.virtual import run_virtual
from tests.proof.parts import Line, Part, Size, Table

KILLS = {Size.PROVE: 16, Size.LONG: 1_000}
"""Of real processes; a round has sixteen."""
CUTS = {Size.PROVE: 400, Size.LONG: 400_000}
"""Ends of processes in memory, most of them power cuts; a round has forty."""

_CHECKED = ("I1", "I2", "I5", "I6", "I8", "I19")


def run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    """Record histories of a real server, and of one in memory, and put each in order."""
    real: list[Verdict] = []
    for number in range(-(-KILLS[size] // 16)):
        place = directory / str(number)
        place.mkdir()
        real.append(asyncio.run(run_round(f"{seed}-{number}", place, kills=16)))
    yield _line("SIGKILL, SIGTERM and SIGSTOP under concurrent clients", seed, real)
    logging.disable(logging.CRITICAL)  # A crash is what is wanted.
    try:
        virtual = [run_virtual(f"{seed}-{number}", ends=40) for number in range(CUTS[size] // 40)]
    finally:
        logging.disable(logging.NOTSET)
    yield _line("crash and power cut in memory, under concurrent clients", seed, virtual)
    counts = [each.count for each in (*real, *virtual)]
    yield Table(
        title="What the histories hold",
        columns=("operations", "count"),
        rows=(
            ("answered", f"{sum(each.answered for each in counts):,}"),
            ("of unknown outcome", f"{sum(each.unknown for each in counts):,}"),
            ("sent again after no answer", f"{sum(each.repeated for each in counts):,}"),
            ("sent twice at once", f"{sum(each.doubled for each in counts):,}"),
            ("left by the client, then asked again", f"{sum(each.left for each in counts):,}"),
        ),
    )


def _line(fault: str, seed: str, verdicts: Sequence[Verdict]) -> Line:
    operations = sum(each.operations for each in verdicts)
    objects = sum(len(each.histories) for each in verdicts)
    return Line(
        fault=fault,
        invariants=_CHECKED,
        injected=sum(each.faults.total() for each in verdicts),
        checked=f"{operations:,} operations on {objects:,} objects are linearizable",
        violations=tuple(
            f"{each.seed}: {violation}" for each in verdicts for violation in each.violations
        ),
        seed=seed,
    )


PART = Part(name="histories", title="Histories", run=run)
