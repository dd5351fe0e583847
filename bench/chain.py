"""What a call through a hundred objects costs in fsyncs, counted by the store."""

import time
from collections.abc import Iterable
from pathlib import Path

from holdfast import Runtime

from .harness import Figure, Options, Scenario, fsync_seconds, median, run_embedded, scratch
from .objects import Link

_LENGTH = 100


async def _measure(directory: Path, rounds: int) -> tuple[list[int], list[float]]:
    syncs: list[int] = []
    seconds: list[float] = []
    async with Runtime([Link], data_dir=directory / "data", durability="fsync") as runtime:
        for number in range(rounds):
            before = runtime.statistics().syncs
            started = time.perf_counter()
            answer = await runtime.object(Link, f"chain {number}").pull(_LENGTH - 1)
            seconds.append(time.perf_counter() - started)
            syncs.append(runtime.statistics().syncs - before)
            assert answer == _LENGTH, "every object of the chain was called"
    return syncs, seconds


def _run(options: Options) -> Iterable[Figure]:
    with scratch(options) as directory:
        syncs, seconds = run_embedded(_measure(directory, 10 if options.is_short else 50))
        fsync = median(fsync_seconds(directory))
    yield Figure(what="most fsyncs of a call", value=max(syncs), unit="fsyncs", at_most=5)
    yield Figure(what="median fsyncs of a call", value=median(syncs), unit="fsyncs")
    yield Figure(
        what="median time of a call",
        value=median(seconds) * 1e3,
        unit="ms",
        note=f"one fsync: {fsync * 1e3:.2f} ms",
    )


CHAIN = Scenario(name="chain", title="Call through 100 objects, one caller, fsync", run=_run)
