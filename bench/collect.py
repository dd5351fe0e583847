"""What retention costs those who call meanwhile, how fast it is, and whether disk space comes back.

A directory is filled with completed invocations. Then load is put on it twice, the same both times:
once while everything is to be kept, once while everything is due.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from .harness import ROOT, BenchmarkError, Figure, Options, Scenario, scratch

_SECONDS_MAX = 4 * 3600
_LOAD_SECONDS_SHORT, _LOAD_SECONDS_LONG = 10, 60
_MIB = 1 << 20


def _child(command: str, directory: Path, count: int) -> dict[str, float]:
    ended = subprocess.run(
        [sys.executable, "-m", "bench.collect_child", command, str(directory), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    if ended.returncode:
        message = f"{command} ended with {ended.returncode}: {ended.stderr.strip()[-2000:]}"
        raise BenchmarkError(message)
    return cast("dict[str, float]", json.loads(ended.stdout.strip().splitlines()[-1]))


def _run(options: Options) -> Iterable[Figure]:
    count, seconds = (
        (50_000, _LOAD_SECONDS_SHORT) if options.is_short else (1_000_000, _LOAD_SECONDS_LONG)
    )
    with scratch(options) as place:
        directory = place / "data"
        filled = _child("fill", directory, count)
        without = _child("load", directory, seconds)
        during = _child("collect", directory, count)
    yield Figure(
        what="collected under load",
        value=count / during["seconds"],
        unit="/s",
        note=f"{count:,} in {during['seconds']:.1f} s; {during['processor_share'] * 100:.0f} % of "
        f"a processor, {without['processor_share'] * 100:.0f} % without",
    )
    for name, may_add_ms in (("p50", 2.0), ("p99", 10.0)):
        before, after = without[f"{name}_seconds"] * 1e3, during[f"{name}_seconds"] * 1e3
        yield Figure(
            what=f"latency meanwhile, {name}",
            value=after,
            unit="ms",
            at_most=before + may_add_ms,
            note=f"{before:.1f} ms without",
        )
    yield Figure(
        what="latency meanwhile, worst",
        value=during["worst_seconds"] * 1e3,
        unit="ms",
        note=f"{without['worst_seconds'] * 1e3:.1f} ms without",
    )
    yield Figure(
        what="disk after, of before",
        value=during["disk_bytes"] / filled["disk_bytes"] * 100,
        unit="%",
        # A few are not worth a compaction.
        at_most=None if options.is_short else 25,
        note=f"{filled['disk_bytes'] / _MIB:.1f} and {during['disk_bytes'] / _MIB:.1f} MiB, which "
        "is what the load has left",
    )


COLLECT = Scenario(
    name="collect",
    title="Collecting completed invocations, 400 calls a second",
    run=_run,
)
