"""A disk that fails at the n-th call, as a part of the proof."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.proof.parts import Line, Part, Size, Table
from tests.shim.shim import KINDS, find_obstacle
from tests.shim.slow_disk import (
    DEGRADED_SECONDS_MAX,
    STALL_SECONDS_MAX,
    SYNC_SECONDS,
    watch_slow_disk,
)
from tests.shim.sweep import EXIT_SECONDS_MAX, Found, Sweep

SHARES = {Size.PROVE: 5, Size.LONG: 1}
"""One point in so many."""

INVARIANTS = ("I1", "I2", "I5", "I6", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "I15", "I16")


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    if obstacle := find_obstacle():
        yield Line(fault="the n-th call fails or kills", invariants=INVARIANTS, skipped=obstacle)
        return
    share = SHARES[size]
    offset = Random(seed).randrange(share)
    together = Found()
    with Sweep(directory) as sweep:
        points = list(sweep.points())
        for kind in KINDS:
            of_kind = [each for each in points if each.fault.kind == kind][offset::share]
            found = sweep.run(of_kind, workers=os.cpu_count() or 1)
            together.add(found)
            part = "every n" if share == 1 else f"one n in {share}"
            yield Line(
                fault=f"the n-th {kind} fails, is short or kills; {part}",
                invariants=INVARIANTS,
                injected=len(of_kind),
                checked=(
                    f"{found.acknowledged:,} acknowledged calls, a clean start after each;"
                    f" the slowest end took {found.slowest_exit:.2f} s of {EXIT_SECONDS_MAX:g}"
                ),
                violations=(*found.violations, *found.late),
                seed=seed,
            )
    yield _slow(directory, 5.0 if size is Size.PROVE else 60.0)
    yield Table(
        title="How the process ended: by itself or not, and its exit code",
        columns=("end", "times"),
        rows=tuple((end, str(times)) for end, times in together.endings.most_common()),
    )


def _slow(directory: Path, seconds: float) -> Line:
    seen = watch_slow_disk(directory, seconds)
    violations = list(seen.violations)
    if seen.stall(0.99) > STALL_SECONDS_MAX:
        violations.append(f"one question in a hundred waited {seen.stall(0.99) * 1e3:.0f} ms")
    if seen.degraded_after is not None and seen.degraded_after > DEGRADED_SECONDS_MAX:
        violations.append(f"the health said so after {seen.degraded_after:.2f} s")
    return Line(
        fault=f"every fsync takes {SYNC_SECONDS * 1e3:.0f} ms",
        invariants=("I12", "I15"),
        injected=seen.calls,
        checked=(
            f"no call answered in under {2 * SYNC_SECONDS * 1e3:.0f} ms;"
            f" {len(seen.stalls):,} questions beside them: p50 {seen.stall(0.5) * 1e3:.1f} ms,"
            f" p99 {seen.stall(0.99) * 1e3:.1f} ms, longest {seen.stall(1) * 1e3:.0f} ms;"
            f" degraded after {seen.degraded_after or 0:.2f} s"
        ),
        violations=tuple(violations),
    )


PART = Part(name="every-n", title="The n-th write, sync, open or rename", run=_run)
