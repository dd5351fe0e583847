"""The part of the proof that cuts power and fills disks."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from tests.power.cutter import SHARES
from tests.power.disk import find_obstacle
from tests.power.rounds import CutReport, run_cuts
from tests.proof.parts import Line, Part, Size, Table

CUTS = {Size.PROVE: 80, Size.LONG: 1_000}
INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6", "I8", "I9", "I10", "I12", "I15", "I16", "I18")


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    obstacle = find_obstacle()
    if obstacle:
        yield Line(fault="power cut, ext4", invariants=INVARIANTS, skipped=obstacle)
        return
    reports = asyncio.run(_cut(directory, seed, CUTS[size]))
    rounds = [report.round for report in reports]
    answers = sum(each.answers for each in rounds)
    steps = sum(each.steps for each in rounds)
    yield Line(
        fault="power cut, ext4",
        invariants=INVARIANTS,
        injected=sum(report.cuts.total() for report in reports),
        checked=f"{answers:,} acknowledgements, {steps:,} executions of steps",
        violations=tuple(violation for each in rounds for violation in each.violations),
        seed=seed,
    )
    yield Table(
        title="Power cuts",
        columns=("how", "times"),
        rows=tuple((kind, str(sum(each.cuts[kind] for each in reports))) for kind in SHARES),
    )


async def _cut(directory: Path, seed: str, cuts: int) -> list[CutReport]:
    return [report async for report in run_cuts(directory, seed, cuts)]


PART = Part(name="power", title="Power cuts", run=_run)
