"""Signals, promises and effects over HTTP: every answer, bad input, crashes, both orders."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import (
    Context,
    EffectInfo,
    RuntimeConfig,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
)
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import serve
from holdfast.runtime.testing import settle
from tests.ingress.fake_engine import error_of
from tests.ingress.http_caller import connect, post
from tests.runtime.worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOBODY = f"inv_{1:032x}"
JSON = {"content-type": "application/json"}
HANGING: set[str] = set()


async def act(name: str) -> str:
    if name in HANGING:
        await asyncio.get_running_loop().create_future()
    return name


class Desk(VirtualObject):
    @handler
    async def take(self, ctx: Context, count: int) -> list[Any]:
        taken: list[Any] = []
        for _ in range(count):
            try:
                taken.append(await ctx.signal("go"))
            except TerminalError as error:
                taken.append(f"rejected: {error.message}")
        return taken

    @handler
    async def work(self, ctx: Context, names: list[str]) -> None:
        for name in names:
            await ctx.run(name, act, name)

    @handler
    async def wait_or_yield(self, ctx: Context) -> str:
        return await ctx.awakeable(str)

    @handler
    async def greet(self, ctx: Context) -> str:
        return "hello"


class Deal(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.promise("signed by", str)


class Mailer(Service):
    @handler
    async def mail(self, ctx: Context) -> None:
        pass


@pytest.fixture
async def world() -> AsyncIterator[World]:
    HANGING.clear()
    world = World([Desk, Deal, Mailer], RuntimeConfig(signals_max=2))
    await world.start()
    yield world
    world.close()


@dataclass
class Asker:
    """Asks a door by values."""

    door: CallersDoor

    async def get(self, path: str) -> Response:
        return await self.door.respond(Request(Head("GET", path, {}), b""))

    async def post(self, path: str, body: bytes = b"", headers: Any = None) -> Response:
        said = (JSON if body else {}) if headers is None else headers
        return await self.door.respond(Request(Head("POST", path, said), body))

    async def ask(self, method: str, path: str) -> Response:
        return await self.door.respond(Request(Head(method, path, {}), b""))


@pytest.fixture
def asker(world: World) -> Asker:
    return Asker(CallersDoor(world.runtime))


def signal(id_: str, verb: str = "resolve", name: str = "go") -> str:
    return f"/restate/invocation/{id_}/signals/{name}/{verb}"


PROMISE = "/restate/workflow/Deal/42/promises/signed%20by"


# --- signals ---


async def test_signals_are_kept_and_taken_in_the_order_in_which_they_were_answered(
    world: World, asker: Asker
) -> None:
    id_ = await world.runtime.object(Desk, "sam").take.send(3)
    first = await asker.post(signal(id_), b'{"a":1.0}')
    assert (first.status, first.body) == (202, b"")
    assert first.headers["x-restate-id"] == id_
    assert (await asker.post(signal(id_, "reject"), b"too late", {})).status == 202
    assert (await asker.post(signal(id_))).status == 202
    taken = await world.runtime.invocation(id_).attach()
    assert taken == [{"a": 1.0}, "rejected: too late", None]


@pytest.mark.parametrize("is_early", [True, False])
async def test_a_signal_that_was_answered_survives_a_crash_whoever_comes_first(
    is_early: bool,  # noqa: FBT001
    world: World,
    asker: Asker,
) -> None:
    HANGING.add("hold")
    before = ["hold"] if is_early else []
    held = await world.runtime.object(Desk, "sam").work.send(before)
    id_ = await world.runtime.object(Desk, "sam").take.send(1)
    await settle()
    assert (await asker.post(signal(id_), b'"now"')).status == 202
    await world.restart(keep_written=False)
    if is_early:
        await world.runtime.invocation(held).kill()
    assert await world.runtime.invocation(id_).attach() == ["now"]


async def test_a_rejection_says_why_as_that_of_an_awakeable_does(
    world: World, asker: Asker
) -> None:
    id_ = await world.runtime.object(Desk, "sam").take.send(2)
    await asker.post(signal(id_, "reject"), b'"quoted"')
    await asker.post(signal(id_, "reject"))
    assert await world.runtime.invocation(id_).attach() == [
        "rejected: quoted",
        "rejected: the signal was rejected",
    ]


async def test_more_signals_than_may_wait_are_told_to_come_again(
    world: World, asker: Asker
) -> None:
    HANGING.add("hold")
    await world.runtime.object(Desk, "sam").work.send(["hold"])
    id_ = await world.runtime.object(Desk, "sam").take.send(3)
    for _ in range(2):
        assert (await asker.post(signal(id_))).status == 202
    refused = await asker.post(signal(id_))
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-holdfast-error"] == "HF0013"


async def test_a_signal_for_one_that_is_completed_or_unknown_is_not_found(
    world: World, asker: Asker
) -> None:
    completed = await world.runtime.object(Desk, "sam").greet.send()
    await world.runtime.invocation(completed).attach()
    for id_ in (completed, NOBODY):
        response = await asker.post(signal(id_))
        assert response.status == 404
        assert "does not exist or is completed" in str(error_of(response.body)["message"])


# --- promises ---


async def test_a_promise_is_open_until_it_is_resolved_and_then_has_its_value(
    world: World, asker: Asker
) -> None:
    is_open = await asker.get(PROMISE)
    assert is_open.status == 470
    assert "'signed by' of Deal/42 is not completed" in str(error_of(is_open.body)["message"])
    resolved = await asker.post(f"{PROMISE}/resolve", b'"sam"')
    assert (resolved.status, resolved.body) == (202, b"")
    for _ in range(2):
        value = await asker.get(PROMISE)
        assert (value.status, value.body) == (200, b'"sam"')
        assert value.headers["content-type"] == "application/json"
        await world.restart(keep_written=False)
        asker.door = CallersDoor(world.runtime)
    assert await world.runtime.workflow(Deal, "42").run() == "sam"


async def test_the_first_completion_of_a_promise_stands(asker: Asker) -> None:
    assert (await asker.post(f"{PROMISE}/resolve")).status == 202
    for verb in ("resolve", "reject"):
        again = await asker.post(f"{PROMISE}/{verb}", b'"other"')
        assert again.status == 409
        assert "was completed before" in str(error_of(again.body)["message"])
    assert (await asker.get(PROMISE)).body == b"null"


async def test_a_rejected_promise_is_answered_as_an_outcome_is(asker: Asker) -> None:
    assert (await asker.post(f"{PROMISE}/reject", b"no deal", {})).status == 202
    response = await asker.get(PROMISE)
    assert response.status == 500
    assert response.headers["x-restate-error-source"] == "invocation"
    assert error_of(response.body)["message"] == "no deal"


@pytest.mark.parametrize("verb", ["resolve", "reject"])
async def test_whoever_waits_for_a_promise_is_answered_when_it_is_completed(
    verb: str, world: World, asker: Asker
) -> None:
    waiting = asyncio.ensure_future(asker.get(f"{PROMISE}?wait=30s"))
    await settle()
    assert not waiting.done()
    await asker.post(f"{PROMISE}/{verb}", b'"sam"')
    assert (await waiting).status == (200 if verb == "resolve" else 500)
    assert (await asker.get(f"{PROMISE}?wait=30s")).status == (await waiting).status
    assert len(world.runtime.core.watches) == 0


async def test_a_wait_for_a_promise_ends_with_470(world: World, asker: Asker) -> None:
    waiting = asyncio.ensure_future(asker.get(f"{PROMISE}?wait=30s"))
    await world.clock.advance(29)
    assert not waiting.done()
    await world.clock.advance(1)
    assert (await waiting).status == 470


async def test_waits_for_promises_are_bounded_and_end_with_the_door(world: World) -> None:
    asker = Asker(CallersDoor(world.runtime, HttpOptions(waits_max=1)))
    waiting = asyncio.ensure_future(asker.get(f"{PROMISE}?wait=30s"))
    await settle()
    assert (await asker.get(f"{PROMISE}?wait=30s")).status == 429
    asker.door.end_waits()
    assert (await waiting).status == 470


# --- effects ---


async def test_the_effects_say_all_that_is_known_and_null_for_the_rest(
    world: World, asker: Asker
) -> None:
    HANGING.add("b")
    id_ = await world.runtime.object(Desk, "sam").work.send(["a", "b"])
    await settle()
    response = await asker.get(f"/restate/invocation/{id_}/effects")
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    document = json.loads(response.body)
    assert document.keys() == {"effects", "next"}
    done, unknown = document["effects"]
    assert done.keys() == {field.name for field in fields(EffectInfo)}
    assert done["source"].startswith("test_parts.py:")
    assert done == {
        "source": done["source"],
        "name": "a",
        "index": 1,
        "status": "done",
        "is_canceled": False,
        "attempts": None,
        "failures": None,
        "began_at": None,
        "last_failed_at": None,
        "next_attempt_at": None,
        "completed_at": "2001-09-09T01:46:40.000Z",
        "last_failure": None,
        "idempotency_key": f"{id_}-1",
    }
    assert (unknown["status"], unknown["attempts"]) == ("unknown", 1)
    await world.restart()
    again = Asker(CallersDoor(world.runtime))
    after = json.loads((await again.get(f"/restate/invocation/{id_}/effects")).body)
    assert after["effects"][0] == document["effects"][0]


async def test_effects_come_in_pages(world: World, asker: Asker) -> None:
    id_ = await world.runtime.object(Desk, "sam").work.send(["a", "b", "c"])
    await world.runtime.invocation(id_).attach()
    path = f"/restate/invocation/{id_}/effects"
    first = json.loads((await asker.get(f"{path}?limit=2")).body)
    assert [each["name"] for each in first["effects"]] == ["a", "b"]
    rest = json.loads((await asker.get(f"{path}?limit=2&after={first['next']}")).body)
    assert [each["name"] for each in rest["effects"]] == ["c"]
    assert rest["next"] is None


async def test_the_effects_of_a_call_without_steps_are_not_kept(world: World, asker: Asker) -> None:
    id_ = await world.runtime.object(Desk, "sam").greet.send()
    await world.runtime.invocation(id_).attach()
    response = await asker.get(f"/restate/invocation/{id_}/effects")
    assert (response.status, response.headers["x-holdfast-error"]) == (410, "HF0018")


# --- what cannot be meant ---

EFFECTS = f"/restate/invocation/{NOBODY}/effects"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", signal(NOBODY), 405, "takes POST"),
        ("POST", signal("inv_1"), 400, "bad invocation id 'inv_1'"),
        ("POST", signal(NOBODY, "cancel"), 404, "not found"),
        ("POST", f"/restate/invocation/{NOBODY}/signals/go", 404, "not found"),
        ("POST", signal(NOBODY, name=""), 400, "signal"),
        ("POST", signal(NOBODY, name="x" * 2000), 400, "signal"),
        ("POST", signal(NOBODY, name="%ff"), 400, "not UTF-8"),
        ("POST", signal(NOBODY) + "?wait=1s", 400, "unknown query parameter 'wait'; there are no"),
        ("POST", PROMISE, 405, "takes GET"),
        ("GET", f"{PROMISE}/resolve", 405, "takes POST"),
        ("GET", f"{PROMISE}/peek", 404, "not found"),
        ("GET", "/restate/workflow/Deal/42/promises", 404, "not found"),
        ("GET", "/restate/workflow/Deal/42/promises/", 404, "not found"),
        ("GET", "/restate/workflow/Deel/42/promises/x", 404, "'Deel' not found"),
        ("GET", "/restate/workflow/Desk/42/promises/x", 400, "no workflow"),
        ("GET", "/restate/workflow/Deal/%00/promises/x", 400, "NUL"),
        ("GET", f"{PROMISE}?wait=soon", 400, "bad wait query parameter"),
        ("GET", f"{PROMISE}?wait=301s", 400, "longer than 300 seconds"),
        ("GET", f"{PROMISE}?entry=1", 400, "there is 'wait'"),
        ("POST", EFFECTS, 405, "takes GET"),
        ("GET", EFFECTS, 404, "does not exist"),
        ("GET", "/restate/invocation/inv_1/effects", 400, "bad invocation id"),
        ("GET", f"{EFFECTS}?limit=0", 400, "a page has 1 to 1000"),
        ("GET", f"{EFFECTS}?limit=1001", 400, "a page has 1 to 1000"),
        ("GET", f"{EFFECTS}?limit=many", 400, "bad limit query parameter"),
        ("GET", f"{EFFECTS}?after=-1", 400, "bad after query parameter"),
        ("GET", f"{EFFECTS}?after=9999999999", 400, "index of no entry"),
        ("GET", f"{EFFECTS}?first=1", 400, "there are 'after' and 'limit'"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    method: str, path: str, status: int, said: str, asker: Asker
) -> None:
    response = await asker.ask(method, path)
    assert response.status == status
    error = error_of(response.body)
    assert said in str(error["message"])
    assert error["source"] == response.headers["x-restate-error-source"] == "ingress"
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize("path", [signal(NOBODY), f"{PROMISE}/resolve"])
@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({}, b"1", "Empty content-type"),
        ({"content-type": "text/plain"}, b"1", "does not match 'application/json'"),
        (JSON, b"{", ""),
        (JSON, b"NaN", ""),
        (JSON, b"9" * 20, ""),
    ],
)
async def test_a_value_that_is_no_json_is_refused_and_changes_nothing(
    path: str, headers: dict[str, str], body: bytes, said: str, asker: Asker
) -> None:
    response = await asker.post(path, body, headers)
    assert response.status == 400
    assert said in str(error_of(response.body)["message"])
    assert (await asker.get(PROMISE)).status == 470


@pytest.mark.parametrize("path", [signal(NOBODY, "reject"), f"{PROMISE}/reject"])
async def test_a_reason_that_is_too_long_or_no_text_is_refused(path: str, asker: Asker) -> None:
    for body in (b"x" * 70_000, b"\xff"):
        assert (await asker.post(path, body, {})).status == 400
    assert (await asker.get(PROMISE)).status == 470


async def test_the_same_is_asked_over_a_connection(world: World) -> None:
    server = await serve(world.runtime, port=0)
    id_ = await world.runtime.object(Desk, "sam").take.send(1)
    async with connect(server.port) as connection:
        assert (await connection.ask(post(signal(id_), b"5"))).status == 202
        get = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.writer.write(get.format(f"{PROMISE}?wait=30s").encode())
        async with connect(server.port) as other:
            assert (await other.ask(post(f"{PROMISE}/resolve", b'"sam"'))).status == 202
        assert (await connection.read()).body == b'"sam"'
        effects = await connection.ask(get.format(f"/restate/invocation/{id_}/effects").encode())
        assert json.loads(effects.body) == {"effects": [], "next": None}
    assert await world.runtime.invocation(id_).attach() == [5]
    await server.close()
