"""Run simulated worlds.

    python -m tests.sim --worlds 1000 --seed 7     worlds 7/0 to 7/999, on both cores with --jobs 2
    python -m tests.sim --one 7/12                 one of them, with its story
    python -m tests.sim --shrink 7/12              a small world that breaks the same promise

The exit code is 1 if a promise was broken, or if the worlds were too weak to break one.
"""

# ruff: noqa: T201  # a program talks to whoever started it

import argparse
import secrets
import sys

from .runs import Totals, run_many, shrink
from .world import Options, run_world


def main() -> int:
    """Run what the command line asks for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--seed", default=secrets.token_hex(4), help="decides what is random")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with its own worlds")
    parser.add_argument("--one", metavar="SEED", help="run one world and print its story")
    parser.add_argument("--shrink", metavar="SEED", help="make a world that fails small")
    options = parser.parse_args()
    if options.one is not None:
        return _show(options.one, Options())
    if options.shrink is not None:
        seed, smallest = shrink(options.shrink)
        print(f"{seed} fails with {smallest}")
        return _show(seed, smallest)
    totals = run_many(options.seed, options.worlds, jobs=options.jobs)
    _print(options.seed, totals)
    return 1 if totals.violations or totals.missing else 0


def _show(seed: str, options: Options) -> int:
    outcome = run_world(seed, options)
    print("\n".join(outcome.story))
    print(f"\nfingerprint {outcome.fingerprint}")
    for violation in outcome.violations:
        print(violation)
    return 1 if outcome.violations else 0


def _print(seed: str, totals: Totals) -> None:
    for name, count in sorted(totals.counters.items()):
        print(f"{count:10,}  {name}")
    print(f"\n{totals.worlds:,} worlds of seed {seed}, {totals.cpu_seconds:.0f} s of a core")
    for seed_of_world, violations in sorted(totals.violations.items()):
        for violation in violations:
            print(f"{seed_of_world}: {violation}")
    if totals.missing:
        print(f"too weak: never happened: {', '.join(totals.missing)}")


if __name__ == "__main__":
    sys.exit(main())
