"""The long form of the crash tests: a real server killed as often as you like.

    python -m tests.crash.soak --kills 1000 --seed 7

Rounds of forty kills follow each other on one data directory, every second one without fsync,
which no kill can make a difference to. Each prints a line; at the end stand the sums, the broken
promises and the seed. The exit code is 1 if a promise was broken, and the directory with its
ledgers is then kept for whoever looks into it.
"""

# ruff: noqa: T201  # a program talks to whoever started it

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.crash.rounds import Report
from tests.crash.series import run_kills

COLUMNS: tuple[tuple[str, Callable[[Report], object]], ...] = (
    ("kills", lambda report: report.kills),
    ("in start", lambda report: report.early_kills),
    ("stops", lambda report: report.stops),
    ("slowest", lambda report: f"{report.slowest_stop:.2f} s"),
    ("pauses", lambda report: report.pauses),
    ("requests", lambda report: report.requests),
    ("answers", lambda report: report.answers),
    ("steps", lambda report: report.steps),
    ("again", lambda report: report.repeated_steps),
    ("seconds", lambda report: f"{report.seconds:.0f}"),
    ("broken", lambda report: len(report.violations)),
)


def main() -> int:
    """Run it; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="SIGKILLs in all (1000)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what is random")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    directory = Path(tempfile.mkdtemp(prefix="holdfast-crash-"))
    reports = asyncio.run(_run(directory, options.seed, options.kills))
    violations = [each for report in reports for each in report.violations]
    print(f"{sum(each.kills for each in reports)} kills, {len(violations)} broken promises")
    for violation in violations[:50]:
        print(f"  {violation}")
    print(f"seed {options.seed}")
    if violations:
        print(f"kept in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


async def _run(directory: Path, seed: str, kills: int) -> list[Report]:
    reports: list[Report] = []
    print("  ".join(f"{name:>8}" for name, _ in COLUMNS))
    async for report in run_kills(directory, seed, kills):
        print("  ".join(f"{show(report)!s:>8}" for _, show in COLUMNS), flush=True)
        reports.append(report)
    return reports


if __name__ == "__main__":
    sys.exit(main())
