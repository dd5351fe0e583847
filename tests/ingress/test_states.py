"""The state of an object over HTTP: read without a call, known by its tag, waited for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import Context, Service, VirtualObject, Workflow, handler, state
from holdfast.ingress.asgi import AsgiApp
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import serve
from holdfast.runtime.testing import settle
from tests.ingress.fake_engine import error_of
from tests.ingress.http_caller import connect
from tests.runtime.worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def act() -> None:
    await asyncio.sleep(0)


@dataclass
class Line:
    text: str
    marks: list[int] = field(default_factory=list[int])


class Pad(VirtualObject):
    lines: list[Line] = state(default_factory=list)
    ratio: Any = state(None)
    count: int = state(0, name="number")

    @handler
    async def add(self, ctx: Context, text: str) -> str:
        self.lines.append(Line(text))
        await ctx.run("act", act)
        self.count += 1
        return ctx.invocation_id

    @handler
    async def set_ratio(self, ctx: Context) -> None:
        self.ratio = float("nan")

    @handler
    async def set_count(self, ctx: Context, count: int) -> None:
        self.count = count

    @handler
    async def look(self, ctx: Context) -> int:
        return self.count


class Deal(Workflow):
    stage: str = state("new")

    @handler
    async def run(self, ctx: Context) -> None:
        self.stage = "done"


class Mailer(Service):
    @handler
    async def mail(self, ctx: Context) -> None:
        pass


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Pad, Deal, Mailer])
    await world.start()
    yield world
    world.close()


@dataclass
class Asker:
    """Asks a door by values."""

    door: CallersDoor

    async def get(self, path: str, tag: str | None = None, *, method: str = "GET") -> Response:
        headers = {} if tag is None else {"if-none-match": tag}
        return await self.door.respond(Request(Head(method, path, headers), b""))


@pytest.fixture
def asker(world: World) -> Asker:
    return Asker(CallersDoor(world.runtime))


async def test_the_answer_is_what_is_stored_as_its_types_say(world: World, asker: Asker) -> None:
    await world.runtime.object(Pad, "a/b").add("hello")
    response = await asker.get("/Pad/a%2Fb")
    assert response.status == 200
    assert json.loads(response.body) == {"lines": [{"text": "hello", "marks": []}], "number": 1}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "private, no-cache"
    assert "x-restate-error-source" not in response.headers
    assert response.headers["etag"].startswith('"')


async def test_an_object_that_was_never_called_is_empty(asker: Asker) -> None:
    for path in ("/Pad/nobody", "/Pad/nobody/", "/Deal/nobody"):
        response = await asker.get(path)
        assert (response.status, response.body) == (200, b"{}")
        assert response.headers["etag"]


async def test_a_read_is_no_invocation(world: World, asker: Asker) -> None:
    before = world.runtime.statistics()
    await asker.get("/Pad/sam")
    after = world.runtime.statistics()
    assert after.invocations_accepted == before.invocations_accepted
    assert after.rows_written == before.rows_written


@pytest.mark.parametrize("spelling", ["{}", "W/{}", '"x", {}', '{} , "x"', " {} ", "*"])
async def test_a_known_state_is_answered_without_a_body(
    spelling: str, world: World, asker: Asker
) -> None:
    await world.runtime.object(Pad, "sam").add("hello")
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    response = await asker.get("/Pad/sam", spelling.format(tag))
    assert (response.status, response.body) == (304, b"")
    assert response.headers["etag"] == tag
    assert "content-type" not in response.headers


async def test_another_state_is_answered_with_its_body_and_its_tag(
    world: World, asker: Asker
) -> None:
    await world.runtime.object(Pad, "sam").add("one")
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    await world.runtime.object(Pad, "sam").add("two")
    response = await asker.get("/Pad/sam", tag)
    assert response.status == 200
    assert response.headers["etag"] != tag
    assert len(json.loads(response.body)["lines"]) == 2


async def test_a_head_request_is_answered_as_a_get(world: World, asker: Asker) -> None:
    await world.runtime.object(Pad, "sam").add("one")
    got, head = await asker.get("/Pad/sam"), await asker.get("/Pad/sam", method="HEAD")
    assert (head.status, head.headers) == (got.status, got.headers)


async def test_a_tag_survives_a_restart(world: World, asker: Asker) -> None:
    await world.runtime.object(Pad, "sam").add("one")
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    await world.restart()
    again = Asker(CallersDoor(world.runtime))
    assert (await again.get("/Pad/sam", tag)).status == 304
    waiting = asyncio.ensure_future(again.get("/Pad/sam?wait=30s", tag))
    await settle()
    assert not waiting.done()
    await world.runtime.object(Pad, "sam").add("two")
    assert (await waiting).status == 200


@pytest.mark.parametrize(
    ("method", "path", "tag", "status", "said"),
    [
        ("POST", "/Pad/sam", None, 400, "Pad is an object, so its key stands between its name"),
        ("PUT", "/Pad/sam", None, 405, "takes GET, HEAD"),
        ("DELETE", "/Deal/sam", None, 405, "takes GET, HEAD"),
        ("GET", "/Mailer/sam", None, 404, "the handler 'sam' was not found"),
        ("GET", "/Nobody/sam", None, 404, "service 'Nobody' not found"),
        ("GET", "/Pad/%00", None, 400, "NUL"),
        ("GET", "/Pad//", None, 400, "key"),
        ("GET", "/Pad/" + "k" * 513, None, 400, "key"),
        ("GET", "/Pad/sam?wiat=1", None, 400, "unknown query parameter 'wiat'; did you mean"),
        ("GET", "/Pad/sam?delay=1s", None, 400, "there are 'wait', and 'at' with 'entry'"),
        ("GET", "/Pad/sam?wait=soon", None, 400, "bad wait query parameter, 'soon'"),
        ("GET", "/Pad/sam?wait=", None, 400, "bad wait query parameter"),
        ("GET", "/Pad/sam?wait=-1", None, 400, "bad wait query parameter"),
        ("GET", "/Pad/sam?wait=6m", None, 400, "longer than 300 seconds"),
        ("GET", "/Pad/sam?wait=1s&wait=2s", None, 400, "given more than once"),
        ("GET", "/Pad/sam?wait=1s&at=inv_1", None, 400, "the past does not change"),
        ("GET", "/Pad/sam?at=inv_1", None, 400, "inv_1"),
        ("GET", f"/Pad/sam?at=inv_{1:032x}", None, 404, "does not exist"),
        ("GET", f"/Pad/sam?at=inv_{1:032x}&entry=-1", None, 400, "bad entry"),
        ("GET", f"/Pad/sam?at=inv_{1:032x}&entry=\u0663", None, 400, "bad entry"),
        ("GET", f"/Pad/sam?at=inv_{1:032x}&entry=" + "9" * 5000, None, 400, "bad entry"),
        ("GET", "/Pad/sam?entry=1", None, 400, "say which with at="),
        ("GET", "/Pad/sam", "abc", 400, "bad if-none-match header 'abc': send an etag as it was"),
        ("GET", "/Pad/sam", '"abc', 400, "with its quotes"),
        ("GET", "/Pad/sam", '"abc" "def"', 400, "with its quotes"),
    ],
)
async def test_what_cannot_be_meant_is_refused(  # noqa: PLR0913, PLR0917  # a table of questions and answers
    method: str, path: str, tag: str | None, status: int, said: str, asker: Asker
) -> None:
    response = await asker.get(path, tag, method=method)
    assert response.status == status
    error = error_of(response.body)
    assert said in str(error["message"])
    assert error["source"] == response.headers["x-restate-error-source"] == "ingress"
    assert ("allow" in response.headers) == (status == 405)


async def test_the_past_is_told_as_it_was_or_refused(world: World, asker: Asker) -> None:
    pad = world.runtime.object(Pad, "sam")
    first = await pad.add("one")
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    await pad.add("two")
    then = await asker.get(f"/Pad/sam?at={first}")
    assert then.status == 200
    assert then.headers["etag"] == tag
    assert len(json.loads(then.body)["lines"]) == 1
    before = await asker.get(f"/Pad/sam?at={first}&entry=0")
    assert (before.status, before.body) == (200, b"{}")
    assert (await asker.get(f"/Pad/sam?at={first}", tag)).status == 304
    assert (await asker.get(f"/Pad/sam?at={first}&entry=99")).status == 400
    assert (await asker.get(f"/Pad/kim?at={first}")).status == 400
    other = await world.runtime.object(Pad, "kim").add("one")
    await world.runtime.object(Pad, "kim").set_count(7)
    gone = await asker.get(f"/Pad/kim?at={other}")
    assert (gone.status, gone.headers["x-holdfast-error"]) == (410, "HF0018")


async def test_what_json_cannot_say_is_named_and_is_nobodys_fault(
    world: World, asker: Asker
) -> None:
    await world.runtime.object(Pad, "sam").set_ratio()
    response = await asker.get("/Pad/sam")
    assert response.status == 500
    assert "'ratio' cannot be said in JSON" in str(error_of(response.body)["message"])


async def test_whoever_waits_is_answered_by_a_change_of_what_is_stored(
    world: World, asker: Asker
) -> None:
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    waiting = asyncio.ensure_future(asker.get("/Pad/sam?wait=30s", tag))
    await settle()
    await world.runtime.object(Pad, "sam").look()
    await world.runtime.object(Pad, "kim").set_count(1)
    await settle()
    assert not waiting.done()
    await world.runtime.object(Pad, "sam").set_count(1)
    response = await waiting
    assert (response.status, response.body) == (200, b'{"number":1}')


async def test_a_change_before_the_wait_is_told_at_once(world: World, asker: Asker) -> None:
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    await world.runtime.object(Pad, "sam").set_count(1)
    assert (await asker.get("/Pad/sam?wait=30s", tag)).body == b'{"number":1}'


async def test_whoever_knows_no_state_waits_for_the_next_change(world: World, asker: Asker) -> None:
    await world.runtime.object(Pad, "sam").set_count(1)
    waiting = asyncio.ensure_future(asker.get("/Pad/sam?wait=30s"))
    knowing_any = asyncio.ensure_future(asker.get("/Pad/sam?wait=30s", "*"))
    await settle()
    assert not waiting.done()
    assert not knowing_any.done()
    await world.runtime.object(Pad, "sam").set_count(2)
    assert (await waiting).body == (await knowing_any).body == b'{"number":2}'


@pytest.mark.parametrize("wait", ["30s", "30000", "PT30S"])
async def test_a_wait_ends_with_what_there_is(wait: str, world: World, asker: Asker) -> None:
    await world.runtime.object(Pad, "sam").set_count(1)
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    knowing = asyncio.ensure_future(asker.get(f"/Pad/sam?wait={wait}", tag))
    knowing_any = asyncio.ensure_future(asker.get(f"/Pad/sam?wait={wait}", "*"))
    other = asyncio.ensure_future(asker.get(f"/Pad/sam?wait={wait}"))
    await world.clock.advance(29.9)
    assert not knowing.done()
    await world.clock.advance(0.1)
    assert ((await knowing).status, (await knowing).headers["etag"]) == (304, tag)
    assert ((await knowing_any).status, (await knowing_any).headers["etag"]) == (304, tag)
    assert ((await other).status, (await other).body) == (200, b'{"number":1}')


async def test_more_than_may_wait_are_told_to_come_again(world: World) -> None:
    door = CallersDoor(world.runtime, HttpOptions(waits_max=2))
    asker = Asker(door)
    waiting = [asyncio.ensure_future(asker.get("/Pad/sam?wait=30s")) for _ in range(2)]
    await settle()
    refused = await asker.get("/Pad/sam?wait=30s")
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert "waits_max" in str(error_of(refused.body)["message"])
    assert (await asker.get("/Pad/sam")).status == 200
    waiting.pop().cancel()
    await settle()
    again = asyncio.ensure_future(asker.get("/Pad/sam?wait=30s"))
    await settle()
    assert not again.done()
    await world.runtime.object(Pad, "sam").set_count(1)
    assert {(await each).status for each in (*waiting, again)} == {200}
    assert len(world.runtime.core.watches) == 0


async def test_whoever_waits_when_the_door_closes_is_answered_as_if_his_time_were_over(
    world: World,
) -> None:
    asker = Asker(CallersDoor(world.runtime))
    tag = (await asker.get("/Pad/sam")).headers["etag"]
    knowing = asyncio.ensure_future(asker.get("/Pad/sam?wait=5m", tag))
    other = asyncio.ensure_future(asker.get("/Pad/sam?wait=5m"))
    await settle()
    asker.door.end_waits()
    assert (await knowing).status == 304
    assert (await other).status == 200
    assert (await asker.get("/Pad/sam?wait=5m", tag)).status == 304
    assert len(world.runtime.core.watches) == 0


async def test_whoever_goes_away_while_the_door_closes_is_not_asked_for(world: World) -> None:
    asker = Asker(CallersDoor(world.runtime))
    waiting = asyncio.ensure_future(asker.get("/Pad/sam?wait=5m"))
    await settle()
    asker.door.end_waits()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_whoever_waits_when_the_runtime_stops_is_told_to_come_again(world: World) -> None:
    waiting = asyncio.ensure_future(Asker(CallersDoor(world.runtime)).get("/Pad/sam?wait=5m"))
    await settle()
    await world.runtime.stop()
    response = await waiting
    assert response.status == 503
    assert response.headers["retry-after"]


# --- over connections ---


async def watched(world: World, count: int) -> None:
    """Return once so many wait."""
    for _ in range(5_000):
        if len(world.runtime.core.watches) == count:
            return
        await asyncio.sleep(0.001)  # What a socket says takes real time.
    raise AssertionError(len(world.runtime.core.watches))


def ask(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def test_a_state_is_read_known_and_waited_for_over_a_connection(world: World) -> None:
    server = await serve(world.runtime, port=0)
    async with connect(server.port) as connection:
        first = await connection.ask(ask("/Pad/sam"))
        assert (first.status, first.body) == (200, b"{}")
        tag = first.headers["etag"]
        known = await connection.ask(ask("/Pad/sam", f"If-None-Match: {tag}"))
        assert (known.status, known.body, known.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in known.headers
        connection.writer.write(ask("/Pad/sam?wait=30s", f"If-None-Match: {tag}"))
        await watched(world, 1)
        await world.runtime.object(Pad, "sam").set_count(1)
        changed = await connection.read()
        assert (changed.status, changed.body) == (200, b'{"number":1}')
    async with connect(server.port) as connection:
        connection.writer.write(ask("/Pad/sam", "Connection: close", method="HEAD"))
        sent = await connection.reader.read()
        head, _, body = sent.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert changed.headers["etag"].encode() in head
        assert b"Content-Length: 12" in head
        assert body == b""
    await server.close()


async def test_a_caller_who_goes_away_is_forgotten_at_once(world: World) -> None:
    server = await serve(world.runtime, port=0)
    async with connect(server.port) as connection:
        connection.writer.write(ask("/Pad/sam?wait=5m"))
        await watched(world, 1)
    await watched(world, 0)
    assert server.statistics().requests_in_flight == 0
    await server.close()


async def test_a_server_that_closes_answers_those_who_wait_without_its_grace(
    world: World,
) -> None:
    server = await serve(world.runtime, port=0)
    async with connect(server.port) as connection:
        connection.writer.write(ask("/Pad/sam?wait=5m", 'If-None-Match: "x"'))
        assert (await connection.read()).status == 200
        connection.writer.write(ask("/Pad/sam?wait=5m"))
        await watched(world, 1)
        async with asyncio.timeout(2):
            await server.close()
        assert (await connection.read()).status == 200


class AsgiCaller:
    """Sends one request to an application, and stays until told to go."""

    def __init__(self, world: World) -> None:
        self.app = AsgiApp(world.runtime)
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self.messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Any:
        if self.messages:
            return self.messages.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def get(self, query: bytes = b"", *headers: tuple[bytes, bytes]) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/Pad/sam",
            "raw_path": b"/Pad/sam",
            "query_string": query,
            "headers": [(b"host", b"localhost"), *headers],
        }
        await self.app(scope, self.receive, self.send)


async def test_an_asgi_caller_who_goes_away_is_forgotten_at_once(world: World) -> None:
    caller = AsgiCaller(world)
    asking = asyncio.ensure_future(caller.get(b"wait=5m"))
    await settle()
    assert len(world.runtime.core.watches) == 1
    caller.gone.set()
    await asking
    await settle()
    assert (len(world.runtime.core.watches), caller.sent) == (0, [])


async def test_an_asgi_answer_without_a_body_says_nothing_of_a_length(world: World) -> None:
    caller = AsgiCaller(world)
    tag = (await Asker(CallersDoor(world.runtime)).get("/Pad/sam")).headers["etag"]
    await caller.get(b"", (b"if-none-match", tag.encode()))
    start, body = caller.sent
    assert start["status"] == 304
    assert dict(start["headers"])[b"etag"] == tag.encode()
    assert b"content-length" not in dict(start["headers"])
    assert body["body"] == b""
