"""The processes of the benchmark of retention. A program; prints one line of JSON.

    python -m bench.collect_child fill DIRECTORY COUNT     complete so many calls, stop gracefully
    python -m bench.collect_child load DIRECTORY SECONDS   put load on it and collect nothing
    python -m bench.collect_child collect DIRECTORY COUNT  put the same load on it until so many
                                                           are collected

Half of the calls have three steps and so a journal, half have none. The first runs without fsync.
The load is even: a call every so often, whether or not those before have ended, and its latency
counts from when it was to begin.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from holdfast import Runtime, RuntimeConfig
from holdfast.runtime.seams import SystemClock

from .harness import run_embedded
from .objects import Agent, Counter

_CLASSES = (Agent, Counter)
_CALLERS = 128
_KEYS = 10_000
_CALLS_PER_SECOND = 400
_WARM_SECONDS = 2.0
_LATER_MS = 120_000
"""Retention waits a minute for stragglers, and a benchmark need not."""
_SETTLED_SECONDS_MAX = 30.0
"""After the last is collected, for the last compaction."""
_KEPT_BYTES_MAX = 1 << 40


class _LaterClock(SystemClock):
    """The machine's clock, two minutes ahead: what was just filled in is due."""

    def now_ms(self) -> int:
        return super().now_ms() + _LATER_MS


async def _fill(directory: Path, count: int) -> dict[str, float]:
    config = RuntimeConfig(retained_bytes_max=_KEPT_BYTES_MAX)
    numbers = iter(range(count))
    async with Runtime(
        _CLASSES, data_dir=directory, durability="process", config=config
    ) as runtime:

        async def call_again_and_again() -> None:
            for number in numbers:
                if number % 2:
                    await runtime.object(Agent, f"a{number % _KEYS}").ask("What did we say?")
                else:
                    await runtime.object(Counter, f"c{number % _KEYS}").add(1)

        started = time.perf_counter()
        await asyncio.gather(*(call_again_and_again() for _ in range(_CALLERS)))
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "disk_bytes": _size(directory)}


async def _measure(directory: Path, *, seconds: float, count: int) -> dict[str, float]:
    """Put load on it for ``seconds``, or until ``count`` are collected."""
    retention = timedelta(0) if count else timedelta(days=1)
    config = RuntimeConfig(retention=retention, retained_bytes_max=_KEPT_BYTES_MAX)
    latencies: list[float] = []
    async with Runtime(
        _CLASSES, data_dir=directory, durability="fsync", config=config, clock=_LaterClock()
    ) as runtime:
        started, processor = time.perf_counter(), time.process_time()

        def goes_on() -> bool:
            if count:
                return runtime.statistics().invocations_collected < count
            return time.perf_counter() < started + seconds

        await _put_load(runtime, goes_on, latencies)
        took = time.perf_counter() - started
        processor = time.process_time() - processor
        disk_bytes = _size(directory)
        deadline = time.perf_counter() + (_SETTLED_SECONDS_MAX if count else 0)
        while time.perf_counter() < deadline:
            await asyncio.sleep(1)
            disk_bytes = min(disk_bytes, _size(directory))
    latencies = sorted(latencies[int(_WARM_SECONDS * _CALLS_PER_SECOND) :] or latencies)
    return {
        "seconds": took,
        "processor_share": processor / took,
        "p50_seconds": latencies[len(latencies) // 2],
        "p99_seconds": latencies[len(latencies) * 99 // 100],
        "worst_seconds": latencies[-1],
        "disk_bytes": disk_bytes,
    }


async def _put_load(runtime: Runtime, goes_on: Callable[[], bool], latencies: list[float]) -> None:
    """Begin a call every so often; their latencies in the order of their ends."""
    loop = asyncio.get_running_loop()
    calls: set[asyncio.Task[None]] = set()

    async def call(number: int, due: float) -> None:
        if number % 2:
            await runtime.object(Agent, f"n{number % _KEYS}").ask("And then?")
        else:
            await runtime.object(Counter, f"m{number % _KEYS}").add(1)
        latencies.append(loop.time() - due)

    started = loop.time()
    for number in itertools.count():
        due = started + number / _CALLS_PER_SECOND
        delay = due - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)
        task = loop.create_task(call(number, due))
        calls.add(task)
        task.add_done_callback(calls.discard)
        if number % 100 == 0 and not goes_on():
            break
    await asyncio.gather(*calls)


def _size(directory: Path) -> int:
    """All files but the ballast, which is there to be dropped."""
    size = 0
    for path in directory.rglob("*"):
        try:
            size += 0 if "ballast" in path.name else path.stat().st_size
        except FileNotFoundError:
            continue  # RocksDB deletes what it no longer needs.
    return size


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["fill", directory, count]:
            result = run_embedded(_fill(Path(directory), int(count)))
        case ["load", directory, seconds]:
            result = run_embedded(_measure(Path(directory), seconds=float(seconds), count=0))
        case ["collect", directory, count]:
            result = run_embedded(_measure(Path(directory), seconds=0, count=int(count)))
        case _:
            sys.exit(__doc__)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
