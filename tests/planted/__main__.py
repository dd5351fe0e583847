"""Hunt planted bugs; see ``hunt``."""

# ruff: noqa: T201  # a program talks to whoever started it

import argparse
import sys

from tests.planted.bugs import BUGS, HIDDEN
from tests.planted.hunt import hunt_all


def main() -> int:
    """Hunt what the command line names; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("--bug", action="append", help="its name, or a part; may be given again")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a core, for each")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    chosen = [
        bug
        for bug in (*BUGS, *HIDDEN)
        if not options.bug or any(each in bug.name for each in options.bug)
    ]
    missed = 0
    for each in hunt_all(chosen, options.seed, seconds_max=options.seconds, jobs=options.jobs):
        missed += not each.caught
        caught = each.caught or "NOT FOUND"
        print(
            f"{each.bug.name:40} {each.worlds:5} worlds {each.seconds:6.1f} s"
            f"  {each.seed}: {caught:.150}",
            flush=True,
        )
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
