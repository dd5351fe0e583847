"""The door and the engine together: real calls, real state, no fake between them."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from holdfast import (
    Context,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.ingress.server import HttpServer, serve
from holdfast.journal.memory import MemoryStore
from holdfast.runtime.engine import Engine
from tests.ingress.fake_engine import error_of
from tests.ingress.http_caller import connect, get, post

AT_ONCE = timedelta(0)


def tell() -> None:
    """Where a person would be told what is asked of them."""


class Tally(VirtualObject):
    total: int = state(0)
    awaited: str = state("")

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.total += amount
        return self.total

    @handler
    async def add_what_comes(self, ctx: Context) -> int:
        awakeable = ctx.awakeable(int)
        self.awaited = awakeable.id
        await ctx.run("tell", tell)  # State is saved with the next command, and seen from there on.
        self.total += await awakeable
        return self.total

    @handler
    async def add_what_comes_soon(self, ctx: Context) -> int:
        awakeable = ctx.awakeable(int, timeout=0.05)
        self.awaited = awakeable.id
        await ctx.run("tell", tell)
        return await awakeable

    @handler
    async def refuse(self, ctx: Context, code: int) -> None:
        message = "no way"
        raise TerminalError(message, status_code=code, metadata={"key": "sam"})

    @shared
    async def get(self, ctx: Context) -> int:
        return self.total

    @shared
    async def get_awaited(self, ctx: Context) -> str:
        return self.awaited


class Order(Workflow):
    item: str = state("nothing")

    @handler
    async def run(self, ctx: Context, item: str) -> str:
        self.item = item
        return f"{item} for {ctx.key}"

    @shared
    async def look(self, ctx: Context) -> str:
        return self.item


class Mirror(Service):
    @handler
    async def show(self, ctx: Context, first: str, times: int = 1) -> list[str]:
        return [first] * times

    @handler
    async def headers(self, ctx: Context) -> dict[str, str]:
        return dict(ctx.headers)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine([Tally, Order, Mirror], store=MemoryStore()) as engine:
        yield engine


@pytest.fixture
async def server(engine: Engine) -> AsyncIterator[HttpServer]:
    server = await serve(engine, port=0)
    yield server
    await server.close(AT_ONCE)


async def read_awaited(port: int, key: str) -> str:
    """The id of the awakeable that the object at ``key`` waits for."""
    async with asyncio.timeout(5), connect(port) as caller:
        while True:
            awaited: str = json.loads((await caller.ask(get(f"/Tally/{key}/get_awaited"))).body)
            if awaited:
                return awaited


async def test_calls_change_state_and_reads_see_it(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        first = await caller.ask(post("/Tally/sam/add", b"5"))
        second = await caller.ask(post("/Tally/sam/add", b"6"))
        read = await caller.ask(get("/Tally/sam/get"))
        other = await caller.ask(get("/Tally/s%61m%2F/get"))

    assert [reply.body for reply in (first, second, read, other)] == [b"5", b"11", b"11", b"0"]
    assert first.headers["x-restate-id"] != second.headers["x-restate-id"]


async def test_a_service_takes_an_object_of_its_parameters(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(post("/Mirror/show", b'{"first":"x","times":2}'))
    assert json.loads(reply.body) == ["x", "x"]


async def test_a_handler_sees_listed_headers_only(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        request = post("/Mirror/headers", b"", "X-Request-ID: r1", "Authorization: Bearer s3cret")
        reply = await caller.ask(request)
    assert json.loads(reply.body) == {"x-request-id": "r1"}


async def test_a_failed_invocation_answers_with_its_own_status(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(post("/Tally/sam/refuse", b"422"))

    assert reply.status == 422
    assert reply.headers["x-restate-error-source"] == "invocation"
    assert reply.headers["x-restate-id"].startswith("inv_")
    assert error_of(reply.body) == {
        "code": 422,
        "message": "no way",
        "metadata": {"key": "sam"},
        "source": "invocation",
    }


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/Tally/sam/add", b'"five"', "amount"),
        ("/Tally/sam/add", b"{", "amount"),
        ("/Tally/sam/add", b"1e400", "amount"),
        ("/Mirror/show", b'{"first":1}', "first"),
        ("/Mirror/show", b'{"times":1}', "first"),
        ("/Mirror/show", b'{"first":"x","tims":1}', "tims"),
        ("/Mirror/show", b"[" * 100_000, "first"),
    ],
)
async def test_a_body_that_does_not_fit_names_the_field_and_leaves_no_trace(
    server: HttpServer, engine: Engine, path: str, body: bytes, named: str
) -> None:
    async with connect(server.port) as caller:
        reply = await caller.ask(post(path, body))

    assert reply.status == 400
    assert named in str(error_of(reply.body)["message"])
    assert engine.statistics().invocations_accepted == 0


async def test_the_same_key_gets_the_first_result(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        first = await caller.ask(post("/Tally/sam/add", b"5", "Idempotency-Key: k"))
        again = await caller.ask(post("/Tally/sam/add", b"5", "Idempotency-Key: k"))
        other = await caller.ask(post("/Tally/sam/add", b"6", "Idempotency-Key: k"))
        sent = await caller.ask(post("/Tally/sam/add/send", b"5", "Idempotency-Key: k"))
        total = await caller.ask(get("/Tally/sam/get"))

    assert [reply.body for reply in (first, again, other, total)] == [b"5", b"5", b"5", b"5"]
    assert "x-holdfast-idempotency" not in again.headers
    assert other.headers["x-holdfast-idempotency"] == "other-body"
    assert json.loads(sent.body) == {
        "invocationId": first.headers["x-restate-id"],
        "status": "PreviouslyAccepted",
    }


async def test_a_send_runs_before_a_later_call_of_the_same_key(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        sent = await caller.ask(post("/Tally/sam/add/send", b"5"))
        called = await caller.ask(post("/Tally/sam/add", b"1"))
    assert (sent.status, called.body) == (202, b"6")


async def test_an_awakeable_resolved_over_http_ends_the_wait(server: HttpServer) -> None:
    async with connect(server.port) as waiting, connect(server.port) as caller:
        waiting.writer.write(post("/Tally/sam/add_what_comes"))
        resolve = f"/restate/awakeables/{await read_awaited(server.port, 'sam')}/resolve"
        assert (await caller.ask(post(resolve, b"7"))).status == 202
        assert (await waiting.read()).body == b"7"
        assert (await caller.ask(post(resolve, b"8"))).status in {202, 404}
        assert (await caller.ask(get("/Tally/sam/get"))).body == b"7"


async def test_an_awakeable_rejected_over_http_fails_the_wait(server: HttpServer) -> None:
    async with connect(server.port) as waiting, connect(server.port) as caller:
        waiting.writer.write(post("/Tally/sam/add_what_comes"))
        reject = f"/restate/awakeables/{await read_awaited(server.port, 'sam')}/reject"
        assert (await caller.ask(post(reject, b'"my bad"'))).status == 202
        reply = await waiting.read()
    assert reply.status == 500
    assert error_of(reply.body)["message"] == "my bad"


async def test_an_invocation_goes_on_without_its_caller(server: HttpServer) -> None:
    async with connect(server.port) as leaving:
        leaving.writer.write(post("/Tally/sam/add_what_comes"))
        awaited = await read_awaited(server.port, "sam")
    async with connect(server.port) as caller:
        await caller.ask(post(f"/restate/awakeables/{awaited}/resolve", b"7"))
        # Queued behind the abandoned call at the same key.
        assert (await caller.ask(post("/Tally/sam/add", b"1"))).body == b"8"


async def test_a_call_cut_off_by_closing_is_answered_by_the_next_server(engine: Engine) -> None:
    request = post("/Tally/sam/add_what_comes", b"", "Idempotency-Key: k")
    first = await serve(engine, port=0)
    async with connect(first.port) as caller:
        caller.writer.write(request)
        awaited = await read_awaited(first.port, "sam")
        await first.close(AT_ONCE)
        cut_off = await caller.read()
    assert (cut_off.status, cut_off.headers["retry-after"]) == (503, "5")

    second = await serve(engine, port=0)
    async with connect(second.port) as caller, connect(second.port) as other:
        caller.writer.write(request)
        await other.ask(post(f"/restate/awakeables/{awaited}/resolve", b"7"))
        assert (await caller.read()).body == b"7"
    await second.close(AT_ONCE)


async def test_a_stopped_engine_is_a_503_that_says_when_to_come_back(
    server: HttpServer, engine: Engine
) -> None:
    async with connect(server.port) as caller:
        assert (await caller.ask(get("/restate/health"))).status == 200
        await engine.stop()
        assert (await caller.ask(get("/restate/health"))).status == 503
        reply = await caller.ask(post("/Tally/sam/add", b"5"))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


async def test_a_call_that_waits_while_the_engine_stops_may_have_been_accepted(
    server: HttpServer, engine: Engine
) -> None:
    async with connect(server.port) as caller:
        caller.writer.write(post("/Tally/sam/add_what_comes"))
        await read_awaited(server.port, "sam")
        await engine.stop()
        reply = await caller.read()
    assert reply.status == 503
    assert "retry-after" not in reply.headers


async def test_an_answer_that_does_not_fit_is_a_400_and_the_awakeable_stays_open(
    server: HttpServer,
) -> None:
    async with connect(server.port) as caller, connect(server.port) as other:
        caller.writer.write(post("/Tally/sam/add_what_comes"))
        awaited = await read_awaited(server.port, "sam")
        path = f"/restate/awakeables/{awaited}/resolve"
        refused = await other.ask(post(path, b'"seven"'))
        assert (refused.status, error_of(refused.body)["source"]) == (400, "ingress")
        assert "at $: expected integer, found str" in str(error_of(refused.body)["message"])
        assert (await other.ask(post(path, b"7"))).status == 202
        assert (await caller.read()).body == b"7"
        assert (await other.ask(post(path, b"8"))).status == 202  # The first one stands.


async def test_an_answer_that_comes_too_late_is_a_409(server: HttpServer) -> None:
    async with connect(server.port) as caller, connect(server.port) as other:
        caller.writer.write(post("/Tally/sam/add_what_comes_soon"))
        awaited = await read_awaited(server.port, "sam")
        expired = await caller.read()
        assert (expired.status, expired.headers["x-holdfast-error"]) == (408, "hf0006")
        late = await other.ask(post(f"/restate/awakeables/{awaited}/resolve", b"7"))
        assert late.status == 409
        assert "too late" in str(error_of(late.body)["message"])


async def test_a_workflow_is_started_once_by_the_paths_of_an_object(server: HttpServer) -> None:
    async with connect(server.port) as caller:
        assert (await caller.ask(post("/Order/a/look"))).body == b'"nothing"'
        assert (await caller.ask(post("/Order/a/run", b'"tea"'))).body == b'"tea for a"'
        again = await caller.ask(post("/Order/a/run", b'"milk"'))
        assert (again.status, again.headers["x-holdfast-error"]) == (409, "hf0014")
        first = (await caller.ask(post("/Order/b/run/send", b'"jam"'))).body
        second = (await caller.ask(post("/Order/b/run/send?delay=1h", b'"jam"'))).body
        assert json.loads(first)["status"] == "Accepted"
        assert json.loads(second) == {**json.loads(first), "status": "PreviouslyAccepted"}
        keyed = await caller.ask(post("/Order/c/run", b'"x"', "Idempotency-Key: k"))
        assert keyed.status == 400
        assert (await caller.ask(post("/Order/a/look"))).body == b'"tea"'
    assert "already started" in str(error_of(again.body)["message"])
