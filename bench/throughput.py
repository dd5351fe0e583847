"""Calls per second over HTTP on 64 connections, beside bare aiohttp; rounds of both in turn."""

from collections.abc import Iterable

from .harness import Figure, Options, Scenario, median, scratch, show
from .load import Outcome, Request, put_load
from .servers import bare_server, holdfast_server

COUNTER_CALL = Request(path="/Counter/*/add", body="1")
AGENT_CALL = Request(path="/Agent/*/ask", body='"What is durable execution, and why?"')

_CONNECTIONS = 64


def _compare(request: Request, options: Options, *, ratio_min: float) -> Iterable[Figure]:
    rounds, seconds = (3, 3) if options.is_short else (7, 10)
    bare: list[Outcome] = []
    ours: list[Outcome] = []
    with (
        scratch(options) as directory,
        bare_server(directory) as aiohttp,
        holdfast_server(directory) as holdfast,
    ):
        for server in (aiohttp, holdfast):
            put_load(server, request, connections=_CONNECTIONS, seconds=1 + seconds // 3)
        for _ in range(rounds):
            for server, outcomes in ((aiohttp, bare), (holdfast, ours)):
                outcome = put_load(server, request, connections=_CONNECTIONS, seconds=seconds)
                outcomes.append(outcome)
    bare_per_second = median(each.per_second for each in bare)
    our_per_second = median(each.per_second for each in ours)
    yield Figure(what="bare aiohttp", value=bare_per_second, unit="/s", note=_each_round(bare))
    yield Figure(what="holdfast", value=our_per_second, unit="/s", note=_each_round(ours))
    yield Figure(
        what="holdfast by bare aiohttp",
        value=our_per_second / bare_per_second,
        unit="",
        at_least=ratio_min,
    )
    bare_processor = median(each.processor_seconds for each in bare)
    our_processor = median(each.processor_seconds for each in ours)
    yield Figure(
        what="bare aiohttp by holdfast, processor time",
        value=bare_processor / our_processor,
        unit="",
        note=f"{bare_processor * 1e6:.0f} and {our_processor * 1e6:.0f} us per call, all threads",
    )
    yield Figure(
        what="median latency",
        value=median(each.p50_seconds for each in ours) * 1e3,
        unit="ms",
        note=f"p99 {median(each.p99_seconds for each in ours) * 1e3:.1f} ms",
    )


def _each_round(outcomes: list[Outcome]) -> str:
    return "rounds: " + " ".join(show(round(each.per_second)) for each in outcomes)


def _counter(options: Options) -> Iterable[Figure]:
    return _compare(COUNTER_CALL, options, ratio_min=0.40)


def _agent(options: Options) -> Iterable[Figure]:
    return _compare(AGENT_CALL, options, ratio_min=0.15)


COUNTER = Scenario(
    name="counter",
    title="Counter call over HTTP: one state field, one commit; 64 connections, 10,000 keys",
    run=_counter,
)
AGENT = Scenario(
    name="agent",
    title="Agent call over HTTP: three journaled steps; 64 connections, 10,000 keys",
    run=_agent,
)
