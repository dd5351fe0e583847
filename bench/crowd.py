"""5,000 connections that are open and silent, beside a busy one: memory, and whether it shows."""

import resource
import socket
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager

from .harness import Figure, Options, Scenario, median, scratch
from .load import Outcome, put_load
from .servers import Server, holdfast_server
from .throughput import COUNTER_CALL

_HEALTH = b"GET /restate/health HTTP/1.1\r\nhost: localhost\r\n\r\n"


@contextmanager
def _idle(server: Server, count: int) -> Generator[None]:
    """So many connections that have asked something once."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 1_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], wanted), max(limit[1], wanted)))
    with ExitStack() as stack:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            stack.enter_context(connection)
            connection.sendall(_HEALTH)
            connection.recv(4_096)
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def _run(options: Options) -> Iterable[Figure]:
    rounds, seconds, count = (2, 2, 5_000) if options.is_short else (5, 5, 5_000)
    alone: list[Outcome] = []
    beside: list[Outcome] = []
    each_bytes: list[float] = []
    with scratch(options) as directory, holdfast_server(directory) as server:
        put_load(server, COUNTER_CALL, connections=1, seconds=1)
        for _ in range(rounds):
            alone.append(put_load(server, COUNTER_CALL, connections=1, seconds=seconds))
            before = server.resident_bytes()
            with _idle(server, count):
                each_bytes.append((server.resident_bytes() - before) / count)
                beside.append(put_load(server, COUNTER_CALL, connections=1, seconds=seconds))
    yield Figure(
        what="memory of an idle connection",
        value=each_bytes[0],
        unit="bytes",
        at_most=16_384,
        note=f"{count:,} of them, each of which has asked once; in the first round",
    )
    for name, rank in (("median", "p50_seconds"), ("99 of 100", "p99_seconds")):
        quiet = median(getattr(each, rank) for each in alone)
        crowded = median(getattr(each, rank) for each in beside)
        yield Figure(
            what=f"a call beside them by one alone, {name}",
            value=crowded / quiet,
            unit="",
            at_most=1.5,
            note=f"{crowded * 1e6:.0f} and {quiet * 1e6:.0f} us",
        )
    ours = [median(each.processor_seconds for each in outcomes) for outcomes in (beside, alone)]
    yield Figure(
        what="the same, processor time",
        value=ours[0] / ours[1],
        unit="",
        note=f"{ours[0] * 1e6:.0f} and {ours[1] * 1e6:.0f} us",
    )


CROWD = Scenario(
    name="crowd", title="A counter call beside 5,000 idle keep-alive connections", run=_run
)
