"""Bodies that are not JSON: over HTTP, between objects, in this process, and across a crash."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    Client,
    Completed,
    Context,
    InvalidArgumentError,
    InvalidDefinitionError,
    Service,
    VirtualObject,
    handler,
    shared,
    state,
)
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.server import serve
from holdfast.objects.definition import define
from holdfast.runtime.testing import settle
from tests.ingress.fake_engine import error_of
from tests.runtime.worlds import World

EVERY_BYTE = bytes(range(256))
PNG = {"content-type": "image/png"}


class Photo(VirtualObject):
    """A picture, and what was made of it."""

    data: bytes = state(b"")
    type: str = state("")

    @handler(accept="image/*")
    async def put(self, ctx: Context, data: bytes) -> int:
        self.data, self.type = data, ctx.headers["content-type"]
        return len(data)

    @shared(content_type="image/png")
    async def get(self, ctx: Context) -> bytes:
        return self.data

    @shared
    async def kind(self, ctx: Context) -> str:
        return self.type

    @handler(accept="image/png", content_type="image/png")
    async def turn(self, ctx: Context, data: bytes) -> bytes:
        awakeable = ctx.awakeable(str)
        self.type = awakeable.id
        await ctx.run("note", str)
        await awakeable
        return data[::-1]


class Echo(Service):
    @handler(accept="*/*", content_type="application/octet-stream")
    async def raw(self, ctx: Context, data: bytes) -> bytes:
        return data

    @handler(accept="text/plain", content_type="text/html; charset=utf-8")
    async def text(self, ctx: Context, text: str) -> str:
        return f"<p>{text}</p>"

    @handler(accept="application/vnd.order+json", content_type="application/vnd.order+json")
    async def order(self, ctx: Context, items: list[str]) -> int:
        return len(items)

    @handler
    async def proxied(self, ctx: Context, times: int) -> list[int]:
        data = bytes(times)
        typed = await ctx.service(Echo).raw(data)
        named = await ctx.call("Echo", None, "raw", data)
        text = await ctx.call("Echo", None, "text", "ü")
        sent = await ctx.service(Echo).raw.send(data)
        attached = await ctx.attach(sent, bytes)
        as_text = await ctx.attach(await ctx.service(Echo).text.send("ü"), str)
        assert (typed, named, attached) == (data, data, data)
        assert text == as_text == "<p>ü</p>"
        return [len(typed), len(named), len(attached)]


class Told(VirtualObject):
    what: list[Any] = state(default_factory=list)

    @handler
    async def done(self, ctx: Context, completed: Completed) -> None:
        self.what.append(completed.result)

    @shared
    async def get(self, ctx: Context) -> list[Any]:
        return self.what


CLASSES = [Photo, Echo, Told]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(CLASSES)
    await world.start()
    yield world
    await world.runtime.stop()


async def ask(
    world: World, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> Response:
    return await CallersDoor(world.runtime).respond(Request(Head(method, path, headers), body))


async def test_bytes_go_in_and_out_as_they_are(world: World) -> None:
    response = await ask(world, "POST", "/Echo/raw", EVERY_BYTE, {"content-type": "a/b"})
    assert (response.status, response.body) == (200, EVERY_BYTE)
    assert response.headers["content-type"] == "application/octet-stream"


async def test_no_bytes_are_bytes_too(world: World) -> None:
    response = await ask(world, "POST", "/Echo/raw", b"", {})
    assert (response.status, response.body) == (200, b"")
    assert response.headers["content-type"] == "application/octet-stream"


async def test_a_handler_that_takes_anything_takes_what_is_not_said_to_be_anything(
    world: World,
) -> None:
    assert (await ask(world, "POST", "/Echo/raw", b"\0", {})).body == b"\0"


async def test_a_text_is_utf_8_both_ways(world: World) -> None:
    response = await ask(
        world, "POST", "/Echo/text", "ü".encode(), {"content-type": "text/plain; charset=UTF-8"}
    )
    assert response.body == "<p>ü</p>".encode()
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_type_that_ends_in_json_is_json(world: World) -> None:
    kind = {"content-type": "application/vnd.order+json"}
    response = await ask(world, "POST", "/Echo/order", b'["tea"]', kind)
    assert (response.body, response.headers["content-type"]) == (b"1", kind["content-type"])


async def test_the_handler_can_read_of_what_type_its_body_is(world: World) -> None:
    await ask(world, "POST", "/Photo/a/put", EVERY_BYTE, {"content-type": "image/webp"})
    assert await world.runtime.object(Photo, "a").kind() == "image/webp"
    await world.runtime.object(Photo, "a").put(b"x")
    assert await world.runtime.object(Photo, "a").kind() == "image/*"


@pytest.mark.parametrize(
    ("path", "body", "headers", "said"),
    [
        ("/Photo/a/put", b"x", {"content-type": "text/plain"}, "does not match 'image/*'"),
        ("/Photo/a/put", b"x", {"content-type": "imagex/png"}, "does not match 'image/*'"),
        ("/Photo/a/put", b"x", {"content-type": "application/json"}, "does not match 'image/*'"),
        ("/Photo/a/put", b"x", {}, "Empty content-type; send image/*"),
        ("/Echo/text", b"\xff", {"content-type": "text/plain"}, "UTF-8"),
        ("/Echo/text", b"x", {"content-type": "text/plain; charset=latin-1"}, "latin-1"),
        ("/Echo/order", b"{", {"content-type": "application/vnd.order+json"}, "does not fit"),
        ("/Echo/order", b"[]", {"content-type": "application/json"}, "does not match"),
    ],
)
async def test_a_body_of_another_type_is_refused_and_leaves_no_trace(
    world: World, path: str, body: bytes, headers: dict[str, str], said: str
) -> None:
    accepted = world.runtime.statistics().invocations_accepted
    response = await ask(world, "POST", path, body, headers)
    assert (response.status, response.headers["x-restate-error-source"]) == (400, "ingress")
    assert said in str(error_of(response.body)["message"])
    assert world.runtime.statistics().invocations_accepted == accepted


async def test_bytes_go_through_proxies_names_and_attach_also_on_replay() -> None:
    world = World(CLASSES)
    await world.start()
    try:
        assert await world.runtime.service(Echo).proxied(3) == [3, 3, 3]
        assert await world.runtime.service(Echo).raw(EVERY_BYTE) == EVERY_BYTE
        assert await world.runtime.call_by_name("Echo", None, "raw", EVERY_BYTE) == EVERY_BYTE
        id_ = await world.runtime.send_by_name("Echo", None, "raw", EVERY_BYTE)
        assert await world.runtime.invocation(id_).attach() == EVERY_BYTE
    finally:
        await world.runtime.stop()


async def test_bytes_survive_a_crash_before_and_after_the_outcome(world: World) -> None:
    sent = await ask(world, "POST", "/Photo/a/turn/send", EVERY_BYTE, PNG)
    id_ = sent.headers["x-restate-id"]
    await settle()
    await world.restart()
    await settle()
    awaited = await world.runtime.object(Photo, "a").kind()
    asking = asyncio.ensure_future(ask(world, "GET", f"/restate/attach/{id_}", b"", {}))
    await settle()
    await world.runtime.resolve_awakeable(awaited, "go")
    response = await asking
    assert (response.body, response.headers["content-type"]) == (EVERY_BYTE[::-1], "image/png")

    await world.restart()
    again = await ask(world, "GET", f"/restate/output/{id_}", b"", {})
    assert (again.body, again.headers["content-type"]) == (EVERY_BYTE[::-1], "image/png")
    assert "idempotency-expires" in again.headers


async def test_a_duplicate_gets_the_same_bytes(world: World) -> None:
    keyed = {"idempotency-key": "1", "content-type": "a/b"}
    first = await ask(world, "POST", "/Echo/raw", EVERY_BYTE, keyed)
    again = await ask(world, "POST", "/Echo/raw", EVERY_BYTE, keyed)
    assert first.body == again.body == EVERY_BYTE
    assert again.headers["content-type"] == "application/octet-stream"


async def test_a_callback_is_told_bytes_in_base64_and_a_text_as_it_is(world: World) -> None:
    told = world.runtime.object(Told, "a")
    await world.runtime.service(Echo, callback=told.done).raw(EVERY_BYTE)
    await world.runtime.service(Echo, callback=told.done).text("ü")
    await settle()
    assert await told.get() == [base64.b64encode(EVERY_BYTE).decode(), "<p>ü</p>"]


async def test_a_client_sends_and_gets_the_same_bytes(world: World) -> None:
    server = await serve(world.runtime, port=0)
    try:
        async with Client(f"http://127.0.0.1:{server.port}") as client:
            assert await client.service(Echo).raw(EVERY_BYTE) == EVERY_BYTE
            assert await client.service(Echo).text("ü") == "<p>ü</p>"
            assert await client.object(Photo, "c").put(EVERY_BYTE) == 256
            assert await client.object(Photo, "c").get() == EVERY_BYTE
    finally:
        await server.close(timedelta(0))


async def test_what_is_not_bytes_is_refused_where_it_is_given(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="expected bytes, as annotated, but found str"):
        await world.runtime.call_by_name("Echo", None, "raw", "text")


async def test_a_body_that_is_no_json_cannot_be_a_message_for_a_turn(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="no JSON"):
        await world.runtime.object(Photo, "a", mode="steer").put.send(b"x")


def define_with(annotation: Any, result: Any = None, **options: Any) -> None:
    async def go(self: Any, ctx: Context, data: Any) -> Any:
        raise NotImplementedError

    go.__annotations__.update({"data": annotation, "return": result})
    define(type("Bad", (Service,), {"go": handler(**options)(go)}))


@pytest.mark.parametrize(
    ("annotation", "result", "options", "said"),
    [
        (dict[str, int], None, {"accept": "image/png"}, "annotate it with bytes"),
        (str, None, {"accept": "image/png"}, "parameter 'data' is str"),
        (str, None, {"accept": "*/*"}, "annotate it with bytes"),
        (int, None, {"accept": "text/plain"}, "annotate it with str or bytes"),
        (bytes, int, {"content_type": "image/png"}, "the result is int"),
        (bytes, None, {"content_type": "image/png"}, "the result is None"),
        (bytes, bytes, {"content_type": "image/*"}, "content_type is a content type, for example"),
        (bytes, bytes, {"accept": "png"}, "accept is a content type, for example"),
        (bytes, bytes, {"accept": "*/png"}, "accept is a content type, for example"),
        (bytes, bytes, {"accept": 7}, "accept is a content type, for example"),
    ],
)
def test_a_type_that_nothing_can_be_made_of_is_refused_with_the_cure(
    annotation: Any, result: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidDefinitionError) as raised:
        define_with(annotation, result, **options)
    assert said in str(raised.value)


def test_a_raw_body_is_one_parameter() -> None:
    class Two(Service):
        @handler(accept="image/png")
        async def go(self, ctx: Context, data: bytes, name: str) -> None: ...

    with pytest.raises(InvalidDefinitionError, match="there are 2 parameters; take one"):
        define(Two)


def test_a_raw_body_has_no_default_since_an_empty_one_is_a_value() -> None:
    """It took the place of an empty body, also of one that was given: ``put(b"")``."""

    class Hidden(Service):
        @handler(accept="image/png")
        async def go(self, ctx: Context, data: bytes = b"none") -> None: ...

    class Absent(Service):
        @handler(accept="text/plain")
        async def go(self, ctx: Context, data: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    class Empty(Service):
        @handler(accept="image/png")
        async def go(self, ctx: Context, data: bytes = b"") -> None: ...

    for service in (Hidden, Absent):
        with pytest.raises(InvalidDefinitionError, match=r"'data' has a default, .* leave the"):
            define(service)
    assert define(Empty).handlers["go"].decode_argument(b"") == ((), {})


def test_a_class_has_no_content_type() -> None:
    with pytest.raises(InvalidDefinitionError, match="give them to its decorator"):
        type("Typed", (Service,), {}, accept="image/png")


async def test_a_restarted_call_has_the_same_body_and_type(world: World) -> None:
    runtime = world.runtime
    sent = await ask(world, "POST", "/Photo/a/put/send", EVERY_BYTE, PNG)
    id_ = sent.headers["x-restate-id"]
    assert await runtime.invocation(id_).attach() == 256
    sent = await ask(world, "POST", "/Photo/b/turn/send", EVERY_BYTE, PNG)
    await settle()
    await runtime.resolve_awakeable(await runtime.object(Photo, "b").kind(), "go")
    first = sent.headers["x-restate-id"]
    assert await runtime.invocation(first).attach() == EVERY_BYTE[::-1]
    again = await runtime.invocation(first).restart()
    await settle()
    await runtime.resolve_awakeable(await runtime.object(Photo, "b").kind(), "go")
    assert await runtime.invocation(again).attach() == EVERY_BYTE[::-1]


async def test_bytes_that_a_class_has_left_behind_are_still_told(world: World) -> None:
    sent = await ask(world, "POST", "/Echo/raw/send", EVERY_BYTE, {"idempotency-key": "1"})
    await settle()
    world.classes = [Photo, Told]
    await world.restart()
    told = await ask(world, "GET", f"/restate/output/{sent.headers['x-restate-id']}", b"", {})
    assert (told.status, told.body) == (200, EVERY_BYTE)
    assert told.headers["content-type"] == "application/octet-stream"
