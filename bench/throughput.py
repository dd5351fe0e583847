"""Calls per second over HTTP on 64 connections, beside everybody; rounds of all in turn."""

from collections.abc import Iterable, Mapping

from .contenders import AIOHTTP, DBOS_POSTGRES, DBOS_SQLITE, HOLDFAST, RESTATE
from .contest import Rounds, hold, ratio_figures, throughput_figures
from .harness import Figure, Options, Scenario
from .load import Request

COUNTER_CALL = Request(path="/Counter/*/add", body="1")
AGENT_CALL = Request(path="/Agent/*/ask", body='"What is durable execution, and why?"')

EVERYBODY = (AIOHTTP, HOLDFAST, RESTATE, DBOS_SQLITE, DBOS_POSTGRES)

_CONNECTIONS = 64


def _compare(
    name: str, request: Request, targets: Mapping[str, float], options: Options
) -> Iterable[Figure]:
    rounds, seconds = (3, 3) if options.is_short else (7, 10)
    results = hold(
        request,
        Rounds(names=EVERYBODY, connections=_CONNECTIONS, rounds=rounds, seconds=seconds),
        options,
    )
    yield from throughput_figures(results.values(), f"{name}, {_CONNECTIONS} connections")
    yield from ratio_figures(results, targets)
    ours = results[HOLDFAST]
    yield Figure(
        what="holdfast, median latency",
        value=(ours.median_of(lambda each: each.p50_seconds) or 0) * 1e3,
        unit="ms",
        note=f"p99 {(ours.median_of(lambda each: each.p99_seconds) or 0) * 1e3:.1f} ms",
    )


def _counter(options: Options) -> Iterable[Figure]:
    targets = {AIOHTTP: 0.45, RESTATE: 10.0, DBOS_SQLITE: 20.0, DBOS_POSTGRES: 20.0}
    return _compare("Counter", COUNTER_CALL, targets, options)


def _agent(options: Options) -> Iterable[Figure]:
    targets = {AIOHTTP: 0.18, RESTATE: 8.0, DBOS_SQLITE: 40.0, DBOS_POSTGRES: 40.0}
    return _compare("Agent of three steps", AGENT_CALL, targets, options)


COUNTER = Scenario(
    name="counter",
    title="Counter call over HTTP: one state field, one commit; 64 connections, 10,000 keys",
    run=_counter,
    has_peers=True,
)
AGENT = Scenario(
    name="agent",
    title="Agent call over HTTP: three journaled steps; 64 connections, 10,000 keys",
    run=_agent,
    has_peers=True,
)
