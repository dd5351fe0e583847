"""What `import holdfast` costs a bare process, beside `import asyncio` alone."""

import subprocess
import sys
from collections.abc import Iterable

from .harness import ROOT, Figure, Options, Scenario, median

_SAMPLES = 7
_MILLISECONDS_MAX = 150


def _milliseconds(statement: str) -> float:
    program = (
        f"import time; started = time.perf_counter(); {statement}; "
        "print((time.perf_counter() - started) * 1000)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(ended.stdout)


def _run(_: Options) -> Iterable[Figure]:
    statements = ("import asyncio", "import holdfast", "from holdfast import Runtime")
    samples: dict[str, list[float]] = {statement: [] for statement in statements}
    for statement in statements:
        _milliseconds(statement)  # The first one may have to compile.
    for _round in range(_SAMPLES):
        for statement in statements:
            samples[statement].append(_milliseconds(statement))
    for statement in statements:
        yield Figure(
            what=statement,
            value=median(samples[statement]),
            unit="ms",
            at_most=_MILLISECONDS_MAX if statement == "import holdfast" else None,
            note=f"median of {_SAMPLES} processes, interpreter start not counted",
        )


IMPORT = Scenario(name="import", title="Import in a bare process", run=_run)
