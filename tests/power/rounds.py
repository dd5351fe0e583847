"""Rounds of power cuts: the load, the ledger and the judge of ``tests.crash``, on a disk that dies.

The ledger stays outside, on a disk that nobody cuts.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.load import PATIENCE_SECONDS, RETRIED, Request
from tests.crash.nemesis import Durability
from tests.crash.rounds import Plan, Report, Surroundings, run_round
from tests.power import filler
from tests.power.cutter import Cutter, How
from tests.power.disk import FileSystem, LoopDisk
from tests.power.filler import Filler
from tests.processes import free_port

DISK_MIB = 768
"""Sparse; room for the ballast, and more than is needed to accept new work."""

ROUND_CUTS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class CutReport:
    """A round, and how its power was cut."""

    round: Report
    cuts: Counter[How]
    slowest_end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What rounds of cuts differ in."""

    file_system: FileSystem = "ext4"
    durability: Durability = "fsync"
    patience: float = PATIENCE_SECONDS


async def run_cuts(
    directory: Path, seed: str, cuts: int, variant: Variant | None = None
) -> AsyncIterator[CutReport]:
    """Rounds of cuts that follow each other on one data directory."""
    variant = variant or Variant()
    port = free_port()
    random = Random(seed)
    earlier: list[tuple[Request, Any]] = []
    with LoopDisk(directory, DISK_MIB, variant.file_system) as disk:
        for number in range(-(-cuts // ROUND_CUTS)):
            plan = Plan(
                seed=f"{seed} round {number}",
                prefix=f"r{number}",
                kills=min(ROUND_CUTS, cuts - number * ROUND_CUTS),
                directory=directory,
                port=port,
                durability=variant.durability,
                patience=variant.patience,
            )
            report = await _run_round(plan, disk, random.sample(earlier, min(50, len(earlier))))
            earlier += report.round.sample
            yield report


async def _run_round(plan: Plan, disk: LoopDisk, earlier: list[tuple[Request, Any]]) -> CutReport:
    cutters: list[Cutter] = []

    def make_cutter(plan: Plan, surroundings: Surroundings) -> Cutter:
        cutter = Cutter(
            port=plan.port,
            admin_port=surroundings.admin_port,
            directory=plan.directory,
            data=disk.path / "data",
            ledger=surroundings.ledger,
            nursery=surroundings.nursery,
            settle=surroundings.settle,
            durability=plan.durability,
            disk=disk,
        )
        cutters.append(cutter)
        return cutter

    report = await run_round(plan, earlier, make_cutter)
    (cutter,) = cutters
    return CutReport(round=report, cuts=cutter.cuts, slowest_end=cutter.slowest_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillReport:
    """A round, and what happened to its disk."""

    round: Report
    fillings: Counter[filler.How]
    ended: int
    """Servers that a full disk ended."""
    refusals: int
    """How often new work was refused with 507."""
    slowest_end: float


async def run_fillings(directory: Path, seed: str, count: int) -> FillReport:
    """One round in which the disk is filled or made read-only so often."""
    fillers: list[Filler] = []
    with LoopDisk(directory, DISK_MIB) as disk:

        def make_filler(plan: Plan, surroundings: Surroundings) -> Filler:
            made = Filler(
                port=plan.port,
                admin_port=surroundings.admin_port,
                directory=plan.directory,
                data=disk.path / "data",
                ledger=surroundings.ledger,
                nursery=surroundings.nursery,
                settle=surroundings.settle,
                durability=plan.durability,
                disk=disk,
                refusals=surroundings.refusals,
            )
            fillers.append(made)
            return made

        plan = Plan(
            seed=seed,
            prefix="f",
            kills=count,
            directory=directory,
            port=free_port(),
            retried=RETRIED | {filler.REFUSED},
        )
        report = await run_round(plan, make_nemesis=make_filler)
    (made,) = fillers
    return FillReport(
        round=report,
        fillings=made.fillings,
        ended=made.ended,
        refusals=made.refusals[filler.REFUSED],
        slowest_end=made.slowest_end,
    )
