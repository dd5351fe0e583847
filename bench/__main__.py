"""Run the benchmarks and print their tables.

    python -m bench --short                   all of them, in a few minutes
    python -m bench --long --only replay      one of them, at full size

Each run leaves its figures as JSON and a plot of them as SVG in the directory of --output, named
after the time; ``python -m bench.page`` makes a page of them.

The exit code is 0 whether or not a figure meets its target, and 1 when a benchmark could not run.
"""

import argparse
import gc
import os
import signal
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .contenders import describe_contenders
from .harness import ROOT, Figure, Options, Scenario, Series, table
from .load import generator_name
from .machine import describe_machine
from .plot import plot
from .results import Measured, drawn, write_results
from .scenarios import SCENARIOS


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="smaller sizes, fewer rounds (default)")
    size.add_argument("--long", action="store_true", help="full sizes; the parked ones take long")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="may be given again")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIRECTORY",
        default=ROOT / "bench-results",
        help="where the figures and the plot of this run go",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where data goes while it is measured; must be on the disk that is meant",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="keep data directories there that take long to make, and use those of earlier runs; "
        "they are of full size then in the short form too",
    )
    parser.add_argument(
        "--minutes", type=int, default=60, help="of the hour in its long form (default: 60)"
    )
    return parser.parse_args()


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _say(facts: dict[str, str]) -> None:
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")


def _run(scenario: Scenario, options: Options, machine: dict[str, str]) -> Measured:
    """Run it and print its figures."""
    print(f"\n{scenario.title}", flush=True)
    gc.collect()
    figures: list[Figure] = []
    series: list[Series] = []
    try:
        for each in scenario.run(options):
            if isinstance(each, Series):
                series.append(each)
            else:
                figures.append(each)
        ran = True
        print(table(figures), flush=True)
    except Exception:  # noqa: BLE001  # it runs everything there is, and the others should run too
        traceback.print_exc()
        ran = False
    return Measured(
        name=scenario.name,
        title=scenario.title,
        is_short=options.is_short,
        machine=machine | {"load after": f"{os.getloadavg()[0]:.2f}"},
        figures=tuple(figures) if ran else None,
        series=tuple(series),
    )


def main() -> int:
    """Run what the command line asks for; gives the exit code."""
    arguments = _parse()
    # A plain end would leave servers running and directories behind.
    signal.signal(signal.SIGTERM, _leave)
    # Whoever installs Holdfast, or a peer, has its bytecode; without, a start compiles everything.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    options = Options(
        is_short=not arguments.long,
        directory=arguments.directory,
        minutes=arguments.minutes,
        keep=arguments.keep,
    )
    began = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    machine = describe_machine(options.directory, generator_name())
    _say(machine)
    chosen = [each for each in SCENARIOS if not arguments.only or each.name in arguments.only]
    peers: dict[str, str] = {}
    if any(scenario.has_peers for scenario in chosen):
        peers = describe_contenders()
        _say(peers)
    measured: list[Measured] = []
    arguments.output.mkdir(parents=True, exist_ok=True)
    for scenario in chosen:
        measured.append(_run(scenario, options, machine | (peers if scenario.has_peers else {})))
        # After each: what is measured in hours should not be lost by what comes after.
        write_results(arguments.output / f"{began}.json", measured)
    (arguments.output / f"{began}.svg").write_text(plot(drawn(measured)), encoding="utf-8")
    print(f"\nfigures and plot: {arguments.output / began}.json and .svg")
    return 1 if any(each.figures is None for each in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
