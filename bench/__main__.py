"""Run the benchmarks and print their tables.

    python -m bench --short                   all of them, in a few minutes
    python -m bench --long --only replay      one of them, at full size
    python -m bench --short --json FILE       the figures for a program as well

The exit code is 0 whether or not a figure meets its target, and 1 when a benchmark could not run.
"""

import argparse
import gc
import json
import signal
import sys
import tempfile
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from .chain import CHAIN
from .collect import COLLECT
from .control import CONTROL
from .crowd import CROWD
from .embedded import EMBEDDED
from .growth import GROWTH
from .harness import Figure, Options, Scenario, table
from .idle import IDLE
from .imports import IMPORT
from .latency import LATENCY
from .load import generator_name
from .machine import describe_machine
from .parked import PARKED
from .refusals import REFUSALS
from .replay import REPLAY
from .sql import SQL
from .throughput import AGENT, COUNTER

SCENARIOS = (
    COUNTER,
    AGENT,
    LATENCY,
    REFUSALS,
    CROWD,
    CHAIN,
    REPLAY,
    GROWTH,
    CONTROL,
    SQL,
    PARKED,
    IDLE,
    COLLECT,
    IMPORT,
    EMBEDDED,
)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="smaller sizes, fewer rounds (default)")
    size.add_argument("--long", action="store_true", help="full sizes; the parked ones take long")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where data goes while it is measured; must be on the disk that is meant",
    )
    return parser.parse_args()


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _run(scenario: Scenario, options: Options) -> list[Figure] | None:
    """The figures, printed; ``None`` when the scenario could not run."""
    print(f"\n{scenario.title}", flush=True)
    gc.collect()
    try:
        figures = list(scenario.run(options))
    except Exception:  # noqa: BLE001  # it runs everything there is, and the others should run too
        traceback.print_exc()
        return None
    print(table(figures), flush=True)
    return figures


def _as_json(scenario: Scenario, figures: list[Figure] | None) -> dict[str, Any]:
    lines = (
        None if figures is None else [asdict(each) | {"verdict": each.verdict} for each in figures]
    )
    return {"name": scenario.name, "title": scenario.title, "figures": lines}


def main() -> int:
    """Run what the command line asks for; gives the exit code."""
    arguments = _parse()
    # A plain end would leave servers running and directories behind.
    signal.signal(signal.SIGTERM, _leave)
    options = Options(is_short=not arguments.long, directory=arguments.directory)
    machine = describe_machine(options.directory, generator_name())
    width = max(len(name) for name in machine)
    for name, value in machine.items():
        print(f"{name:<{width}}  {value}")
    results: list[dict[str, Any]] = []
    failed = False
    for scenario in SCENARIOS:
        if arguments.only and scenario.name not in arguments.only:
            continue
        figures = _run(scenario, options)
        failed = failed or figures is None
        results.append(_as_json(scenario, figures))
    if arguments.json is not None:
        document = {"is_short": options.is_short, "machine": machine, "scenarios": results}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
