"""Every bound of the server: who is refused and how, and that the others notice nothing."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web

from holdfast.ingress import connections
from holdfast.ingress.aiohttp_app import make_app
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import HttpServer, serve
from holdfast.objects.errors import InvalidArgumentError
from holdfast.runtime.state_reads import StateDocument, StateQuestion
from tests.ingress.fake_engine import FakeEngine, error_of
from tests.ingress.http_caller import Connection, Reply, connect, get, post

AT_ONCE = timedelta(0)
WAIT = get("/Mailer/wait")
JSON_HEAD = (
    b"POST /Counter/sam/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@asynccontextmanager
async def serving(engine: FakeEngine, **options: float) -> AsyncGenerator[HttpServer, None]:
    server = await serve(engine, port=0, options=HttpOptions(**options))  # type: ignore[arg-type]  # fields by name
    try:
        yield server
    finally:
        await server.close(AT_ONCE)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing announces."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


async def in_flight(server: HttpServer, count: int) -> None:
    await until(lambda: server.statistics().requests_in_flight == count)


def is_told_to_come_back(reply: Reply, status: int) -> bool:
    return (reply.status, reply.headers["retry-after"]) == (status, "1")


# Requests being answered


async def test_one_more_than_may_wait_is_a_429_and_the_others_are_answered(
    engine: FakeEngine,
) -> None:
    engine.is_holding = True
    async with (
        serving(engine, requests_max=2) as server,
        connect(server.port) as one,
        connect(server.port) as two,
        connect(server.port) as more,
    ):
        one.writer.write(WAIT)
        two.writer.write(WAIT)
        await in_flight(server, 2)
        reply = await more.ask(post("/Counter/sam/add", b"5"))
        assert is_told_to_come_back(reply, 429)
        assert "--max-concurrent" in str(error_of(reply.body)["message"])
        assert len(engine.accepted) == 2
        # What needs no room is answered all the same, on the same connection.
        assert (await more.ask(get("/restate/health"))).status == 200
        assert (await more.ask(get("/Counter/sam/nope"))).status == 404
        engine.finish()
        assert (await one.read()).status == (await two.read()).status == 200
        engine.is_holding = False
        assert (await more.ask(post("/Counter/sam/add", b"5"))).status == 200


async def test_a_caller_who_goes_away_leaves_his_place(engine: FakeEngine) -> None:
    engine.is_holding = True
    async with serving(engine, requests_max=1) as server, connect(server.port) as other:
        for _ in range(3):
            async with connect(server.port) as caller:
                caller.writer.write(WAIT)
                await in_flight(server, 1)
            await in_flight(server, 0)
        engine.is_holding = False
        assert (await other.ask(get("/Counter/sam/get"))).status == 200
    assert len(engine.accepted) == 4


async def test_a_waiting_call_keeps_its_body_nowhere_but_in_the_engine(engine: FakeEngine) -> None:
    engine.is_holding = True
    async with serving(engine) as server, connect(server.port) as caller:
        caller.writer.write(post("/Mailer/greet", b'"' + b"x" * 1_000_000 + b'"'))
        await engine.arrived.wait()
        argument = engine.accepted[0].argument
        # The engine's request, the name above, and what asks.
        assert sys.getrefcount(argument) == 3
        engine.finish()
        assert (await caller.read()).status == 200


async def test_a_mounted_application_keeps_the_bound_as_well(engine: FakeEngine) -> None:
    engine.is_holding = True
    runner = web.AppRunner(make_app(engine, HttpOptions(requests_max=1)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = int(runner.addresses[0][1])
    async with connect(port) as waiting, connect(port) as more:
        waiting.writer.write(WAIT)
        await engine.arrived.wait()
        assert is_told_to_come_back(await more.ask(get("/Counter/sam/get")), 429)
        engine.finish()
        assert (await waiting.read()).status == 200
        engine.is_holding = False
        assert (await more.ask(get("/Counter/sam/get"))).status == 200
    await runner.cleanup()


async def test_a_mounted_application_that_stops_lets_nobody_wait_for_a_change(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stopped a minute later: aiohttp waits for so long for whoever is still there."""
    arrived = asyncio.Event()

    def read_state(question: StateQuestion) -> asyncio.Future[StateDocument]:
        future: asyncio.Future[StateDocument] = asyncio.get_running_loop().create_future()
        if question.wait_s:
            arrived.set()
        else:
            future.set_result(StateDocument("0", b"{}"))
        return future

    monkeypatch.setattr(engine, "read_state", read_state)
    root = web.Application()
    root.add_subapp("/agents", make_app(engine))
    runner = web.AppRunner(root, shutdown_timeout=3600)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with connect(int(runner.addresses[0][1])) as waiting:
        waiting.writer.write(get("/agents/Counter/sam?wait=300s"))
        await arrived.wait()
        stopping = asyncio.ensure_future(runner.cleanup())
        response = await waiting.read()
    await stopping
    assert (response.status, response.body) == (200, b"{}")


