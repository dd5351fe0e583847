"""Bytes that two programs could read differently: a request hidden in another one finds no door.

A proxy in front and the server behind it must agree where each request ends. So whatever is
ambiguous is refused and its connection closed, or it is read in the one way that everybody agrees
on. Each probe is followed by a request that would only run if its bytes were taken for something
they are not.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import HttpServer, serve
from tests.ingress.fake_engine import FakeEngine, error_of
from tests.ingress.http_caller import Connection, Reply, connect, get

LINE = b"POST /Counter/sam/add HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
HEAD = LINE + HOST + JSON
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
HIDDEN = HEAD.replace(b"sam", b"hidden") + b"Content-Length: 1\r\n\r\n7"
"""A call that nobody may make."""


def headers(*lines: bytes, body: bytes = b"5") -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunks(body: bytes) -> bytes:
    return CHUNKED + b"\r\n" + body


REFUSED: dict[str, bytes] = {
    # Where the body ends, said twice.
    "length and chunks": headers(
        b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN
    ),
    "chunks and length": headers(
        b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN
    ),
    "two lengths": headers(b"Content-Length: 1", b"Content-Length: 50", body=b"5" + HIDDEN),
    "the same length twice": headers(b"Content-Length: 1", b"Content-Length: 1", body=b"5"),
    "lengths in a list": headers(b"Content-Length: 1, 50", body=b"5" + HIDDEN),
    "the same length in a list": headers(b"Content-Length: 1, 1", body=b"5"),
    # Lengths that are no plain number.
    "length with a sign": headers(b"Content-Length: +1"),
    "negative length": headers(b"Content-Length: -1", body=HIDDEN),
    "hexadecimal length": headers(b"Content-Length: 0x1"),
    "length with an underscore": headers(b"Content-Length: 1_0", body=b"5" + HIDDEN),
    "length with a blank inside": headers(b"Content-Length: 1 0", body=b"5" + HIDDEN),
    "fractional length": headers(b"Content-Length: 1.0"),
    "length in other digits": headers("Content-Length: \N{FULLWIDTH DIGIT ONE}".encode()),
    "empty length": headers(b"Content-Length:", body=HIDDEN),
    "length beyond 64 bits": headers(b"Content-Length: 18446744073709551617"),
    "length of a thousand digits": headers(b"Content-Length: " + b"1" * 1_000),
    # Transfer encodings that some read as chunked and others do not.
    "unknown transfer encoding": headers(b"Transfer-Encoding: xchunked", body=HIDDEN),
    "chunked is not the last": headers(
        b"Transfer-Encoding: chunked, identity", body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN
    ),
    "chunked twice": headers(
        b"Transfer-Encoding: chunked, chunked", body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN
    ),
    "chunked and then another": headers(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN,
    ),
    "chunked in quotes": headers(
        b'Transfer-Encoding: "chunked"', body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN
    ),
    "chunked after a vertical tab": headers(
        b"Transfer-Encoding: \x0bchunked", body=b"1\r\n5\r\n0\r\n\r\n" + HIDDEN
    ),
    "blank before the colon of an encoding": headers(
        b"Transfer-Encoding : chunked", b"Content-Length: 1", body=b"5" + HIDDEN
    ),
    "tab before the colon of a length": headers(b"Content-Length\t: 50", body=b"5" + HIDDEN),
    "chunked in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0")
    + b"\r\n1\r\n5\r\n0\r\n\r\n"
    + HIDDEN,
    # Lines.
    "folded header": headers(b"X: a", b" Content-Length: 50", body=b"5" + HIDDEN),
    "folded after a tab": headers(b"X: a", b"\tContent-Length: 50", body=b"5" + HIDDEN),
    "first header is folded": LINE + b" " + HOST + b"\r\n" + HIDDEN,
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 1\n\n5",
    "bare line feed in a head": headers(b"X: a\nContent-Length: 50", body=b"5" + HIDDEN),
    "bare line feed ends a head": HEAD + b"X: a\n\n" + HIDDEN,
    "carriage return in a value": headers(b"X: a\rContent-Length: 50", body=b"5" + HIDDEN),
    "carriage return ends a head": HEAD + b"X: a\r\r\n" + HIDDEN,
    "header without a colon": headers(b"Content-Length", body=HIDDEN),
    "header without a name": headers(b": 50", body=HIDDEN),
    "NUL in a name": headers(b"Content\0-Length: 50", body=b"5"),
    "NUL in a value": headers(b"Content-Length: 1\0", body=b"5"),
    "NUL in the target": HEAD.replace(b"sam", b"s\0am") + b"\r\n" + HIDDEN,
    "bracket in a name": headers(b"Content(Length: 50", body=b"5"),
    "name beyond ASCII": headers("Content-Längth: 50".encode(), body=b"5"),
    # The request line.
    "method in lower case": HEAD.replace(b"POST", b"post") + b"Content-Length: 1\r\n\r\n5",
    "method of mixed case": HEAD.replace(b"POST", b"PoST") + b"Content-Length: 1\r\n\r\n5",
    "unknown method": HEAD.replace(b"POST", b"CALL") + b"Content-Length: 1\r\n\r\n5",
    "method after a blank": b" " + HEAD + b"Content-Length: 1\r\n\r\n5",
    "tab after the method": HEAD.replace(b"POST ", b"POST\t") + b"Content-Length: 1\r\n\r\n5",
    "no version": HEAD.replace(b" HTTP/1.1", b"") + b"\r\n" + HIDDEN,
    "version 1.2": HEAD.replace(b"1.1", b"1.2") + b"Content-Length: 1\r\n\r\n5",
    "version 2.0": HEAD.replace(b"1.1", b"2.0") + b"Content-Length: 1\r\n\r\n5",
    "version 11": HEAD.replace(b"1.1", b"11") + b"Content-Length: 1\r\n\r\n5",
    "version in lower case": HEAD.replace(b"HTTP", b"http") + b"Content-Length: 1\r\n\r\n5",
    "absolute form": HEAD.replace(b"/Counter", b"http://localhost/Counter")
    + b"Content-Length: 1\r\n\r\n5",
    "absolute form of another host": HEAD.replace(b"/Counter", b"http://evil.example/Counter")
    + b"Content-Length: 1\r\n\r\n5",
    "two slashes at the start": HEAD.replace(b"/Counter", b"//Counter")
    + b"Content-Length: 1\r\n\r\n5",
    "target without a slash": HEAD.replace(b"/Counter", b"Counter") + b"\r\n" + HIDDEN,
    "fragment": HEAD.replace(b"add ", b"add#x ") + b"Content-Length: 1\r\n\r\n5",
    "tunnel": b"CONNECT localhost:22 HTTP/1.1\r\n" + HOST + b"\r\n",
    # Hosts.
    "no host": LINE + JSON + b"Content-Length: 1\r\n\r\n5",
    "two hosts": headers(b"Host: localhost", b"Content-Length: 1"),
    "another host": LINE + b"Host: evil.example\r\n" + JSON + b"Content-Length: 1\r\n\r\n5",
    "empty host": LINE + b"Host:\r\n" + JSON + b"Content-Length: 1\r\n\r\n5",
    "host with a user": LINE + b"Host: localhost@evil.example\r\n" + JSON + b"\r\n",
    # Chunks.
    "no chunk size": chunks(b"\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk size that is no number": chunks(b"zz\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "negative chunk size": chunks(b"-1\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk size with a prefix": chunks(b"0x1\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk size with a sign": chunks(b"+1\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk size beyond 64 bits": chunks(b"10000000000000001\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk that is longer than it says": chunks(b"1\r\n55\r\n0\r\n\r\n" + HIDDEN),
    "chunk that ends with a line feed": chunks(b"1\r\n5\n0\r\n\r\n" + HIDDEN),
    "chunk size that ends with a line feed": chunks(b"1\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk extension that holds a line feed": chunks(b"1;a=\n5\r\n0\r\n\r\n" + HIDDEN),
    "chunk size after a blank": chunks(b" 1\r\n5\r\n0\r\n\r\n" + HIDDEN),
    "length in a trailer": chunks(b"1\r\n5\r\n0\r\nContent-Length: 50\r\n\r\n" + HIDDEN),
    "trailer without a colon": chunks(b"1\r\n5\r\n0\r\nContent-Length\r\n\r\n" + HIDDEN),
}


@dataclass(frozen=True)
class Read:
    """How bytes are read that everybody reads alike: the status, and what was called with what."""

    data: bytes
    argument: bytes = b"5"


AGREED: dict[str, Read] = {
    "two blanks after the method": Read(
        HEAD.replace(b"POST ", b"POST  ") + b"Content-Length: 1\r\n\r\n5"
    ),
    "two blanks before the version": Read(
        HEAD.replace(b" HTTP", b"  HTTP") + b"Content-Length: 1\r\n\r\n5"
    ),
    "blanks around a value": Read(headers(b"Content-Length: \t 1 \t ")),
    "zeros before a length": Read(headers(b"Content-Length: 0001")),
    "chunked in capitals": Read(
        headers(b"Transfer-Encoding: CHUNKED", body=b"1\r\n5\r\n0\r\n\r\n")
    ),
    "chunk size in capitals": Read(chunks(b"A\r\n1234567890\r\n0\r\n\r\n"), b"1234567890"),
    "zeros before a chunk size": Read(chunks(b"0001\r\n5\r\n000\r\n\r\n")),
    "chunk extension": Read(chunks(b'1;name="value";x\r\n5\r\n0;last\r\n\r\n')),
    "trailers": Read(chunks(b"1\r\n5\r\n0\r\nX-Sum: 1\r\n\r\n")),
    "chunks of one byte": Read(chunks(b"1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n"), b"123"),
    "empty lines before a request": Read(b"\r\n\r\n" + headers(b"Content-Length: 1")),
    "unknown expectation": Read(headers(b"Content-Length: 1", b"Expect: tea")),
    "upgrade": Read(headers(b"Content-Length: 1", b"Connection: Upgrade", b"Upgrade: h2c")),
}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[HttpServer]:
    server = await serve(engine, port=0)
    yield server
    await server.close(timedelta(0))


async def is_in_sync(caller: Connection) -> bool:
    """Whether the next request on the connection gets the next answer, which is its own."""
    reply = await caller.ask(get("/restate/health"))
    return (reply.status, b'"status":"ok"' in reply.body) == (200, True)


async def is_over(caller: Connection, reply: Reply) -> bool:
    """Whether the server has said that it closes the connection, or just has."""
    if reply.headers.get("connection") == "close":
        return await caller.is_closed_by_server()
    try:
        assert await is_in_sync(caller)
    except (asyncio.IncompleteReadError, ConnectionError):
        return True
    return False


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_what_could_be_read_in_two_ways_calls_nothing_and_hides_nothing(
    server: HttpServer, engine: FakeEngine, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with asyncio.timeout(10), connect(server.port) as caller:
            reply = await caller.ask(data)
            # What is hidden must not be read as a request; else the next one gets its answer.
            assert await is_over(caller, reply) or HIDDEN not in data

    assert 400 <= reply.status < 500, reply
    assert error_of(reply.body)["source"] == "ingress"
    assert engine.accepted == []
    assert caplog.records == []


@pytest.mark.parametrize("read", AGREED.values(), ids=AGREED.keys())
async def test_what_everybody_reads_alike_is_one_request(
    server: HttpServer, engine: FakeEngine, read: Read
) -> None:
    async with asyncio.timeout(10), connect(server.port) as caller:
        reply = await caller.ask(read.data)
        assert (reply.status, reply.body) == (200, read.argument)
        assert await is_in_sync(caller)
    assert [call.argument for call in engine.accepted] == [read.argument]


async def test_a_chunk_of_an_exabyte_is_waited_for_as_long_as_any_body(engine: FakeEngine) -> None:
    server = await serve(engine, port=0, options=HttpOptions(body_seconds_max=0.05))
    async with asyncio.timeout(10), connect(server.port) as caller:
        reply = await caller.ask(chunks(b"fffffffffffffff\r\n5"))
        assert reply.status == 408
        assert await caller.is_closed_by_server()
    await server.close(timedelta(0))
    assert engine.accepted == []
