"""Requests that are whole when they come are answered without a task, and like all others."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.connections import Listener
from holdfast.ingress.encoding import encode_response
from holdfast.ingress.messages import Response
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import HttpServer, serve
from holdfast.objects.errors import (
    ConflictError,
    HoldfastError,
    MailboxFullError,
    RuntimeClosedError,
    TerminalError,
)
from tests.ingress.fake_engine import AWAKEABLE, FakeEngine, error_of
from tests.ingress.http_caller import Connection, Reply, connect, get, post

AT_ONCE = timedelta(0)
LARGE = b'"' + b"x" * 20_000_000 + b'"'


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[HttpServer]:
    server = await serve(engine, port=0)
    yield server
    await server.close(AT_ONCE)


async def ask_in_two_parts(caller: Connection, request: bytes) -> Reply:
    """Ask so that the request is not whole when its head is there."""
    head, _, body = request.partition(b"\r\n\r\n")
    assert body, "a request without a body is whole when its head is"
    caller.writer.write(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    return await caller.ask(body)


def without_what_differs(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in reply.headers.items() if name != "date"}
    return reply.status, headers, reply.body


@pytest.mark.parametrize(
    "request_",
    [
        post("/Counter/sam/add", b"5", "idempotency-key: one"),
        post("/Counter/sam/add", b'"five"'),
        post("/Counter/sam/add/send", b"5", "idempotency-key: one"),
        post(f"/restate/awakeables/{AWAKEABLE}/resolve", b"5"),
        post("/restate/lookup", b"{}"),
    ],
)
async def test_a_request_is_answered_alike_in_one_piece_and_in_two(
    server: HttpServer, request_: bytes
) -> None:
    async with connect(server.port) as caller:
        await caller.ask(request_)
        whole = without_what_differs(await caller.ask(request_))
        assert whole == without_what_differs(await ask_in_two_parts(caller, request_))
        assert whole == without_what_differs(await caller.ask(request_))


@pytest.mark.parametrize(
    "failure", [MailboxFullError("full"), RuntimeClosedError("closed"), ConflictError("no")]
)
async def test_a_failure_is_answered_alike_in_one_piece_and_in_two(
    engine: FakeEngine, server: HttpServer, failure: HoldfastError
) -> None:
    engine.failure = failure
    async with connect(server.port) as caller:
        whole = await caller.ask(post("/Counter/sam/add", b"5"))
        parts = await ask_in_two_parts(caller, post("/Counter/sam/add", b"5"))
        assert without_what_differs(whole) == without_what_differs(parts)
        assert whole.status >= 400


async def test_a_bug_in_the_engine_is_a_500_and_the_connection_goes_on(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(engine, port=0, options=HttpOptions(requests_max=1))
    engine.refusal = RuntimeError("unforeseen")
    async with connect(server.port) as caller:
        reply = await caller.ask(post("/Counter/sam/add", b"5"))
        assert (reply.status, error_of(reply.body)["source"]) == (500, "ingress")
        assert "unforeseen" in caplog.text
        assert server.statistics().requests_in_flight == 0
        engine.refusal = None
        # It has given its place back.
        assert (await caller.ask(post("/Counter/sam/add", b"5"))).status == 200
    await server.close(AT_ONCE)


async def test_a_caller_who_asks_for_the_end_of_his_connection_gets_it(server: HttpServer) -> None:
    async with connect(server.port) as caller, asyncio.timeout(10):
        await caller.ask(post("/Counter/sam/add", b"5"))
        reply = await caller.ask(post("/Counter/sam/add", b"5", "Connection: close"))
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await caller.is_closed_by_server()


@pytest.mark.parametrize("failure", [None, MailboxFullError("full")])
async def test_a_caller_gone_as_its_answer_comes_gives_its_room_back_once(
    engine: FakeEngine, failure: HoldfastError | None
) -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    engine.is_holding, engine.failure = True, failure
    door, loop = CallersDoor(engine), asyncio.get_running_loop()
    listener = Listener(handle, door, loop)
    connection = listener()
    connection.connection_made(Written())
    await asyncio.sleep(0)
    connection.data_received(post("/Counter/sam/add", b"5"))
    assert door.bounds.requests == 1
    engine.finish()  # Who waits is told in the next round of the loop.
    connection.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert door.bounds.requests == 0
    assert not listener.in_flight.waited_for


HEAD = b"HEAD /restate/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("before", [b"", get("/Counter/sam/get"), HEAD])
async def test_a_caller_who_waits_costs_no_task_whatever_was_asked_before(
    engine: FakeEngine, server: HttpServer, before: bytes
) -> None:
    async with connect(server.port) as caller:
        if before:
            caller.writer.write(before)
            assert (await caller.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 ")
            await caller.reader.read(0 if before is HEAD else 1)
        engine.is_holding = True
        engine.arrived.clear()
        caller.writer.write(post("/Counter/sam/add", b"5"))
        await engine.arrived.wait()
        assert server.statistics().requests_in_flight == 1
        names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
        assert "RequestHandler.start" in names
        assert "RequestHandler._handle_request" not in names
        engine.finish()
        assert (await caller.read()).body == b"5"


class Written(asyncio.Transport):
    """A transport whose peer sends when the test says so, and what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


