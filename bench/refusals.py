"""What it costs to say no: paths that lead nowhere, and requests refused for their heads or bodies.

On one connection, sixteen requests ahead of their answers, beside a health check and a call in the
same way; so the figures are what the server can do, with the network left out. A 413 ends its
connection, so there each request has one of its own.
"""

import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from .harness import BenchmarkError, Figure, Options, Scenario, median, scratch
from .servers import Server, holdfast_server

_AHEAD = 16
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    what: str
    request: bytes
    status: int


def _request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", *headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


_CALL = _Probe(what="call", request=_request("POST", "/Counter/k/add", body=b"1"), status=200)
_PROBES = (
    _Probe(what="health", request=_request("GET", "/restate/health"), status=200),
    _Probe(
        what="404, no such handler",
        request=_request("POST", "/Counter/k/nope", body=b"1"),
        status=404,
    ),
    _Probe(
        what="400, a bad delay",
        request=_request("POST", "/Counter/k/add/send?delay=soon", body=b"1"),
        status=400,
    ),
    _Probe(
        what="400, a body of another type",
        request=_request("POST", "/Counter/k/add", body=b'"one"'),
        status=400,
    ),
    _Probe(
        what="405, another method",
        request=_request("DELETE", "/Counter/k/add", body=b"1"),
        status=405,
    ),
    _Probe(
        what="413, a connection each",
        request=_request("POST", "/Counter/k/add", "content-length: 999999999"),
        status=413,
    ),
)


def _measure(server: Server, probe: _Probe, count: int) -> tuple[float, float]:
    """Seconds, and seconds of the server's processor, that one request takes."""
    before = server.processor_seconds()
    started = time.perf_counter()
    if probe.status == 413:
        for _ in range(count):
            _exchange(server.port, probe, 1)
    else:
        _exchange(server.port, probe, count)
    elapsed = time.perf_counter() - started
    return elapsed / count, (server.processor_seconds() - before) / count


def _exchange(port: int, probe: _Probe, count: int) -> None:
    answer = b"HTTP/1.1 %d " % probe.status
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        answered = 0
        while answered < count:
            ahead = min(_AHEAD, count - answered)
            connection.sendall(probe.request * ahead)
            received = b""
            while received.count(answer) < ahead or not _ends_whole(received):
                data = connection.recv(65_536)
                if not data:
                    message = f"{probe.what}: the connection ended after {received[:200]!r}"
                    raise BenchmarkError(message)
                received += data
            answered += ahead


def _ends_whole(received: bytes) -> bool:
    """Whether the last answer has all of its body."""
    head, end, body = received.rpartition(b"\r\n\r\n")
    lengths = _LENGTH.findall(head)
    return bool(end and lengths) and len(body) == int(lengths[-1])


def _run(options: Options) -> Iterable[Figure]:
    rounds, count = (3, 800) if options.is_short else (5, 8_000)
    seconds: dict[str, list[float]] = {probe.what: [] for probe in (_CALL, *_PROBES)}
    processor: dict[str, list[float]] = {probe.what: [] for probe in (_CALL, *_PROBES)}
    with scratch(options) as directory, holdfast_server(directory) as server:
        for _ in range(rounds):
            for probe in (_CALL, *_PROBES):
                one, ours = _measure(server, probe, count)
                seconds[probe.what].append(one)
                processor[probe.what].append(ours)
    call = median(processor[_CALL.what])
    for probe in (_CALL, *_PROBES):
        ours = median(processor[probe.what])
        yield Figure(
            what=probe.what,
            value=1 / median(seconds[probe.what]),
            unit="/s",
            note=f"{ours * 1e6:.0f} us of processor, {ours / call:.2f} of a call",
        )


REFUSALS = Scenario(
    name="refusals", title="Routing and refusing, one connection, 16 requests ahead", run=_run
)
