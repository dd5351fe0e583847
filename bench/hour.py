"""An hour at half the peak rate: whether memory, open files, disk and waiting stay as they were.

The peak is measured first. Then the same calls are due at half that rate, on objects whose
invocations are kept for a short time only, so that the disk is bounded by retention after that. The
short form is a minute. What is told compares the last quarter with the second one: the first fills
caches and waits for the first retention.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .harness import Figure, Options, Scenario, Series, median, scratch, show
from .load import Outcome, Request, put_load
from .processes import open_files
from .servers import Server, holdfast_server

_CALL = Request(path="/Brief/*/add", body="1")
_CONNECTIONS = 64
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What was seen during one part of the time, and at its end."""

    minutes: float
    outcome: Outcome
    memory_mib: float
    files: int
    disk_mib: float


_LINES: tuple[tuple[str, str, Callable[[_Window], float], float | None], ...] = (
    ("memory", "MiB", lambda window: window.memory_mib, 1.05),
    ("open files", "files", lambda window: window.files, 1.2),
    ("disk", "MiB", lambda window: window.disk_mib, 1.2),
    ("median", "ms", lambda window: window.outcome.p50_seconds * 1e3, None),
    ("p99", "ms", lambda window: window.outcome.p99_seconds * 1e3, 1.2),
    ("processor time", "us per call", lambda window: window.outcome.processor_seconds * 1e6, 1.1),
)
"""Name, unit, measure, and how much more it may be in the last quarter than in the second."""


def _watch(options: Options) -> tuple[float, list[_Window]]:
    """The rate per second, and the windows."""
    count, seconds = (16, 4) if options.is_short else (options.minutes, 60)
    windows: list[_Window] = []
    with scratch(options) as directory, holdfast_server(directory) as server:
        put_load(server, _CALL, connections=_CONNECTIONS, seconds=5)
        peak = put_load(server, _CALL, connections=_CONNECTIONS, seconds=10).per_second
        for number in range(count):
            outcome = put_load(
                server, _CALL, connections=_CONNECTIONS, seconds=seconds, per_second=peak / 2
            )
            windows.append(_look(server, directory, outcome, (number + 1) * seconds / 60))
    return peak / 2, windows


def _look(server: Server, directory: Path, outcome: Outcome, minutes: float) -> _Window:
    return _Window(
        minutes=minutes,
        outcome=outcome,
        memory_mib=server.resident_bytes() / _MIB,
        files=sum(open_files(process_id) for process_id in server.parts.values()),
        disk_mib=_disk_bytes(directory / "data") / _MIB,
    )


def _disk_bytes(directory: Path) -> int:
    size = 0
    for path in directory.rglob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue  # RocksDB deletes what it no longer needs.
    return size


def _run(options: Options) -> Iterable[Figure | Series]:
    rate, windows = _watch(options)
    quarter = len(windows) // 4
    second, last = windows[quarter : 2 * quarter], windows[-quarter:]
    calls = sum(window.outcome.per_second * 60 for window in windows) / len(windows)
    yield Figure(
        what="rate",
        value=rate,
        unit="/s",
        note=f"half of the peak; answered {calls / 60:,.0f}/s for {windows[-1].minutes:.1f} min",
    )
    for name, unit, measure, at_most in _LINES:
        before, after = _median(second, measure), _median(last, measure)
        yield Figure(
            what=f"{name}, last quarter by second",
            value=after / before,
            unit="",
            at_most=at_most,
            note=f"{show(after)} and {show(before)} {unit}",
        )
        yield Series(
            chart=f"At half the peak rate: {name}",
            line=name,
            x_unit="min",
            y_unit=unit,
            points=tuple((window.minutes, measure(window)) for window in windows),
        )


def _median(windows: Sequence[_Window], measure: Callable[[_Window], float]) -> float:
    return median(measure(window) for window in windows)


HOUR = Scenario(name="hour", title="At half the peak rate for a long time, fsync", run=_run)
