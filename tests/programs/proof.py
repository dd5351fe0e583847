"""Random programs as a part of the proof."""

from collections.abc import Iterator
from pathlib import Path

from tests.processes import free_port
from tests.programs.storm import Plan, run_storm
from tests.proof.parts import Line, Part, Size

SIZES = {Size.PROVE: (500, 1_000, 0.6), Size.LONG: (100_000, 1_000_000, 2.0)}
"""Programs, keys on each layer, and seconds from one fault to the next."""


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line]:
    programs, keys, seconds = SIZES[size]
    report = run_storm(
        Plan(
            seed=seed,
            programs=programs,
            keys=keys,
            fault_seconds=seconds,
            directory=directory,
            port=free_port(),
        )
    )
    yield Line(
        fault="kill, or stop, continue and kill, under random programs",
        invariants=("I2", "I4", "I5", "I8", "I9", "I10", "I11", "I15", "I18"),
        injected=report.kills + report.stops,
        checked=f"{report.programs:,} answers and {report.numbers:,} numbers as foretold",
        violations=tuple(report.violations),
        seed=seed,
    )


PART = Part(name="programs", title="Random programs with a foretold end", run=_run)
