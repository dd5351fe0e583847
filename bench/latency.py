"""How long one caller waits who is alone, beside everybody and one fsync measured in between."""

from collections.abc import Iterable

from .contenders import AIOHTTP, HOLDFAST, RESTATE
from .contest import Result, started
from .harness import Figure, Options, Scenario, fsync_seconds, median
from .load import Request, put_load
from .throughput import AGENT_CALL, COUNTER_CALL, EVERYBODY

_CALLS: tuple[tuple[str, Request, int], ...] = (
    ("counter", COUNTER_CALL, 2),
    ("agent", AGENT_CALL, 5),
)
"""Name, request, and how many fsyncs it may take on top of bare aiohttp."""


def _run(options: Options) -> Iterable[Figure]:
    rounds, seconds = (3, 2) if options.is_short else (7, 5)
    for name, request, fsyncs_max in _CALLS:
        fsyncs: list[float] = []
        with started(options, EVERYBODY) as (servers, results):
            for server in servers.values():
                put_load(server, request, connections=1, seconds=1)
            for _ in range(rounds):
                fsyncs += fsync_seconds(options.directory)
                for each, server in servers.items():
                    outcome = put_load(server, request, connections=1, seconds=seconds)
                    results[each].outcomes.append(outcome)
        for result in results.values():
            yield from _of_one(name, result)
        yield from _targets(name, results, median(fsyncs), fsyncs_max)


def _of_one(name: str, result: Result) -> Iterable[Figure]:
    p50, p99 = _p50(result), _p99(result)
    if p50 is None or p99 is None:
        yield Figure(what=f"{name}, {result.name}", value=None, unit="us", note=result.why_not)
        return
    yield Figure(
        what=f"{name}, {result.name}: median",
        value=p50 * 1e6,
        unit="us",
        note=f"p99 {p99 * 1e6:,.0f} us; per call {result.parts()}",
        chart=f"{name.capitalize()} call, one connection: median, us",
        bar=result.name,
    )


def _targets(
    name: str, results: dict[str, Result], fsync: float, fsyncs_max: int
) -> Iterable[Figure]:
    ours, ours_p99 = _p50(results[HOLDFAST]), _p99(results[HOLDFAST])
    bare, restate = _p50(results[AIOHTTP]), _p50(results[RESTATE])
    if ours is None or ours_p99 is None or bare is None:
        return
    yield Figure(
        what=f"{name}, fsyncs above bare aiohttp",
        value=(ours - bare) / fsync,
        unit="fsyncs",
        at_most=fsyncs_max,
        note=f"one fsync, between rounds: {fsync * 1e6:.0f} us",
    )
    yield Figure(
        what=f"{name}, holdfast's median by restate's",
        value=None if restate is None else ours / restate,
        unit="",
        at_most=0.1,
        note=results[RESTATE].why_not,
    )
    yield Figure(
        what=f"{name}, holdfast's p99 by its median", value=ours_p99 / ours, unit="", at_most=3
    )


def _p50(result: Result) -> float | None:
    return result.median_of(lambda each: each.p50_seconds)


def _p99(result: Result) -> float | None:
    return result.median_of(lambda each: each.p99_seconds)


LATENCY = Scenario(
    name="latency", title="One connection over HTTP: latency, fsync", run=_run, has_peers=True
)
