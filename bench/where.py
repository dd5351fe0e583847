"""Where the loop's thread spends its processor time: by room, and the dearest functions.

A timer of the kernel interrupts the process every two milliseconds of processor time, and the
function that was running is noted. Time inside C (msgpack, RocksDB, uvloop) counts for the Python
function that called it. Over HTTP the load comes from another process.
"""

import asyncio
import itertools
import signal
import sys
import time
from collections import Counter as Count
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from holdfast import Runtime

from .harness import ROOT, Figure, Options, Scenario, run_embedded, scratch
from .objects import Agent, Counter

_INTERVAL_SECONDS = 0.002
_CALLERS = 64
_KEYS = 10_000
_DEAREST = 12
_ROOMS = ("objects", "journal", "runtime", "ingress")

Samples = Count[tuple[str, str]]
"""How often each function was running: where it is, and its name."""


@contextmanager
def _sampling(samples: Samples) -> Generator[None]:
    def note(_: int, frame: FrameType | None) -> None:
        if frame is not None:
            samples[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_SECONDS, _INTERVAL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


async def _embedded(directory: Path, seconds: float) -> Samples:
    samples = Samples()
    numbers = itertools.count()
    async with Runtime([Counter], data_dir=directory, durability="fsync") as runtime:

        async def call_again_and_again(deadline: float) -> None:
            while time.perf_counter() < deadline:
                await runtime.object(Counter, f"k{next(numbers) % _KEYS}").add(1)

        for wanted, into in ((1.0, Samples()), (seconds, samples)):
            with _sampling(into):
                deadline = time.perf_counter() + wanted
                await asyncio.gather(*(call_again_and_again(deadline) for _ in range(_CALLERS)))
    return samples


async def _over_http(directory: Path, path: str, body: str, seconds: int) -> Samples:
    samples = Samples()
    classes = [Counter, Agent]
    async with Runtime(classes, data_dir=directory, durability="fsync") as runtime:
        port = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(runtime.serve(port=0, on_listening=port.set_result))
        load = [sys.executable, "-m", "bench.generator", str(await port), str(_CALLERS)]
        for wanted, into in ((1, Samples()), (seconds, samples)):
            process = await asyncio.create_subprocess_exec(
                *load, str(wanted), path, str(_KEYS), body, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            with _sampling(into):
                await process.communicate()
        serving.cancel()
        await asyncio.wait([serving])
    return samples


def _room(file: str) -> str:
    path = Path(file)
    for room in _ROOMS:
        if (ROOT / room) in path.parents or (ROOT / "holdfast" / room) in path.parents:
            return f"{room}/"
    if ROOT / "bench" in path.parents:
        return "the handlers and callers"
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1]
    return "Python's library"


def _figures(what: str, samples: Samples) -> Iterable[Figure]:
    total = samples.total() or 1
    rooms: Count[str] = Count()
    for (file, _), count in samples.items():
        rooms[_room(file)] += count
    for room, count in rooms.most_common():
        if count * 100 >= total:
            yield Figure(what=f"{what}: {room}", value=100 * count / total, unit="%")
    for (file, name), count in samples.most_common(_DEAREST):
        yield Figure(
            what=f"{what}: {name}",
            value=100 * count / total,
            unit="%",
            note=f"{_room(file)} {Path(file).name}",
        )


def _run(options: Options) -> Iterable[Figure]:
    seconds = 4 if options.is_short else 20
    with scratch(options) as place:
        embedded = run_embedded(_embedded(place / "embedded", seconds))
        counter = run_embedded(_over_http(place / "counter", "/Counter/*/add", "1", seconds))
        agent = run_embedded(_over_http(place / "agent", "/Agent/*/ask", '"why?"', seconds))
    yield from _figures("counter, embedded", embedded)
    yield from _figures("counter, HTTP", counter)
    yield from _figures("agent, HTTP", agent)


WHERE = Scenario(name="where", title="Where the processor's time goes, 64 callers, fsync", run=_run)
