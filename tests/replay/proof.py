"""The suite with replay forced at every await, as a part of the proof."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.processes import ROOT, environment
from tests.proof.parts import Line, Part, Size, Table
from tests.replay.plugin import LEFT_OUT

ROOMS = {
    Size.PROVE: ("runtime", "kit"),
    Size.LONG: ("runtime", "kit", "laws", "sql", "client", "ingress", "objects", "llm"),
}


def _run(size: Size, seed: str, directory: Path) -> Iterator[Line | Table]:  # noqa: ARG001  # a part's
    command = [sys.executable, "-m", "pytest", "-p", "tests.replay.plugin", "-q"]
    command += ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"tests/{room}" for room in ROOMS[size])],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    failed = tuple(line for line in done.stdout.splitlines() if line.startswith("FAILED"))
    count = int(passed[1]) if passed else 0
    yield Line(
        fault="every handler run again from its top whenever anything arrives for it",
        invariants=("I3", "I4"),
        injected=count,
        checked=f"{count:,} tests of {', '.join(ROOMS[size])} end as they do without",
        violations=failed or (() if done.returncode == 0 else (done.stdout[-500:],)),
    )
    yield Table(
        title="Tests that forced replay leaves out",
        columns=("test", "because it"),
        rows=tuple(LEFT_OUT.items()),
    )


PART = Part(name="replay", title="The suite with replay forced at every await", run=_run)
