"""The ingress as an ASGI application, spoken to in ASGI's own messages."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web

from holdfast import (
    Context,
    InvalidArgumentError,
    Runtime,
    RuntimeClosedError,
    Service,
    handler,
)
from holdfast.ingress.asgi import AsgiApp
from holdfast.ingress.options import HttpOptions
from tests.ingress.fake_engine import FakeEngine


class Nothing(Service):
    @handler
    async def do(self, ctx: Context) -> None: ...


GONE = {"type": "http.disconnect"}


def scope(path: str = "/Counter/sam/add", **more: Any) -> dict[str, Any]:
    raw, _, query = path.partition("?")
    headers = [(b"host", b"localhost"), (b"Content-Type", b"application/json")]
    return {
        "type": "http",
        "method": "POST",
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        **more,
    }


async def speak(
    app: AsgiApp, scope: dict[str, Any], messages: Iterable[dict[str, Any]]
) -> list[Any]:
    """What the application says to ``messages``, after which the caller stays and is silent."""
    left = list(messages)
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def test_a_body_in_parts_is_one_body(engine: FakeEngine) -> None:
    start, rest = await speak(AsgiApp(engine), scope(), [body(b"1", more=True), body(b"2")])

    assert start["status"] == 200
    assert (b"content-type", b"application/json") in start["headers"]
    assert engine.accepted[0].argument == b"12"
    assert rest["body"]


@pytest.mark.parametrize(
    ("path", "root", "raw"),
    [
        ("/a/Counter/s/m/add", "/a", b"/a/Counter/s%2Fm/add"),  # as Starlette mounts
        ("/Counter/s/m/add", "/a", b"/a/Counter/s%2Fm/add"),  # a mount that is taken off
        ("/Counter/s/m/add/", "", b"/x/y/Counter/s%2Fm/add"),  # as Litestar mounts
        ("/Counter/s/m/add", "", b"/Counter/s%2fm/add?x=1"),  # a server that adds the query
    ],
)
async def test_a_key_keeps_its_slash_wherever_the_application_is_mounted(
    engine: FakeEngine, path: str, root: str, raw: bytes
) -> None:
    await speak(AsgiApp(engine), scope(path=path, root_path=root, raw_path=raw), [body(b"1")])

    assert engine.accepted[0].target.key == "s/m"


@pytest.mark.parametrize("sent", [b"%FF", b"%ED%A0%80", b"a%2F%FE"])
async def test_a_key_that_is_no_unicode_does_not_become_another_one(
    engine: FakeEngine, sent: bytes
) -> None:
    raw = b"/a/Counter/" + sent + b"/add"
    path = unquote(raw.decode())  # As uvicorn: what is no UTF-8 becomes U+FFFD.
    start, rest = await speak(
        AsgiApp(engine), scope(path=path, root_path="/a", raw_path=raw), [body(b"1")]
    )

    assert start["status"] == 400
    assert b"not UTF-8" in rest["body"]
    assert engine.accepted == []


async def test_a_key_may_hold_the_character_that_stands_for_none(engine: FakeEngine) -> None:
    raw = b"/Counter/%EF%BF%BD%2F/add"
    await speak(AsgiApp(engine), scope(path="/Counter/\ufffd//add", raw_path=raw), [body(b"1")])

    assert engine.accepted[0].target.key == "\ufffd/"


async def test_a_path_of_thousands_of_slashes_is_looked_through_once(engine: FakeEngine) -> None:
    # The mount ends in an encoded slash, so nothing that was sent is what is below.
    raw = b"/agents%2F" + b"%41/" * 8_000
    path = unquote(raw.decode())
    begun = time.process_time()
    sent = await speak(AsgiApp(engine), scope(path=path, root_path="/agents", raw_path=raw), [])
    # It took twenty seconds, in which nothing else was answered.
    assert time.process_time() - begun < 2
    assert sent[0]["status"] == 404


async def test_without_a_raw_path_the_decoded_one_serves(engine: FakeEngine) -> None:
    await speak(AsgiApp(engine), scope(path="/Counter/ü%/add", raw_path=None), [body(b"1")])

    assert engine.accepted[0].target.key == "ü%"


async def test_a_caller_who_goes_away_leaves_the_call_and_nothing_else(engine: FakeEngine) -> None:
    engine.is_holding = True
    said = await speak(AsgiApp(engine), scope(), [body(b"1"), GONE])

    assert said == []
    assert len(engine.accepted) == 1
    assert engine.finish() == 0


@pytest.mark.parametrize("is_keyed", [True, False])
async def test_a_caller_for_whom_the_server_waits_no_longer_is_told_to_ask_again(
    engine: FakeEngine, *, is_keyed: bool
) -> None:
    engine.is_holding = True
    said: list[Any] = []
    messages = [body(b"1")]
    keys = [(b"idempotency-key", b"a")] if is_keyed else []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Any) -> None:
        said.append(message)

    asked = scope(headers=[*scope()["headers"], *keys])
    waiting = asyncio.create_task(AsgiApp(engine)(asked, receive, send))
    await engine.arrived.wait()
    waiting.cancel("Task cancelled, timeout graceful shutdown exceeded")  # As uvicorn says it.
    await asyncio.wait({waiting})

    assert waiting.cancelled()
    assert said[0]["status"] == 503
    assert (b"x-restate-error-source", b"ingress") in said[0]["headers"]
    assert (b"x-holdfast-error", b"HF0015") in said[0]["headers"]
    assert ((b"retry-after", b"5") in said[0]["headers"]) == is_keyed


async def test_whoever_cancels_for_a_reason_of_its_own_gives_the_answer(
    engine: FakeEngine,
) -> None:
    engine.is_holding = True
    said: list[Any] = []
    messages = [body(b"1")]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Any) -> None:
        said.append(message)

    async def within_a_limit() -> None:
        async with asyncio.timeout(None) as limit:
            asked.append(limit)
            await AsgiApp(engine)(scope(), receive, send)

    asked: list[asyncio.Timeout] = []
    waiting = asyncio.create_task(within_a_limit())
    await engine.arrived.wait()
    asked[0].reschedule(0)
    await asyncio.wait({waiting})

    assert isinstance(waiting.exception(), TimeoutError)
    assert said == []


async def test_one_who_goes_before_the_body_is_whole_calls_nothing(engine: FakeEngine) -> None:
    said = await speak(AsgiApp(engine), scope(), [body(b"1", more=True), GONE])

    assert said == []
    assert engine.accepted == []


async def test_a_body_is_refused_when_it_is_too_long_and_not_when_it_is_all_here(
    engine: FakeEngine,
) -> None:
    app = AsgiApp(engine, HttpOptions(body_bytes_max=4))
    parts = [body(b"123", more=True), body(b"45", more=True)]

    assert (await speak(app, scope(), parts))[0]["status"] == 413
    assert engine.accepted == []


async def test_a_body_that_never_ends_is_cut_off(engine: FakeEngine) -> None:
    app = AsgiApp(engine, HttpOptions(body_seconds_max=0.01))

    assert (await speak(app, scope(), [body(b"1", more=True)]))[0]["status"] == 408


async def test_one_more_than_may_wait_is_refused_and_a_gone_caller_leaves_his_place(
    engine: FakeEngine,
) -> None:
    app = AsgiApp(engine, HttpOptions(requests_max=1))
    engine.is_holding = True
    first = asyncio.create_task(speak(app, scope(), [body(b"1")]))
    await engine.arrived.wait()

    refused = await speak(app, scope(), [body(b"2")])
    assert refused[0]["status"] == 429
    assert (b"retry-after", b"1") in refused[0]["headers"]
    engine.finish()
    assert (await first)[0]["status"] == 200

    assert await speak(app, scope(), [body(b"3"), GONE]) == []
    engine.is_holding = False
    assert (await speak(app, scope(), [body(b"4")]))[0]["status"] == 200
    assert [call.argument for call in engine.accepted] == [b"1", b"3", b"4"]


async def test_bodies_that_are_received_have_a_budget_between_them(engine: FakeEngine) -> None:
    app = AsgiApp(engine, HttpOptions(body_bytes_max=9, bodies_bytes_max=9))
    slow = asyncio.create_task(speak(app, scope(), [body(b"12345678", more=True)]))
    await asyncio.sleep(0)

    refused = await speak(app, scope(), [body(b"12", more=True), body(b"3")])
    assert (refused[0]["status"], (b"retry-after", b"1") in refused[0]["headers"]) == (503, True)
    slow.cancel()
    await asyncio.wait({slow})
    assert (await speak(app, scope(), [body(b"12", more=True), body(b"3")]))[0]["status"] == 200


async def test_two_idempotency_keys_are_refused(engine: FakeEngine) -> None:
    keys = [(b"idempotency-key", b"a"), (b"Idempotency-Key", b"b")]
    said = await speak(AsgiApp(engine), scope(headers=[*scope()["headers"], *keys]), [body(b"1")])

    assert said[0]["status"] == 400
    assert engine.accepted == []


async def test_the_lifespan_starts_and_stops_what_nobody_else_started(engine: FakeEngine) -> None:
    lifespan = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    engine.health = "new"
    said = await speak(AsgiApp(engine), {"type": "lifespan"}, lifespan)

    assert [each["type"] for each in said] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert engine.lives == ["start", "stop"]

    engine.health, engine.lives = "ok", []
    await speak(AsgiApp(engine), {"type": "lifespan"}, lifespan)
    assert engine.lives == []


async def test_a_start_that_fails_is_said_to_the_server(engine: FakeEngine) -> None:
    engine.health = "new"
    engine.start_error = InvalidArgumentError("no such directory")
    said = await speak(AsgiApp(engine), {"type": "lifespan"}, [{"type": "lifespan.startup"}])

    assert said == [{"type": "lifespan.startup.failed", "message": "[HF0011] no such directory"}]


@pytest.mark.parametrize("health", ["stopping", "stopped", "failed"])
async def test_a_runtime_that_has_been_is_no_server_that_has_started(
    engine: FakeEngine, health: Any
) -> None:
    """It would answer every request with 503, and nobody would know why."""
    engine.health = health
    engine.start_error = RuntimeClosedError("a runtime is started once; make a new one")
    lifespan = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    said = await speak(AsgiApp(engine), {"type": "lifespan"}, lifespan)

    assert [each["type"] for each in said] == ["lifespan.startup.failed"]
    assert "a runtime is started once" in said[0]["message"]


async def test_an_application_does_not_start_with_a_runtime_that_has_been(tmp_path: Path) -> None:
    runtime = Runtime([Nothing], data_dir=tmp_path)
    for error in (None, "a runtime is started once"):
        runner = web.AppRunner(runtime.app())
        with (
            contextlib.nullcontext()
            if error is None
            else pytest.raises(RuntimeClosedError, match=error)
        ):
            await runner.setup()
        await runner.cleanup()


async def test_a_websocket_is_turned_away(engine: FakeEngine) -> None:
    said = await speak(
        AsgiApp(engine), {"type": "websocket", "path": "/"}, [{"type": "websocket.connect"}]
    )

    assert said[0]["type"] == "websocket.close"
