"""What every benchmark shares: figures with their targets, the table, medians, places on disk.

A scenario is a function that takes ``Options`` and gives ``Figure``s. It starts what it needs and
leaves nothing behind. A figure without a target is there for information. A figure that misses its
target is printed as it is: benchmarks report, tests fail.
"""

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import uvloop

ROOT = Path(__file__).resolve().parent.parent
"""Where ``holdfast`` and ``bench`` can be imported from."""

Verdict = Literal["ok", "short", "-"]
T = TypeVar("T")


class BenchmarkError(Exception):
    """A benchmark could not be run to its end; the message says what went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How large, and where.

    Attributes:
        is_short: minutes for everything together, with smaller sizes where a full one takes long.
        directory: data directories go here, so its file system is the one that is measured.
        minutes: how long the long form of the hour is.
        keep: where directories that take long to make are kept for the next run; ``None``: nowhere.
    """

    is_short: bool
    directory: Path
    minutes: int = 60
    keep: Path | None = None

    @property
    def is_large(self) -> bool:
        """Whether directories are of full size: in the long form, and where they are made once."""
        return not self.is_short or self.keep is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. At most one of the targets is set.

    Attributes:
        value: ``None`` where it could not be measured; the note says why.
        chart: the chart of the plot that shows it; none when it is empty.
        bar: its name in that chart.
    """

    what: str
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    chart: str = ""
    bar: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the target is met; ``-`` where there is none."""
        if self.value is None:
            return "-"
        if self.at_least is not None:
            return "ok" if self.value >= self.at_least else "short"
        if self.at_most is not None:
            return "ok" if self.value <= self.at_most else "short"
        return "-"

    @property
    def target(self) -> str:
        """The target as the table shows it."""
        if self.at_least is not None:
            return f">= {show(self.at_least)}"
        return "" if self.at_most is None else f"<= {show(self.at_most)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line of the plot: what something was as something else went on."""

    chart: str
    line: str
    x_unit: str
    y_unit: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A program of its own, run by its name; with peers, what they are is told beside it."""

    name: str
    title: str
    run: Callable[[Options], Iterable[Figure | Series]]
    has_peers: bool = False


def show(value: float | None) -> str:
    """A number with as many digits as mean something."""
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """The figures in columns, numbers to the right."""
    rows = [("what", "figure", "unit", "target", "verdict", "note")]
    rows += [
        (each.what, show(each.value), each.unit, each.target, each.verdict, each.note)
        for each in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines: list[str] = []
    for what, value, unit, target, verdict, note in rows:
        line = f"  {what:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}"
        line += f"  {target:>{widths[3]}}  {verdict:<{widths[4]}}  {note}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return statistics.median(values)


@contextlib.contextmanager
def scratch(options: Options) -> Generator[Path]:
    """A directory of its own, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=options.directory) as path:
        yield Path(path)


def fsync_seconds(directory: Path, samples: int = 100) -> list[float]:
    """What one append of 200 bytes and one fdatasync take there, measured now."""
    file = directory / "fsync-probe"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    seconds: list[float] = []
    try:
        for _ in range(samples):
            started = time.perf_counter()
            os.write(descriptor, b"x" * 200)
            os.fdatasync(descriptor)
            seconds.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        file.unlink()
    return seconds


def run_embedded(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on the loop that ``holdfast serve`` uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