async def test_a_request_that_comes_with_its_connection_costs_no_task_either(
    engine: FakeEngine,
) -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    listener = Listener(handle, CallersDoor(engine), asyncio.get_running_loop())
    connection, transport = listener(), Written()
    connection.connection_made(transport)
    request = post("/Counter/sam/add", b"5")
    # Before aiohttp's task has begun, and in pieces.
    connection.data_received(request[:20])
    connection.data_received(request[20:] + request)
    async with asyncio.timeout(10):
        while transport.written.count(b"HTTP/1.1 200 OK") < 2:  # noqa: ASYNC110 - as below
            await asyncio.sleep(0)  # Nothing announces it.
    connection.connection_lost(None)
    await asyncio.sleep(0)


async def test_requests_of_every_kind_on_one_connection_are_answered_in_their_order(
    server: HttpServer,
) -> None:
    """One in a piece, one whose body comes in chunks, HEAD, one that waits, and the last one."""
    chunked = (
        b"POST /Counter/sam/add HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\n1\r\n2\r\n0\r\n\r\n"
    )
    last = get("/Counter/sam/get").replace(b"1.1", b"1.0", 1)
    async with connect(server.port) as caller:
        caller.writer.write(
            post("/Counter/sam/add", b"1")
            + chunked
            + post("/Counter/sam/add", b"3")
            + HEAD
            + post("/Counter/nobody/", b"4")
            + post("/Counter/sam/add", b"5")
            + last
        )
        assert (await caller.read()).body == b"1"
        assert (await caller.read()).body == b"2"
        assert (await caller.read()).body == b"3"
        refused = await caller.reader.readuntil(b"\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 405 ")
        assert (await caller.read()).status in {400, 404, 405}
        assert (await caller.read()).body == b"5"
        assert (await caller.read()).body == b"5"
        assert await caller.is_closed_by_server()


PIPELINED = get("/Counter/sam/get") * 40


async def test_many_requests_behind_a_body_that_comes_later_are_all_answered(
    server: HttpServer,
) -> None:
    async with connect(server.port) as caller:
        request = post("/Counter/sam/add", b" " * 150_000 + b"5")
        caller.writer.write(request[:-1000])
        await caller.writer.drain()
        await asyncio.sleep(0)
        caller.writer.write(request[-1000:] + PIPELINED)
        for _ in range(41):
            assert (await caller.read()).status == 200


async def test_requests_in_one_piece_are_answered_after_many_whose_bodies_came_later(
    server: HttpServer,
) -> None:
    async with connect(server.port) as caller:
        for _ in range(40):
            assert (await ask_in_two_parts(caller, post("/Counter/sam/add", b"5"))).body == b"5"
        caller.writer.write(PIPELINED)
        for _ in range(40):
            assert (await caller.read()).body == b"5"


async def test_what_comes_while_a_caller_waits_is_answered_after_it(
    engine: FakeEngine, server: HttpServer
) -> None:
    async with connect(server.port) as caller:
        await caller.ask(get("/Counter/sam/get"))
        engine.is_holding = True
        engine.arrived.clear()
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        engine.is_holding = False
        async with connect(server.port) as other:
            # Apart: what is malformed takes with it what came in the same piece.
            for sent in (post("/Counter/sam/add", b"1"), b"not HTTP\r\n\r\n"):
                caller.writer.write(sent)
                assert (await other.ask(post("/Counter/sam/add", b"7"))).body == b"7"
        engine.finish()
        assert (await caller.read()).body == b'"done"'
        assert (await caller.read()).body == b"1"
        assert (await caller.read()).status == 400
        assert await caller.is_closed_by_server()


async def test_the_request_behind_a_large_answer_waits_until_that_was_taken(
    engine: FakeEngine, server: HttpServer
) -> None:
    engine.outcome_of = lambda request: LARGE if request.target.key is None else b"5"
    async with connect(server.port) as caller, connect(server.port) as other:
        await caller.ask(get("/Counter/sam/get"))
        await other.ask(get("/Counter/sam/get"))
        engine.accepted.clear()
        caller.writer.write(get("/Mailer/wait") + get("/Counter/sam/get"))
        while not engine.accepted:
            await other.ask(get("/restate/health"))
        await other.ask(get("/restate/health"))
        assert len(engine.accepted) == 1
        assert (await caller.read()).body == LARGE
        assert (await caller.read()).body == b"5"


