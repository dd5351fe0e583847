"""What sessions cost that only wait: at the start after a crash, in memory, on disk.

Half of them sleep, half await an awakeable. Then other calls are completed, and the process kills
itself with SIGKILL at the moment its log is full. Then a fresh process opens the directory. The
last two are repeated, because a directory is opened after a crash only once.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from .harness import ROOT, BenchmarkError, Figure, Options, Scenario, median, scratch

_REPEATS = 3
_MIB = 1 << 20
_BUILD_SECONDS_MAX = 4 * 3600


def run_child(command: str, directory: Path, count: int | None = None) -> dict[str, float]:
    """What a command of ``parked_child`` tells."""
    arguments = [command, str(directory)] + ([] if count is None else [str(count)])
    ended = subprocess.run(
        [sys.executable, "-m", "bench.parked_child", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS_MAX,
        check=False,
    )
    expected = -signal.SIGKILL if command == "fill" else 0
    if ended.returncode != expected:
        message = f"{command} ended with {ended.returncode}: {ended.stderr.strip()[-2000:]}"
        raise BenchmarkError(message)
    return cast("dict[str, float]", json.loads(ended.stdout.strip().splitlines()[-1]))


def park(options: Options, directory: Path, sessions: int) -> dict[str, float]:
    """Make ``directory`` one with so many parked sessions, or copy the one that is kept."""
    if options.keep is None:
        return run_child("park", directory, sessions)
    kept = options.keep / f"parked-{sessions}"
    told = kept.with_suffix(".json")
    if not told.exists():
        shutil.rmtree(kept, ignore_errors=True)
        parked = run_child("park", kept, sessions)
        told.write_text(json.dumps(parked), encoding="utf-8")
    shutil.copytree(kept, directory)
    return cast("dict[str, float]", json.loads(told.read_text(encoding="utf-8")))


def _run(options: Options) -> Iterable[Figure]:
    sessions, calls = (100_000, 200_000) if options.is_short else (1_000_000, 10_000_000)
    with scratch(options) as place:
        empty = run_child("open", place / "empty")
        directory = place / "data"
        parked = park(options, directory, sessions)
        opened: list[dict[str, float]] = []
        log_bytes = 0.0
        for repeat in range(_REPEATS):
            filled = run_child("fill", directory, 0 if repeat else calls)
            log_bytes = max(log_bytes, filled["log_bytes"])
            opened.append(run_child("open", directory))
    yield Figure(
        what="start after SIGKILL to first answer",
        value=median(each["served_seconds"] for each in opened) * 1e3,
        unit="ms",
        at_most=1_000,
        note=f"{sessions:,} parked, {calls:,} completed, log {log_bytes / _MIB:.1f} MiB; "
        + ", ".join(f"{each['served_seconds'] * 1e3:.0f}" for each in opened),
    )
    yield Figure(
        what="of that, opening",
        value=median(each["open_seconds"] for each in opened) * 1e3,
        unit="ms",
        note=f"an empty directory: {empty['open_seconds'] * 1e3:.0f} ms",
    )
    resident = max(each["resident_bytes"] for each in opened)
    yield Figure(
        what="resident memory above an empty runtime",
        value=(resident - empty["resident_bytes"]) / _MIB,
        unit="MiB",
        at_most=150,
        note=f"{resident / _MIB:.0f} and {empty['resident_bytes'] / _MIB:.0f} MiB",
    )
    yield Figure(
        what="on disk per parked session",
        value=parked["disk_bytes"] / sessions,
        unit="bytes",
        at_most=600,
        note="all files of the directory, after a graceful stop",
    )


PARKED = Scenario(name="parked", title="Parked sessions: start after a crash, memory", run=_run)