# Connections


async def test_the_longest_idle_connection_makes_room_for_a_new_one(engine: FakeEngine) -> None:
    async with (
        serving(engine, connections_max=2) as server,
        connect(server.port) as first,
        connect(server.port) as second,
    ):
        for each in (first, second, first):
            assert (await each.ask(get("/Counter/sam/get"))).status == 200
        async with connect(server.port) as third:
            assert (await third.ask(get("/Counter/sam/get"))).status == 200
            assert await second.is_closed_by_server()
            assert (await first.ask(get("/Counter/sam/get"))).status == 200


async def test_beside_busy_connections_a_new_one_is_told_to_come_back_and_may(
    engine: FakeEngine,
) -> None:
    engine.is_holding = True
    async with serving(engine, connections_max=1) as server, connect(server.port) as busy:
        busy.writer.write(WAIT)
        await in_flight(server, 1)
        async with connect(server.port) as new:
            reply = await new.ask(post("/Counter/sam/add", b"5"))
            assert is_told_to_come_back(reply, 503)
            assert reply.headers["connection"] == "close"
            assert await new.is_closed_by_server()
        async with connect(server.port) as balancer:
            assert (await balancer.ask(get("/restate/health"))).status == 200
        engine.finish()
        assert (await busy.read()).status == 200
        engine.is_holding = False
        async with connect(server.port) as new:
            assert (await new.ask(post("/Counter/sam/add", b"5"))).status == 200
    assert len(engine.accepted) == 2


