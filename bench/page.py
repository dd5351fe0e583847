"""Write the page of the documentation from results, so that no figure in it is typed. A program.

    python -m bench.page bench-results/*.json

Of a scenario that is in several files, the last file's is taken. Writes ``docs/performance.md`` and
``docs/performance.svg``.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from msgspec import DecodeError

from .harness import ROOT, Figure, show
from .plot import plot
from .results import Measured, drawn, read_results
from .scenarios import SCENARIOS

_PAGE = ROOT / "docs" / "performance.md"
_PICTURE = ROOT / "docs" / "performance.svg"

_HEAD = """# Performance

<!-- Written by `python -m bench.page`; edit that, not this. -->

What `make bench` measures, and against what: the same handlers, bodies, keys and connections on one
machine, with fsync on everywhere, in rounds that take turns. A figure is the median of its rounds.
`ok` and `short` tell whether it meets its target, `-` that it has none. **What falls short stands
here as it is.**

Calls per second and waiting depend on who else uses the machine, which the load average tells: much
above what one benchmark makes (about 3), others took most of it. Processor time per call depends
little on that; it is that of all threads and processes of a contender, and the note beside a figure
splits it.

![Bars and lines of the figures below](performance.svg)
"""

_LOADS = {"load before", "load after"}
_SHORT = "Targets that were missed in these runs"


def page(measured: Iterable[Measured]) -> str:
    """The page."""
    scenarios = list(measured)
    lines = [_HEAD]
    missed = [
        f"* {scenario.name}: {figure.what} is {show(figure.value)}{_unit(figure)}, "
        f"the target {figure.target}."
        for scenario in scenarios
        for figure in scenario.figures or ()
        if figure.verdict == "short"
    ]
    if missed:
        lines += [f"## {_SHORT}\n", *missed, ""]
    machine: dict[str, str] = {}
    for scenario in scenarios:
        lines += [f"## {scenario.title}\n"]
        said = {name: value for name, value in scenario.machine.items() if name not in _LOADS}
        news = {name: value for name, value in said.items() if machine.get(name) != value}
        machine |= said
        if news:
            lines += ["Measured on:\n", *(f"* {name}: {value}" for name, value in news.items()), ""]
        size = "short" if scenario.is_short else "long"
        load = scenario.machine.get("load after", "unknown")
        command = f"python -m bench --{size} --only {scenario.name}"
        lines += [f"`{command}`; load average of the machine afterwards: {load}\n"]
        lines += [_table(scenario.figures), ""]
    return "\n".join(lines)


def _table(figures: Iterable[Figure] | None) -> str:
    if figures is None:
        return "It could not be run to its end."
    rows = ["| what | figure | target | verdict | note |", "|---|--:|--:|---|---|"]
    rows += [
        f"| {each.what} | {show(each.value)}{_unit(each)} | {each.target} | {each.verdict} "
        f"| {each.note} |"
        for each in figures
    ]
    return "\n".join(rows)


def _unit(figure: Figure) -> str:
    return f" {figure.unit}" if figure.unit and figure.value is not None else ""


def main() -> None:
    """Write the page and its picture."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("results", nargs="+", type=Path, metavar="FILE")
    newest: dict[str, Measured] = {}
    for path in parser.parse_args().results:
        try:
            found = read_results(path)
        except (OSError, DecodeError) as error:
            parser.error(f"{path} is not of a run: {error}")
        newest |= {measured.name: measured for measured in found}
    scenarios = [newest[each.name] for each in SCENARIOS if each.name in newest]
    _PAGE.write_text(page(scenarios), encoding="utf-8")
    _PICTURE.write_text(plot(drawn(scenarios)), encoding="utf-8")


if __name__ == "__main__":
    main()
