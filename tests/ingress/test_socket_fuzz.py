"""Requests with something wrong in them over a real socket: never a 5xx, a traceback or a hang.

Each is made of parts that are known to matter, then a few bytes are changed, left out, repeated or
put in, and it is sent in pieces. A last request asks the server to close, so that whatever the
bytes were taken for the connection ends soon.
"""

import asyncio
import json
import logging
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import serve
from tests.ingress.fake_engine import FakeEngine
from tests.ingress.test_request_properties import BODY, HEADER_NAME, HEADER_VALUE, PATH, QUERY

LAST = b"GET /restate/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
OPTIONS = HttpOptions(head_seconds_max=0.1, body_seconds_max=0.05, keepalive_seconds=0.1)

FRAMING = st.sampled_from(
    [
        *("Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Content-Length: 1"),
        *("Content-Length: 99999999", "Content-Length: 999999999999", "Expect: 100-continue"),
        *("Connection: close", "Connection: Upgrade\r\nUpgrade: websocket", "Connection: x"),
    ]
)
ODD = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"0\r\n\r\n",
        b"\xff",
        b"%",
        b"\r\n\r\n",
        b"?",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is in order but for its values, most of the time."""
    path = draw(PATH) + draw(QUERY)
    body = draw(BODY)
    lines = [f"{draw(st.sampled_from(['GET', 'POST', 'OPTIONS', 'HEAD']))} {path} HTTP/1.1"]
    lines.append("Host: localhost")
    named = draw(st.dictionaries(HEADER_NAME, HEADER_VALUE, max_size=3))
    lines += [f"{name}: {value}" for name, value in named.items()]
    lines += draw(st.lists(FRAMING, max_size=1))
    if draw(st.booleans()):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Requests one after another, some of whose bytes are others."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 8)))
        data = data[:at] + draw(st.one_of(ODD, st.binary(max_size=3))) + data[until:]
    return data


async def converse(engine: FakeEngine, data: bytes, pieces: int) -> bytes:
    """All that the server says to ``data`` until it closes the connection."""
    server = await serve(engine, port=0, options=OPTIONS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    said = b""
    try:
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                step = max(1, len(data) // pieces)
                for start in range(0, len(data), step):
                    writer.write(data[start : start + step])
                    await asyncio.sleep(0)
                said = await reader.read(-1)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        await server.close(timedelta(0))
    return said


def replies_in(said: bytes) -> list[tuple[int, str, bytes]]:
    """Status, head and body of each answer; fails where the bytes are not answers in a row."""
    replies: list[tuple[int, str, bytes]] = []
    while said:
        head, blank, said = said.partition(b"\r\n\r\n")
        assert blank, head
        assert head.startswith(b"HTTP/"), head
        status = int(head.split(b" ")[1])
        lines = head.decode("latin-1").lower().split("\r\n")[1:]
        lengths = [int(line[16:]) for line in lines if line.startswith("content-length: ")]
        length = lengths[0] if lengths and not said.startswith(b"HTTP/") else 0
        replies.append((status, head.decode("latin-1").lower(), said[:length]))
        said = said[length:]
    return replies


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=damaged(), pieces=st.sampled_from([1, 1, 2, 7]))
def test_whatever_arrives_is_answered_or_cut_off_and_what_is_refused_has_called_nothing(
    data: bytes, pieces: int, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    caplog.clear()
    with caplog.at_level(logging.INFO), asyncio.Runner() as runner:
        said = runner.run(converse(engine, data + LAST, pieces))

    replies = replies_in(said)
    assert all(100 <= status < 500 for status, _, _ in replies), said
    called = [head for status, head, _ in replies if status < 300 and "x-restate-id" in head]
    assert len(called) == len(engine.accepted), said
    for status, head, body in replies:
        if status >= 400 and body:
            assert f"x-restate-error-source: {json.loads(body)['source']}" in head
    assert caplog.records == []