async def test_more_than_can_be_told_so_are_closed_at_once(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TURNED_AWAY_MAX", 1)
    engine.is_holding = True
    async with serving(engine, connections_max=1) as server, connect(server.port) as busy:
        busy.writer.write(WAIT)
        await in_flight(server, 1)
        async with connect(server.port), connect(server.port) as third:
            assert await third.is_closed_by_server()
        engine.finish()
        assert (await busy.read()).status == 200


async def test_a_head_that_is_awaited_for_long_makes_room(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PATIENCE_SECONDS", 0.0)
    async with serving(engine, connections_max=1) as server, connect(server.port) as slow:
        slow.writer.write(b"GET /")
        await until(lambda: server.statistics().connections == 1)
        async with connect(server.port) as new:
            assert (await new.ask(get("/Counter/sam/get"))).status == 200
        assert await slow.is_closed_by_server()


async def test_a_connection_whose_answer_is_being_taken_does_not_make_room(
    engine: FakeEngine,
) -> None:
    engine.outcome_of = lambda _: LARGE
    async with serving(engine, connections_max=1) as server, connect(server.port) as slow:
        slow.writer.write(post("/Mailer/wait", b"", "Connection: close"))
        await engine.arrived.wait()
        async with connect(server.port) as new:
            assert is_told_to_come_back(await new.ask(get("/Counter/sam/get")), 503)
        assert (await slow.read()).body == LARGE


async def test_a_page_may_read_that_there_is_no_room(engine: FakeEngine) -> None:
    engine.is_holding = True
    options = HttpOptions(requests_max=1, origins=frozenset({"https://app.example"}))
    server = await serve(engine, port=0, options=options)
    async with connect(server.port) as busy, connect(server.port) as page:
        busy.writer.write(WAIT)
        await in_flight(server, 1)
        reply = await page.ask(post("/Counter/sam/add", b"5", "Origin: https://app.example"))
        assert is_told_to_come_back(reply, 429)
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
    await server.close(AT_ONCE)


# Bodies


async def test_bodies_that_are_received_have_a_budget_between_them(engine: FakeEngine) -> None:
    head = JSON_HEAD + b"Content-Length: 900\r\n\r\n"
    body = b"5".ljust(900)
    async with (
        serving(engine, body_bytes_max=1_000, bodies_bytes_max=1_000) as server,
        connect(server.port) as first,
        connect(server.port) as second,
        connect(server.port) as small,
    ):
        first.writer.write(head + body[:600])
        await until(lambda: server.statistics().body_bytes == 600)
        second.writer.write(head + body[:600])
        reply = await second.read()
        assert is_told_to_come_back(reply, 503)
        assert reply.headers["connection"] == "close"
        # A body that comes with its head is not waited for, so it needs no room.
        assert (await small.ask(post("/Counter/sam/add", b"5"))).status == 200
        assert (await first.ask(body[600:])).status == 200
        assert server.statistics().body_bytes == 0
        first.writer.write(head + body[:600])
        await until(lambda: server.statistics().body_bytes == 600)
        assert (await first.ask(body[600:])).status == 200
    assert len(engine.accepted) == 3


async def test_a_sender_who_goes_away_gives_the_room_of_his_body_back(engine: FakeEngine) -> None:
    async with serving(engine) as server:
        async with connect(server.port) as sender:
            sender.writer.write(JSON_HEAD + b"Content-Length: 9\r\n\r\n1234")
            await until(lambda: server.statistics().body_bytes == 4)
        await until(lambda: server.statistics().body_bytes == 0)
    assert engine.accepted == []


# Heads

TOO_LONG = {
    "target": (414, b"GET /Counter/" + b"a" * 9_000 + b"/get HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "query": (414, b"GET /Counter/a/get?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "value": (431, b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"a" * 33_000 + b"\r\n\r\n"),
    "name": (431, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a" * 33_000 + b": x\r\n\r\n"),
    "number": (431, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 101 + b"\r\n"),
    "sum": (431, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + (b"a: " + b"b" * 1_000 + b"\r\n") * 50),
    "endless": (431, b"GET / HTTP/1.1\r\nHost: localhost\r\na: " + b"b" * 40_000),
}


@pytest.mark.parametrize(("status", "data"), TOO_LONG.values(), ids=TOO_LONG.keys())
async def test_a_head_over_the_limit_is_refused_in_json_and_its_connection_closed(
    engine: FakeEngine, status: int, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(engine) as server, connect(server.port) as caller:
        reply = await caller.ask(data)
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert error_of(reply.body)["source"] == "ingress"
        assert await caller.is_closed_by_server()
    assert engine.accepted == []
    assert caplog.records == []


async def test_a_head_within_the_limit_is_fine(engine: FakeEngine) -> None:
    long = ["x: " + "a" * 15_000, *(f"y{n}: z" for n in range(90))]
    async with serving(engine) as server, connect(server.port) as caller:
        for _ in range(5):
            assert (await caller.ask(post("/Counter/sam/add", b"5", *long))).status == 200


async def test_a_head_that_comes_in_drops_is_counted_over_all_of_them(engine: FakeEngine) -> None:
    async with (
        serving(engine, target_bytes_max=100, head_bytes_max=200) as server,
        connect(server.port) as caller,
    ):
        caller.writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for n in range(20):
            caller.writer.write(b"header-%d: value\r\n" % n)
            await caller.writer.drain()
            await asyncio.sleep(0)
        assert (await caller.read()).status == 431


# Requests ahead of their answers


async def test_a_caller_who_sends_ahead_is_not_read_from_until_it_is_his_turn(
    engine: FakeEngine,
) -> None:
    """aiohttp alone would keep 32 of these for each connection, 10 MB."""
    engine.is_holding = True
    request = post("/Mailer/greet", b'"' + b"x" * 300_000 + b'"')
    async with serving(engine) as server, connect(server.port) as caller:
        caller.writer.write(WAIT)
        await engine.arrived.wait()
        for _ in range(100):
            caller.writer.write(request)
        left_bytes, before_bytes = 30_000_000, 0
        while left_bytes != before_bytes:  # Until the system takes no more either.
            await asyncio.sleep(0.05)
            before_bytes, left_bytes = left_bytes, caller.writer.transport.get_write_buffer_size()
        if left_bytes < 18_000_000:
            caller.writer.transport.abort()  # Or closing would wait for it to be read.
            pytest.fail(f"{30_000_000 - left_bytes} bytes were taken ahead of their turn")
        engine.is_holding = False
        engine.finish()
        assert [(await caller.read()).status for _ in range(101)] == [200] * 101
    assert len(engine.accepted) == 101


async def test_many_small_requests_ahead_are_all_answered_in_order(engine: FakeEngine) -> None:
    async with serving(engine) as server, connect(server.port) as caller:
        caller.writer.write(b"".join(post("/Counter/a/add", b"%d" % n) for n in range(2_000)))
        answers = [(await caller.read()).body for _ in range(2_000)]
    assert answers == [b"%d" % n for n in range(2_000)]


async def test_an_endless_head_behind_a_waiting_call_is_refused_after_its_answer(
    engine: FakeEngine,
) -> None:
    engine.is_holding = True
    async with (
        serving(engine) as server,
        connect(server.port) as caller,
        connect(server.port) as other,
    ):
        caller.writer.write(WAIT)
        await engine.arrived.wait()
        caller.writer.write(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50 + b"c: " + b"d" * 40_000)
        for _ in range(2):  # What was sent before them has been read when both are answered.
            assert (await other.ask(get("/restate/health"))).status == 200
        engine.finish()
        assert (await caller.read()).status == 200
        assert (await caller.read()).status in {400, 431}
        assert await caller.is_closed_by_server()


# Answers that are not taken

LARGE = b'"' + b"x" * 16_000_000 + b'"'


@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
async def test_a_caller_who_does_not_read_his_answer_is_cut_off(
    engine: FakeEngine, headers: tuple[str, ...]
) -> None:
    forgotten = asyncio.Event()

    class Answer(bytes):
        def __del__(self) -> None:
            forgotten.set()

    engine.outcome_of = lambda _: Answer(LARGE)
    async with (
        serving(engine, answer_seconds_max=0.1) as server,
        connect(server.port) as mute,
        connect(server.port) as other,
    ):
        mute.writer.write(post("/Mailer/wait", b"", *headers))
        await engine.arrived.wait()
        engine.outcome_of = lambda _: b"5"
        assert (await other.ask(get("/Counter/sam/get"))).status == 200
        await until(lambda: server.statistics().connections == 1)
        assert (await other.ask(get("/Counter/sam/get"))).status == 200
        assert forgotten.is_set()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await mute.read()


@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
async def test_where_too_much_is_not_taken_whoever_has_not_for_longest_is_cut_off(
    engine: FakeEngine, headers: tuple[str, ...]
) -> None:
    engine.outcome_of = lambda _: LARGE
    async with (
        serving(engine, answers_bytes_max=20_000_000) as server,
        connect(server.port) as mute,
        connect(server.port) as later,
    ):
        mute.writer.write(post("/Mailer/wait", b"", *headers))
        await until(lambda: server.statistics().answer_bytes > 0)
        later.writer.write(post("/Mailer/wait", b"", *headers))
        await until(lambda: server.statistics().connections == 1)
        assert 0 < server.statistics().answer_bytes <= 20_000_000
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await mute.read()
        assert (await later.read()).body == LARGE
        await until(lambda: server.statistics().answer_bytes == 0)


async def test_one_answer_is_held_however_large_it_is(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: LARGE
    async with serving(engine, answers_bytes_max=1_000) as server, connect(server.port) as caller:
        for _ in range(2):
            assert (await caller.ask(WAIT)).body == LARGE
        assert server.statistics().answer_bytes == 0


async def test_a_caller_who_reads_a_large_answer_gets_all_of_it(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: LARGE
    async with serving(engine) as server, connect(server.port) as caller:
        for _ in range(2):
            assert (await caller.ask(WAIT)).body == LARGE


async def test_a_server_that_closes_waits_for_nobody_who_does_not_read(engine: FakeEngine) -> None:
    engine.outcome_of = lambda _: LARGE
    async with serving(engine) as server, connect(server.port) as mute:
        mute.writer.write(WAIT)
        await engine.arrived.wait()
        async with asyncio.timeout(10):
            await server.close(timedelta(seconds=0.1))
        assert server.statistics().connections == 0


# Closing


async def test_health_says_no_while_a_server_closes(engine: FakeEngine) -> None:
    engine.is_holding = True
    async with (
        serving(engine) as server,
        connect(server.port) as slow,
        connect(server.port) as balancer,
    ):
        assert (await balancer.ask(get("/restate/health"))).status == 200
        slow.writer.write(WAIT)
        await in_flight(server, 1)
        closing = asyncio.create_task(server.close(timedelta(seconds=30)))
        await asyncio.sleep(0)
        reply = await balancer.ask(get("/restate/health"))
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        engine.finish()
        assert (await slow.read()).headers["connection"] == "close"
        await closing


# Options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"requests_max": 0}, "requests_max is 0; it must be above 0"),
        ({"connections_max": -1}, "connections_max is -1"),
        ({"answer_seconds_max": 0}, "answer_seconds_max is 0"),
        ({"headers_max": 0}, "headers_max is 0"),
        ({"bodies_bytes_max": 1_000}, "raise bodies_bytes_max as well"),
        ({"target_bytes_max": 100_000}, "raise head_bytes_max as well"),
        ({"unix_mode": 0o1777}, "unix_mode is 0o1777"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        HttpOptions(**options)  # type: ignore[arg-type]  # fields by name


async def test_a_process_that_may_open_few_files_has_few_connections(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few_files(_: int) -> tuple[int, int]:
        return 100, 100

    monkeypatch.setattr("resource.getrlimit", few_files)
    async with serving(engine) as server, AsyncExitStack() as stack:
        assert server.statistics().connections_max == 33
        callers: list[Connection] = []
        for _ in range(33):
            callers.append(await stack.enter_async_context(connect(server.port)))
            assert (await callers[-1].ask(get("/Counter/sam/get"))).status == 200
        await stack.enter_async_context(connect(server.port))
        assert await callers[0].is_closed_by_server()
