"""What a call through a hundred objects costs: beside Restate over HTTP, and in fsyncs."""

import time
from collections.abc import Iterable
from pathlib import Path

from holdfast import Runtime

from .contenders import HOLDFAST, RESTATE
from .contest import Rounds, hold
from .harness import Figure, Options, Scenario, fsync_seconds, median, run_embedded, scratch
from .load import Request
from .objects import Link

_LENGTH = 100
_CALL = Request(path="/Link/*/pull", body=f"{_LENGTH - 1}", keys=100)


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
    yield from _beside_restate(options)
    yield from _in_fsyncs(options)


def _beside_restate(options: Options) -> Iterable[Figure]:
    rounds, seconds = (3, 3) if options.is_short else (7, 10)
    names = (HOLDFAST, RESTATE)
    results = hold(
        _CALL, Rounds(names=names, connections=1, rounds=rounds, seconds=seconds), options
    )
    medians: dict[str, float] = {}
    for result in results.values():
        p50 = result.median_of(lambda each: each.p50_seconds)
        if p50 is not None:
            medians[result.name] = p50
        yield Figure(
            what=f"{result.name} over HTTP, median",
            value=None if p50 is None else p50 * 1e3,
            unit="ms",
            note=result.why_not or f"per call {result.parts()}",
            chart=f"A call through {_LENGTH} objects, one connection: median, ms",
            bar=result.name,
        )
    theirs = medians.get(RESTATE)
    yield Figure(
        what="restate by holdfast",
        value=None if theirs is None else theirs / medians[HOLDFAST],
        unit="",
        at_least=20,
        note=results[RESTATE].why_not,
    )


def _in_fsyncs(options: Options) -> Iterable[Figure]:
    with scratch(options) as directory:
        syncs, seconds = run_embedded(_measure(directory, 10 if options.is_short else 50))
        fsync = median(fsync_seconds(directory))
    yield Figure(what="most fsyncs of a call", value=max(syncs), unit="fsyncs", at_most=5)
    yield Figure(what="median fsyncs of a call", value=median(syncs), unit="fsyncs")
    yield Figure(
        what="median time of a call without HTTP",
        value=median(seconds) * 1e3,
        unit="ms",
        note=f"one fsync: {fsync * 1e3:.2f} ms",
    )


CHAIN = Scenario(
    name="chain", title="Call through 100 objects, one caller, fsync", run=_run, has_peers=True
)