async def test_a_caller_may_wait_longer_than_a_connection_may_be_silent(
    engine: FakeEngine,
) -> None:
    server = await serve(engine, port=0, options=HttpOptions(keepalive_seconds=0.05))
    async with connect(server.port) as waiting, connect(server.port) as silent:
        for caller in (waiting, silent):
            await caller.ask(get("/Counter/sam/get"))
        engine.is_holding = True
        waiting.writer.write(get("/Mailer/wait"))
        assert await silent.is_closed_by_server()
        engine.finish()
        assert (await waiting.read()).body == b'"done"'
        assert await waiting.is_closed_by_server()
    await server.close(AT_ONCE)


async def test_the_last_answer_of_a_server_that_closes_ends_its_connection_at_once(
    engine: FakeEngine,
) -> None:
    server = await serve(engine, port=0)
    async with connect(server.port) as caller, connect(server.port) as other:
        await caller.ask(get("/Counter/sam/get"))
        engine.is_holding = True
        engine.arrived.clear()
        other.writer.write(post("/Counter/sam/add", b"7")[:-1])
        caller.writer.write(get("/Mailer/wait"))
        async with asyncio.timeout(10):
            await engine.arrived.wait()
            while server.statistics().requests_in_flight < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        closing = asyncio.ensure_future(server.close(timedelta(seconds=60)))
        await asyncio.sleep(0)
        engine.is_holding = False
        engine.finish()
        reply = await caller.read()
        assert (reply.body, reply.headers["connection"]) == (b'"done"', "close")
        async with asyncio.timeout(10):
            assert await caller.is_closed_by_server()
        assert not closing.done()
        assert (await other.ask(b"7")).body == b"7"
        await closing


async def test_nothing_is_said_behind_the_last_answer_of_a_server_that_closes(
    engine: FakeEngine,
) -> None:
    """Not even that the head which has begun behind it has no end."""
    server = await serve(engine, port=0, options=HttpOptions(head_bytes_max=16_384))
    async with connect(server.port) as caller, connect(server.port) as other:
        await caller.ask(get("/Counter/sam/get"))
        engine.is_holding = True
        engine.arrived.clear()
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        header = b": " + 10_000 * b"y" + b"\r\n"
        caller.writer.write(b"GET / HTTP/1.1\r\na" + header + b"b" + header)
        await other.ask(get("/restate/health"))
        await other.ask(get("/restate/health"))
        closing = asyncio.ensure_future(server.close(timedelta(seconds=60)))
        await asyncio.sleep(0)
        engine.finish()
        reply = await caller.read()
        assert (reply.body, reply.headers["connection"]) == (b'"done"', "close")
        assert await caller.is_closed_by_server()
        await closing


@pytest.mark.parametrize("is_begun", [True, False])
async def test_a_large_answer_is_sent_whole_by_a_server_that_closes(
    engine: FakeEngine,
    caplog: pytest.LogCaptureFixture,
    *,
    is_begun: bool,
) -> None:
    server = await serve(engine, port=0)
    engine.outcome_of = lambda _: LARGE
    engine.is_holding = True
    async with connect(server.port) as caller:
        caller.writer.write(get("/Mailer/wait"))
        await engine.arrived.wait()
        if is_begun:
            engine.finish()
            await asyncio.sleep(0)  # It is written now, and more than the system takes.
            await asyncio.sleep(0)
            assert server.statistics().requests_in_flight == 0
        # Nobody waits for the whole time that a caller gets to take its answer.
        closing = asyncio.ensure_future(server.close(goodbye=timedelta(hours=1)))
        await asyncio.sleep(0)
        engine.finish()
        assert (await caller.read()).body == LARGE
        assert await caller.is_closed_by_server()
        async with asyncio.timeout(30):
            await closing
    assert not caplog.records


async def test_an_outcome_that_failed_is_answered_with_its_status(
    engine: FakeEngine, server: HttpServer
) -> None:
    engine.outcome_of = lambda _: TerminalError("no such thing", status_code=470)
    async with connect(server.port) as caller:
        reply = await caller.ask(post("/Counter/sam/add", b"5"))
        assert (reply.status, error_of(reply.body)["source"]) == (470, "invocation")


def test_a_header_that_would_be_read_as_two_is_not_sent() -> None:
    with pytest.raises(ValueError, match="control character"):
        encode_response(Response(200, {"etag": "a\r\nb: c"}, b""), closes=False)
    assert b"\xc3\xa9\t" in encode_response(Response(200, {"etag": "é\t"}, b""), closes=False)


def test_an_answer_that_has_no_body_says_nothing_of_its_length() -> None:
    encoded = encode_response(Response(304, {"etag": '"1"'}, b""), closes=False)
    assert encoded.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert b"length" not in encoded
