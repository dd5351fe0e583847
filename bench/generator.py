"""A load generator for machines without wrk. A program; see ``load`` for what it is given.

A protocol on raw sockets, not an HTTP client: it knows just enough of HTTP/1.1 to find the end of
an answer with a content-length.

    python -m bench.generator PORT CONNECTIONS SECONDS PATH KEYS BODY [PER_SECOND]

With PER_SECOND requests are due at that rate, however late the answers are: a connection that is
late sends its next at once, and its waiting counts from when the request was due, so that a server
that stands still is not spared what would have come meanwhile.
"""

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Tally:
    """What all connections of a round share."""

    def __init__(self, requests: Iterator[bytes], between_seconds: float) -> None:
        """Begin with nothing sent; 0 between two requests is as fast as it goes."""
        self.requests = requests
        self.between_seconds = between_seconds
        """From one request to the next, of one connection."""
        self.seconds: list[float] = []
        self.failures = 0
        self.is_over = False


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, tally: Tally, delay: float) -> None:
        """Send nothing before the connection is made, and so many seconds more."""
        self._tally = tally
        self._delay = delay
        self._transport: asyncio.WriteTransport
        self._received = b""
        self._due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        # uvloop's transports can be written to, but are not of asyncio's class for that.
        self._transport = cast("asyncio.WriteTransport", transport)
        # Connections begin one after the other within the time between two requests.
        self._due_at = time.perf_counter() + self._delay
        self._send_when_due()

    def data_received(self, data: bytes) -> None:
        """Take part of an answer; send the next request when it is whole."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        if len(self._received) < head_end + 4 + (int(length[1]) if length else 0):
            return
        tally = self._tally
        if tally.is_over:
            return
        tally.seconds.append(time.perf_counter() - self._due_at)
        if not self._received.startswith(b"HTTP/1.1 2"):
            tally.failures += 1
        self._received = b""
        if tally.between_seconds:
            self._due_at += tally.between_seconds
        else:
            self._due_at = time.perf_counter()
        self._send_when_due()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that the server closed."""
        if not self._tally.is_over:
            self._tally.failures += 1

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _send_when_due(self) -> None:
        early = self._due_at - time.perf_counter()
        if early > 0:
            asyncio.get_running_loop().call_later(early, self._send)
        else:
            self._send()

    def _send(self) -> None:
        if not self._tally.is_over:
            self._transport.write(next(self._tally.requests))


def _requests(path: str, keys: int, body: str) -> Iterator[bytes]:
    content = body.encode()
    tail = f" HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n".encode()
    tail += b"content-type: application/json\r\n\r\n" + content
    made = [b"POST " + path.replace("*", f"k{number}").encode() + tail for number in range(keys)]
    return itertools.cycle(made)


async def _run(port: int, connections: int, seconds: float, tally: Tally) -> float:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened: list[Connection] = []
    for number in range(connections):
        connection = Connection(tally, tally.between_seconds * number / connections)
        await loop.create_connection(lambda: connection, "127.0.0.1", port)  # noqa: B023  # called now
        opened.append(connection)
    await asyncio.sleep(seconds)
    tally.is_over = True
    elapsed = time.perf_counter() - started
    for connection in opened:
        connection.close()
    return elapsed


def main() -> None:
    """Run one round and print it as one line of JSON."""
    port, connections, seconds, path, keys, body, *rate = sys.argv[1:]
    between = int(connections) / float(rate[0]) if rate else 0.0
    tally = Tally(_requests(path, int(keys), body), between)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        elapsed = runner.run(_run(int(port), int(connections), float(seconds), tally))
    ordered = sorted(tally.seconds) or [0.0]
    result = {
        "requests": len(tally.seconds),
        "seconds": elapsed,
        "failures": tally.failures,
        "p50_us": ordered[len(ordered) // 2] * 1e6,
        "p99_us": ordered[len(ordered) * 99 // 100] * 1e6,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
