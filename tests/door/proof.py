"""What arrives at the door, as a part of the proof."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.door.storm import run_storm
from tests.processes import ROOT, environment, free_port
from tests.proof.parts import Line, Part, Size, Table

CONNECTIONS = {Size.PROVE: 25_000, Size.LONG: 10_000_000}

KNOWN = {
    "smuggling and ambiguity probes on a raw socket": "tests/ingress/test_framing.py",
    "crowds: idle, half-open, stalled, never reading, oversized": "tests/crash/test_crowds.py",
}
"""Tests whose cases are faults of their own."""


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:
    for fault, file in KNOWN.items():
        yield _known(fault, file)
    port = free_port()
    report = run_storm(seed, CONNECTIONS[size], directory, (port, port + 1))
    yield Line(
        fault="odd requests at both ports",
        invariants=("I16", "I21"),
        injected=report.requests,
        checked=(
            f"no 5xx or traceback; {report.unanswered:,} unanswered; {report.good:,} good calls"
            f" beside them; memory grew by {report.grown_bytes / 1e6:.1f} MB"
        ),
        violations=tuple(report.violations),
        seed=seed,
    )
    rows = tuple((str(status), f"{times:,}") for status, times in sorted(report.statuses.items()))
    yield Table(title="What odd requests were answered", columns=("status", "times"), rows=rows)


def _known(fault: str, file: str) -> Line:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    failed = tuple(line for line in done.stdout.splitlines() if line.startswith("FAILED"))
    return Line(
        fault=fault,
        invariants=("I15",),
        injected=int(passed[1]) if passed else 0,
        checked=f"by {file}",
        violations=failed or (() if done.returncode == 0 else (done.stdout[-500:],)),
    )


PART = Part(name="door", title="At the door", run=_run)
