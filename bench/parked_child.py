"""The processes of the benchmark of parked sessions. A program; prints one line of JSON.

    python -m bench.parked_child park DIRECTORY SESSIONS   park them, stop gracefully
    python -m bench.parked_child hold DIRECTORY SESSIONS   park them and keep them in memory
    python -m bench.parked_child fill DIRECTORY CALLS      complete calls, then SIGKILL itself at
                                                           the moment its log is full
    python -m bench.parked_child open DIRECTORY            open, serve a call, tell the memory used

The first three run without fsync; the first and the third keep few attempts in memory.
"""

import asyncio
import gc
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

from holdfast import Runtime, RuntimeConfig

from .harness import run_embedded
from .objects import Counter, Parked

_CLASSES = (Counter, Parked)
_CONFIG = RuntimeConfig(idle_ms_max=1_000, resident_attempts_max=1_000)
_BURST = 500
_CALLERS = 128
_KEYS = 10_000
_SETTLE_SECONDS = 3.0
"""How long memory is watched after the first call: longer than a round of maintenance."""


async def _park(directory: Path, sessions: int) -> dict[str, float]:
    async with Runtime(
        _CLASSES, data_dir=directory, durability="process", config=_CONFIG
    ) as runtime:
        empty_bytes = _size(directory, "*")
        await _send_all(runtime, sessions)
        while runtime.statistics().attempts_resident:
            await asyncio.sleep(0.01)
            runtime.suspend_idle()
    return {"disk_bytes": _size(directory, "*"), "empty_bytes": empty_bytes}


async def _send_all(runtime: Runtime, sessions: int, *, first: int = 0) -> None:
    for start in range(first, first + sessions, _BURST):
        burst = range(start, min(start + _BURST, first + sessions))
        await asyncio.gather(
            *(
                runtime.object(Parked, f"session {number}").sleep.send()
                if number % 2
                else runtime.object(Parked, f"session {number}").wait.send()
                for number in burst
            )
        )


async def _hold(directory: Path, sessions: int) -> dict[str, float]:
    config = RuntimeConfig(idle_ms_max=3_600_000, resident_attempts_max=sessions + 1)
    async with Runtime(
        _CLASSES, data_dir=directory, durability="process", config=config
    ) as runtime:
        await runtime.object(Counter, "the first").add(1)
        await _send_all(runtime, 100)
        before = _settled_bytes()
        await _send_all(runtime, sessions, first=100)
        return {"resident_bytes": _settled_bytes() - before}


async def _fill(directory: Path, calls: int) -> None:
    async with Runtime(
        _CLASSES, data_dir=directory, durability="process", config=_CONFIG
    ) as runtime:
        watching = asyncio.ensure_future(_watch_log(directory, runtime, calls))
        numbers = itertools.count()

        async def call_again_and_again() -> None:
            while True:
                await runtime.object(Counter, f"k{next(numbers) % _KEYS}").add(1)

        await asyncio.gather(watching, *(call_again_and_again() for _ in range(_CALLERS)))


async def _watch_log(directory: Path, runtime: Runtime, calls: int) -> None:
    """Kill this process when the log is as long as it was before it was last emptied."""
    longest = before = longest_of_last = 0
    while True:
        size = _size(directory, "*.log")
        if size < before // 2:
            longest_of_last, longest = longest, 0
        longest, before = max(longest, size), size
        is_full = longest_of_last and size >= longest_of_last * 0.95
        if is_full and runtime.statistics().invocations_completed >= calls:
            print(json.dumps({"log_bytes": size}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0.005)


async def _open(directory: Path) -> dict[str, float]:
    started = time.perf_counter()
    async with Runtime(_CLASSES, data_dir=directory, durability="fsync") as runtime:
        opened = time.perf_counter()
        await runtime.object(Counter, "the first").add(1)
        served = time.perf_counter()
        resident = _resident_bytes()
        deadline = time.perf_counter() + _SETTLE_SECONDS
        while time.perf_counter() < deadline:
            await asyncio.sleep(0.1)
            resident = max(resident, _resident_bytes())
    return {
        "open_seconds": opened - started,
        "served_seconds": served - started,
        "resident_bytes": resident,
    }


def _size(directory: Path, pattern: str) -> int:
    size = 0
    for path in directory.rglob(pattern):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue  # RocksDB deletes what it no longer needs.
    return size


def _settled_bytes() -> int:
    gc.collect()
    return _resident_bytes()


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    message = "the kernel tells no VmRSS"
    raise AssertionError(message)


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["park", directory, sessions]:
            print(json.dumps(run_embedded(_park(Path(directory), int(sessions)))))
        case ["hold", directory, sessions]:
            print(json.dumps(run_embedded(_hold(Path(directory), int(sessions)))))
        case ["fill", directory, calls]:
            run_embedded(_fill(Path(directory), int(calls)))
        case ["open", directory]:
            print(json.dumps(run_embedded(_open(Path(directory)))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
