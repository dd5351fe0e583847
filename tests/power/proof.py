"""The part of the proof with real processes: kills, pauses, power cuts, full and read-only disks.

Kills and cuts go on side by side, each on a data directory and a port of its own: both spend most
of their time waiting for the moment to strike.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.crash.rounds import Report
from tests.crash.series import run_kills
from tests.power import cutter
from tests.power.disk import FileSystem, find_obstacle
from tests.power.first_starts import FirstStarts, cut_first_starts
from tests.power.rounds import CutReport, FillReport, Variant, run_cuts, run_fillings
from tests.proof.parts import Line, Part, Size, Table

KILLED = (
    *("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10"),
    *("I11", "I12", "I15", "I17", "I18", "I19"),
)
CUT = (*KILLED, "I14", "I16")
FILLED = (*KILLED, "I16")

CUT_FAULT = "power cut under load, {} on a loop device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How much of each."""

    kills: int
    cuts: int
    fillings: int
    first_starts: int
    xfs_cuts: int
    """Beside those on ext4."""


NUMBERS = {
    Size.PROVE: Numbers(kills=80, cuts=80, fillings=9, first_starts=20, xfs_cuts=20),
    Size.LONG: Numbers(kills=1_000, cuts=1_000, fillings=100, first_starts=300, xfs_cuts=400),
}


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    numbers = NUMBERS[size]
    obstacle = find_obstacle()
    for name in ("kills", "cuts", "fillings", "first starts", "xfs"):
        (directory / name).mkdir()
    with ThreadPoolExecutor(1) as beside:
        killing = beside.submit(asyncio.run, _kill(directory / "kills", seed, numbers.kills))
        if obstacle:
            yield Line(fault=CUT_FAULT.format("ext4"), invariants=CUT, skipped=obstacle)
            yield Line(fault="disk full or read-only", invariants=FILLED, skipped=obstacle)
        else:
            cuts = asyncio.run(_cut(directory / "cuts", seed, numbers.cuts, "ext4"))
            yield from _tell_cuts(cuts, "ext4", seed)
            if lack := find_obstacle("xfs"):
                yield Line(fault=CUT_FAULT.format("xfs"), invariants=CUT, skipped=lack)
            else:
                cuts = asyncio.run(_cut(directory / "xfs", seed, numbers.xfs_cuts, "xfs"))
                yield from _tell_cuts(cuts, "xfs", seed)
            fillings = run_fillings(directory / "fillings", seed, numbers.fillings)
            yield _tell_first_starts(
                cut_first_starts(directory / "first starts", seed, numbers.first_starts), seed
            )
            yield from _tell_fillings(asyncio.run(fillings), seed)
        yield from _tell_kills(killing.result(), seed)


async def _kill(directory: Path, seed: str, kills: int) -> list[Report]:
    return [report async for report in run_kills(directory, seed, kills)]


async def _cut(directory: Path, seed: str, cuts: int, file_system: FileSystem) -> list[CutReport]:
    rounds = run_cuts(directory, seed, cuts, Variant(file_system=file_system))
    return [report async for report in rounds]


def _tell_kills(rounds: Sequence[Report], seed: str) -> Iterator[Line]:
    pauses = sum(each.pauses for each in rounds)
    yield Line(
        fault="SIGKILL under load, also while starting and stopping",
        invariants=KILLED,
        injected=sum(each.kills for each in rounds),
        checked=_checked(rounds),
        violations=_violations(rounds),
        seed=seed,
    )
    yield Line(
        fault="SIGSTOP and SIGCONT under load",
        invariants=KILLED,
        injected=pauses,
        checked=f"{sum(each.intruders for each in rounds)} second servers were refused meanwhile",
        seed=seed,
    )


def _tell_cuts(
    reports: Sequence[CutReport], file_system: FileSystem, seed: str
) -> Iterator[Line | Table]:
    rounds = [report.round for report in reports]
    yield Line(
        fault=CUT_FAULT.format(file_system),
        invariants=CUT,
        injected=sum(report.cuts.total() for report in reports),
        checked=_checked(rounds),
        violations=_violations(rounds),
        seed=seed,
    )
    slowest = max(report.slowest_end for report in reports)
    counts = Counter[cutter.How]()
    for report in reports:
        counts += report.cuts
    yield Table(
        title=f"Power cuts, {file_system}; who outlived its disk ended within {slowest:.2f} s",
        columns=("moment", "times"),
        rows=tuple((MOMENTS[how], str(counts[how])) for how in cutter.SHARES),
    )


MOMENTS: dict[cutter.How, str] = {
    "cut": "between two system calls, with the server",
    "cut early": "while it starts and recovers",
    "cut racing": "in the middle of writes and syncs",
    "cut and outlive": "the disk alone; the server ends by itself",
    "stop and cut": "while it stops",
}


def _tell_first_starts(report: FirstStarts, seed: str) -> Line:
    return Line(
        fault="power cut while a data directory is made",
        invariants=("I1", "I11", "I13", "I14"),
        injected=report.cuts,
        checked=f"{report.acknowledged} acknowledgements, {report.while_made} while half made",
        violations=tuple(report.violations),
        seed=seed,
    )


def _tell_fillings(report: FillReport, seed: str) -> Iterator[Line]:
    counts = report.fillings
    yield Line(
        fault="disk full or nearly full, under load",
        invariants=FILLED,
        injected=counts["full"] + counts["nearly full"],
        checked=f"{_checked([report.round])}; {report.refusals:,} times 507, each healed",
        violations=_violations([report.round]),
        seed=seed,
    )
    yield Line(
        fault="disk turns read-only under load",
        invariants=FILLED,
        injected=counts["read-only"],
        checked=f"ended with 75 within {report.slowest_end:.2f} s, and a start says why",
        seed=seed,
    )


def _checked(rounds: Sequence[Report]) -> str:
    answers = sum(each.answers for each in rounds)
    steps = sum(each.steps for each in rounds)
    again = sum(each.repeated_steps for each in rounds)
    verified = sum(each.inspections for each in rounds)
    return (
        f"{answers:,} acknowledgements, {steps:,} executions of steps ({again} interrupted), "
        f"{verified} times holdfast verify"
    )


def _violations(rounds: Sequence[Report]) -> tuple[str, ...]:
    return tuple(violation for each in rounds for violation in each.violations)


PART = Part(name="power", title="Real processes and real disks", run=_run)
