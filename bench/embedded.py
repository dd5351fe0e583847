"""Durable calls per second without HTTP: 64 callers of one runtime in the same process."""

import asyncio
import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from holdfast import Runtime

from .harness import Figure, Options, Scenario, median, run_embedded, scratch, show
from .objects import Counter

_CALLERS = 64
_KEYS = 10_000
_PER_SECOND_MIN = 25_000


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round; the processor's time is per call, all threads together."""

    per_second: float
    processor_seconds: float


async def _round(runtime: Runtime, numbers: "itertools.count[int]", seconds: float) -> Round:
    """Call for ``seconds``."""
    deadline = time.perf_counter() + seconds
    calls = 0

    async def call_again_and_again() -> None:
        nonlocal calls
        while time.perf_counter() < deadline:
            await runtime.object(Counter, f"k{next(numbers) % _KEYS}").add(1)
            calls += 1

    started, processor_started = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call_again_and_again() for _ in range(_CALLERS)))
    return Round(
        per_second=calls / (time.perf_counter() - started),
        processor_seconds=(time.process_time() - processor_started) / calls,
    )


async def _measure(directory: Path, rounds: int, seconds: float) -> tuple[list[Round], float]:
    """The rounds, and calls per fsync."""
    numbers = itertools.count()
    async with Runtime([Counter], data_dir=directory / "data", durability="fsync") as runtime:
        await _round(runtime, numbers, 1)
        before = runtime.statistics()
        results = [await _round(runtime, numbers, seconds) for _ in range(rounds)]
        after = runtime.statistics()
    calls = after.invocations_completed - before.invocations_completed
    return results, calls / (after.syncs - before.syncs)


def _run(options: Options) -> Iterable[Figure]:
    rounds, seconds = (3, 3.0) if options.is_short else (7, 10.0)
    with scratch(options) as directory:
        results, calls_per_fsync = run_embedded(_measure(directory, rounds, seconds))
    yield Figure(
        what="durable counter calls",
        value=median(each.per_second for each in results),
        unit="/s",
        at_least=_PER_SECOND_MIN,
        note="rounds: " + " ".join(show(round(each.per_second)) for each in results),
    )
    yield Figure(
        what="processor time per call",
        value=median(each.processor_seconds for each in results) * 1e6,
        unit="us",
        note=f"all threads; {_PER_SECOND_MIN:,} per second leave {1e6 / _PER_SECOND_MIN:.0f} us "
        "of wall time to the loop's thread",
    )
    yield Figure(what="calls per fsync", value=calls_per_fsync, unit="")


EMBEDDED = Scenario(
    name="embedded", title="Embedded calls, 64 callers, 10,000 keys, fsync", run=_run
)
