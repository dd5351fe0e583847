"""What an invocation costs that only waits: in memory while it is resident, suspended, on disk.

Half of them sleep, half await an awakeable.
"""

from collections.abc import Iterable

from .harness import Figure, Options, Scenario, scratch
from .parked import park, run_child


def _run(options: Options) -> Iterable[Figure]:
    resident = 5_000 if options.is_short else 50_000
    suspended = 1_000_000 if options.is_large else 50_000
    with scratch(options) as place:
        held = run_child("hold", place / "held", resident)
        empty = run_child("open", place / "empty")
        parked = park(options, place / "parked", suspended)
        opened = run_child("open", place / "parked")
    yield Figure(
        what="resident, memory",
        value=held["resident_bytes"] / resident,
        unit="bytes",
        note=f"{resident:,} of them; a handler's coroutine, its loop and its journal",
    )
    yield Figure(
        what="suspended, memory",
        value=max(0.0, opened["resident_bytes"] - empty["resident_bytes"]) / suspended,
        unit="bytes",
        at_most=200,
        note=f"{suspended:,} of them, in a process that has just opened them; the block cache",
    )
    yield Figure(
        what="on disk",
        value=(parked["disk_bytes"] - parked["empty_bytes"]) / suspended,
        unit="bytes",
        at_most=1_000,
        note="compressed, after a graceful stop",
    )


IDLE = Scenario(name="idle", title="An invocation that only waits", run=_run)
