"""The real server on a real socket: what aiohttp does with bytes, and what is done about it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import HttpServer, serve
from holdfast.objects.errors import InvalidArgumentError
from tests.ingress.fake_engine import FakeEngine, error_of
from tests.ingress.http_caller import connect, get, post

AT_ONCE = timedelta(0)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[HttpServer]:
    server = await serve(engine, port=0)
    yield server
    await server.close(AT_ONCE)


async def wait_in_flight(server: HttpServer, requests: int) -> None:
    async with asyncio.timeout(5):
        # Nothing announces it: the server does not know that anyone is looking.
        while server.statistics().requests_in_flight != requests:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_call_is_answered_over_a_socket(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(post("/Counter/sam/add", b"5"))

    assert (reply.status, reply.body) == (200, b"5")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-restate-id"].startswith("inv_")


async def test_an_answer_does_not_say_what_software_sent_it(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(get("/Counter/sam/get"))
    assert reply.headers["server"] == "holdfast"


@pytest.mark.parametrize(
    ("segment", "key"),
    [("a%2Fb", "a/b"), ("%25ff", "%ff"), ("%C3%BC", "ü"), ("..", ".."), ("a;b", "a;b")],
)
async def test_a_key_arrives_as_it_was_encoded(
    server: HttpServer, engine: FakeEngine, segment: str, key: str
) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(get(f"/Counter/{segment}/get"))
    assert reply.status == 200
    assert engine.accepted[0].target.key == key


HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"
JSON_HEAD = b"POST /Counter/sam/add" + HEAD + b"Content-Type: application/json\r\n"

ODD_BYTES = {
    "no HTTP": b"GARBAGE\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /Counter/sam/get HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /Counter/sam/get" + HEAD + b"Host: localhost\r\n\r\n",
    "absolute URL": b"GET http://localhost/Counter/sam/get" + HEAD + b"\r\n",
    "asterisk": b"OPTIONS *" + HEAD + b"\r\n",
    "tunnel": b"CONNECT localhost:22" + HEAD + b"\r\n",
    "blank in the path": b"GET /Counter/a b/get" + HEAD + b"\r\n",
    "fragment": b"GET /Counter/sam/get#x" + HEAD + b"\r\n",
    "raw byte in the path": b"GET /Counter/\xff/get" + HEAD + b"\r\n",
    "encoded byte that is not UTF-8": b"GET /Counter/%ff/get" + HEAD + b"\r\n",
    "NUL in a header": b"GET /Counter/sam/get" + HEAD + b"x: a\0b\r\n\r\n",
    "folded header": b"GET /Counter/sam/get" + HEAD + b"x: a\r\n b\r\n\r\n",
    "blank before colon": b"GET /Counter/sam/get" + HEAD + b"x : a\r\n\r\n",
    "two lengths": JSON_HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n55",
    "signed length": JSON_HEAD + b"Content-Length: +1\r\n\r\n5",
    "length and chunks": JSON_HEAD
    + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n\r\n",
    "bad chunk size": JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n5\r\n0\r\n\r\n",
    "unknown transfer encoding": JSON_HEAD + b"Transfer-Encoding: xchunked\r\n\r\n5",
}


@pytest.mark.parametrize("data", ODD_BYTES.values(), ids=ODD_BYTES.keys())
async def test_odd_bytes_are_refused_in_json_and_leave_no_trace_in_engine_or_log(
    server: HttpServer, engine: FakeEngine, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with connect(server.port) as caller:
            reply = await caller.ask(data)

    assert reply.status == 400
    error = error_of(reply.body)
    assert (error["code"], error["source"]) == (400, "ingress")
    assert "\n" not in str(error["message"])
    assert engine.accepted == []
    assert caplog.records == []


async def test_chunks_that_turn_bad_while_the_body_is_read_are_a_body_that_never_ends(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """aiohttp does not tell the reader of a body that the rest of it will not parse."""
    server = await serve(engine, port=0, options=HttpOptions(body_seconds_max=0.05))
    async with connect(server.port) as caller:
        caller.writer.write(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n")
        await wait_in_flight(server, 1)
        reply = await caller.ask(b"zz\r\n")
        assert reply.status == 408
    await server.close(AT_ONCE)
    assert engine.accepted == []
    assert caplog.records == []


async def test_a_caller_who_goes_away_in_the_middle_of_a_body_has_called_nothing(
    server: HttpServer, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(server.port) as caller:
        caller.writer.write(JSON_HEAD + b"Content-Length: 2\r\n\r\n5")
        await wait_in_flight(server, 1)
    await wait_in_flight(server, 0)
    assert engine.accepted == []
    assert caplog.records == []


async def test_a_caller_who_goes_away_does_not_stop_the_invocation(
    server: HttpServer, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.is_holding = True
    async with connect(server.port) as caller:
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
    async with connect(server.port) as other:
        engine.is_holding = False
        assert (await other.ask(get("/Counter/sam/get"))).status == 200

        await wait_in_flight(server, 0)  # Nobody waits, so nothing is kept for anybody.
        assert len(engine.accepted) == 2
    assert caplog.records == []


async def test_one_connection_carries_many_requests_and_outlives_refusals(
    server: HttpServer,
) -> None:
    async with connect(server.port) as caller:
        for _ in range(3):
            assert (await caller.ask(post("/Counter/sam/nope", b"5"))).status == 404
            assert (await caller.ask(post("/Counter/sam/add", b"5"))).status == 200


async def test_pipelined_requests_are_answered_in_order(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        caller.writer.write(b"".join(post("/Counter/a/add", b"%d" % n) for n in range(5)))
        assert [(await caller.read()).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_parallel_requests_get_their_own_answers(server: HttpServer) -> None:
    async def call_in_a_row(first: int) -> list[bytes]:
        async with connect(server.port) as caller:
            return [
                (await caller.ask(post("/Counter/sam/add", b"%d" % (first + n)))).body
                for n in range(20)
            ]

    answers = await asyncio.gather(*(call_in_a_row(100 * k) for k in range(20)))

    assert answers == [[b"%d" % (100 * k + n) for n in range(20)] for k in range(20)]


async def test_a_slow_invocation_holds_up_nobody_else(
    server: HttpServer, engine: FakeEngine
) -> None:
    engine.is_holding = True
    async with connect(server.port) as slow, connect(server.port) as quick:
        slow.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        engine.is_holding = False
        assert (await quick.ask(get("/Counter/sam/get"))).body == b"5"
        engine.finish()
        assert (await slow.read()).body == b'"done"'


async def test_a_chunked_body_is_a_body(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(
            JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n2\r\n67\r\n0\r\n\r\n"
        )
    assert (reply.status, reply.body) == (200, b"567")


async def test_two_idempotency_keys_are_refused(server: HttpServer, engine: FakeEngine) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(
            post("/Counter/sam/add", b"5", "Idempotency-Key: a", "Idempotency-Key: b")
        )
    assert reply.status == 400
    assert engine.accepted == []


async def test_a_caller_who_asks_first_is_told_to_go_on(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        caller.writer.write(JSON_HEAD + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert (await caller.read()).status == 100
        reply = await caller.ask(b"5")
    assert (reply.status, reply.body) == (200, b"5")


async def test_a_caller_who_asks_first_is_refused_before_sending_anything(
    server: HttpServer,
) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(
            b"POST /Counter/sam/nope"
            + HEAD
            + b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        )
    assert reply.status == 404
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 65\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n41\r\n" + b"1" * 65 + b"\r\n",
    ],
)
async def test_a_body_over_the_limit_is_refused_before_it_is_complete(
    engine: FakeEngine, framing: bytes
) -> None:
    server = await serve(engine, port=0, options=HttpOptions(body_bytes_max=64))
    async with connect(server.port) as caller:
        reply = await caller.ask(JSON_HEAD + framing)
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert engine.accepted == []
    await server.close(AT_ONCE)


async def test_a_large_body_arrives_whole(server: HttpServer, engine: FakeEngine) -> None:
    body = b'{"to":"a","text":"' + b"x" * 3_000_000 + b'"}'
    async with connect(server.port) as caller:
        assert (await caller.ask(post("/Mailer/mail", body))).status == 200
    assert engine.accepted[0].argument == body


# Deadlines


async def test_a_head_that_never_ends_is_cut_off_and_an_answered_connection_is_not(
    engine: FakeEngine,
) -> None:
    server = await serve(engine, port=0, options=HttpOptions(head_seconds_max=0.05))
    async with connect(server.port) as idle, connect(server.port) as mute:
        assert (await idle.ask(get("/Counter/sam/get"))).status == 200
        async with connect(server.port) as slow:
            slow.writer.write(b"GET /Counter/sam/get HTTP/1.1\r\nHost: loc")
            assert await slow.is_closed_by_server()
        assert await mute.is_closed_by_server()
        # Longer idle than either, but it owes nobody a head.
        assert (await idle.ask(get("/Counter/sam/get"))).status == 200
        idle.writer.write(b"GET /")
        assert await idle.is_closed_by_server()
    await server.close(AT_ONCE)


async def test_a_waiting_call_is_not_taken_for_a_slow_head(engine: FakeEngine) -> None:
    server = await serve(engine, port=0, options=HttpOptions(head_seconds_max=0.05))
    engine.is_holding = True
    async with connect(server.port) as caller, connect(server.port) as mute:
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        assert await mute.is_closed_by_server()
        engine.finish()
        assert (await caller.read()).status == 200
    await server.close(AT_ONCE)


async def test_a_body_that_never_ends_is_a_408(engine: FakeEngine) -> None:
    server = await serve(engine, port=0, options=HttpOptions(body_seconds_max=0.05))
    async with connect(server.port) as caller:
        reply = await caller.ask(JSON_HEAD + b"Content-Length: 2\r\n\r\n5")
    assert reply.status == 408
    assert reply.headers["connection"] == "close"
    assert engine.accepted == []
    await server.close(AT_ONCE)


# Starting and closing


async def test_a_taken_port_is_said_in_one_sentence(server: HttpServer, engine: FakeEngine) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        await serve(engine, port=server.port)
    assert raised.value.message == (
        f"port {server.port} on 127.0.0.1 is taken by another program; choose another with --port"
    )


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("127.0.0.1", 65_536), ("127.0.0.1", -1)]
)
async def test_an_address_that_is_not_here_is_refused(
    engine: FakeEngine, host: str, port: int
) -> None:
    with pytest.raises(InvalidArgumentError, match="--port"):
        await serve(engine, host=host, port=port, options=HttpOptions(allow_anonymous=True))


async def test_closing_lets_a_request_in_flight_finish(
    server: HttpServer, engine: FakeEngine
) -> None:
    engine.is_holding = True
    async with connect(server.port) as caller:
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        closing = asyncio.create_task(server.close(timedelta(seconds=30)))
        await asyncio.sleep(0)
        engine.finish()
        reply = await caller.read()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await caller.is_closed_by_server()
    await closing


async def test_after_the_grace_a_request_in_flight_is_told_that_its_outcome_is_unknown(
    server: HttpServer, engine: FakeEngine
) -> None:
    engine.is_holding = True
    async with connect(server.port) as caller:
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        await server.close(AT_ONCE)
        reply = await caller.read()
    assert reply.status == 503
    assert "may do it twice" in str(error_of(reply.body)["message"])
    assert "retry-after" not in reply.headers


async def test_a_request_on_an_open_connection_is_refused_while_closing(
    server: HttpServer, engine: FakeEngine
) -> None:
    engine.is_holding = True
    async with connect(server.port) as slow, connect(server.port) as late:
        assert (await late.ask(get("/restate/health"))).status == 200
        slow.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        closing = asyncio.create_task(server.close(timedelta(seconds=30)))
        await asyncio.sleep(0)
        reply = await late.ask(post("/Counter/sam/add", b"5"))
        engine.finish()
        await slow.read()
    await closing

    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert len(engine.accepted) == 1


async def test_closing_twice_is_closing_once(server: HttpServer) -> None:
    port = server.port
    async with connect(port) as idle:
        await asyncio.gather(server.close(), server.close())
        await server.close()
        assert await idle.is_closed_by_server()
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", port)
    assert server.statistics().connections == 0


async def test_two_servers_in_one_process_share_nothing(
    server: HttpServer, engine: FakeEngine
) -> None:
    other_engine = FakeEngine()
    other = await serve(other_engine, port=0)
    async with connect(server.port) as one, connect(other.port) as two:
        await one.ask(post("/Counter/sam/add", b"1"))
        await two.ask(post("/Counter/sam/add", b"2"))
        await other.close(AT_ONCE)
        assert (await one.ask(get("/Counter/sam/get"))).status == 200
    assert [call.argument for call in engine.accepted] == [b"1", b""]
    assert [call.argument for call in other_engine.accepted] == [b"2"]
