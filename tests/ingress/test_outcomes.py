"""Attach, output and lookup: an invocation that somebody else made, by each of its names."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from holdfast import Context, Service, TerminalError, VirtualObject, Workflow, handler, shared
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.runtime.testing import settle
from tests.ingress.fake_engine import error_of
from tests.runtime.worlds import World

JSON = {"content-type": "application/json"}
KEYED = {"target": "idempotentInvocation", "service": "Clock", "handler": "tick"}
UNKNOWN = "inv_" + "0" * 32


class Till(VirtualObject):
    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        return amount + 1

    @shared
    async def get(self, ctx: Context) -> int:
        return 1


class Signup(Workflow):
    @handler
    async def run(self, ctx: Context, name: str) -> str:
        answer = await ctx.promise("answer", str)
        if answer == "no":
            message = "no way"
            raise TerminalError(message, status_code=422)
        return f"{answer}, {name}"

    @shared
    async def say(self, ctx: Context, answer: str) -> None:
        await ctx.promise("answer", str).resolve(answer)


class Clock(Service):
    @handler
    async def tick(self, ctx: Context) -> float:
        return 1.50


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Till, Signup, Clock])
    await world.start()
    yield world
    await world.runtime.stop()


async def ask(
    world: World,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    data = b"" if body is None else json.dumps(body).encode()
    all_headers = {**(JSON if data else {}), **(headers or {})}
    return await CallersDoor(world.runtime).respond(Request(Head(method, path, all_headers), data))


async def start(world: World, key: str = "k") -> str:
    response = await ask(world, "POST", f"/Signup/{key}/run/send", "sam")
    id_: str = response.headers["x-restate-id"]
    await settle()
    return id_


def workflow_target(key: str = "k") -> dict[str, str]:
    return {"target": "workflow", "workflowName": "Signup", "workflowKey": key}


def paths_of(verb: str, id_: str) -> list[tuple[str, str, object]]:
    """Every way to ask for the outcome of a workflow that was started."""
    return [
        ("GET", f"/restate/{verb}/{id_}", None),
        ("GET", f"/restate/invocation/{id_}/{verb}", None),
        ("GET", f"/restate/workflow/Signup/k/{verb}", None),
        ("POST", f"/restate/{verb}", {"target": "invocation", "invocationId": id_}),
        ("POST", f"/restate/{verb}", workflow_target()),
    ]


async def test_output_of_what_runs_is_470_whatever_it_is_named_by(world: World) -> None:
    id_ = await start(world)
    for method, path, body in paths_of("output", id_):
        response = await ask(world, method, path, body)
        assert response.status == 470, path
        message = error_of(response.body)["message"]
        assert str(message).startswith("the invocation exists but has not completed yet")
        assert response.headers["x-restate-error-source"] == "ingress"


async def test_attach_waits_as_a_call_waits_and_gives_the_bytes_of_the_result(
    world: World,
) -> None:
    id_ = await start(world)
    asking = [
        asyncio.ensure_future(ask(world, method, path, body))
        for method, path, body in paths_of("attach", id_)
    ]
    await settle()
    assert not any(each.done() for each in asking)
    await ask(world, "POST", "/Signup/k/say", "hello")
    for response in await asyncio.gather(*asking):
        assert (response.status, response.body) == (200, b'"hello, sam"')
        # It was not there when it was asked for: a caller is told as one who called.
        assert response.headers == {"x-restate-id": id_, **JSON}


@pytest.mark.parametrize("verb", ["attach", "output"])
async def test_what_is_completed_says_until_when_it_is_kept_also_after_a_restart(
    world: World, verb: str
) -> None:
    id_ = await start(world)
    await ask(world, "POST", "/Signup/k/say", "hello")
    await world.restart()
    for method, path, body in paths_of(verb, id_):
        response = await ask(world, method, path, body)
        assert (response.status, response.body) == (200, b'"hello, sam"')
        expires = response.headers["idempotency-expires"]
        assert expires.endswith("+00:00")
        assert response.headers["x-restate-id"] == id_


async def test_a_failure_is_told_with_its_own_status_and_says_until_when(world: World) -> None:
    id_ = await start(world)
    await ask(world, "POST", "/Signup/k/say", "no")
    response = await ask(world, "GET", f"/restate/attach/{id_}")
    assert response.status == 422
    assert response.headers["x-restate-error-source"] == "invocation"
    assert "idempotency-expires" in response.headers
    assert error_of(response.body) == {"code": 422, "message": "no way", "source": "invocation"}


async def test_whoever_goes_away_while_attached_stops_nothing(world: World) -> None:
    id_ = await start(world)
    asking = asyncio.ensure_future(ask(world, "GET", f"/restate/attach/{id_}"))
    await settle()
    asking.cancel()
    await settle()
    await ask(world, "POST", "/Signup/k/say", "hello")
    response = await ask(world, "GET", f"/restate/output/{id_}")
    assert response.body == b'"hello, sam"'


@pytest.mark.parametrize(
    ("call", "path", "target"),
    [
        ("/Till/a%2Fb/add", "Till/a%2Fb/add", {"service": "Till", "key": "a/b", "handler": "add"}),
        ("/Clock/tick", "Clock/tick", {"service": "Clock", "handler": "tick"}),
    ],
)
async def test_a_call_is_found_by_its_idempotency_key(
    world: World, call: str, path: str, target: dict[str, str]
) -> None:
    argument = None if call == "/Clock/tick" else 1
    first = await ask(world, "POST", call, argument, {"idempotency-key": "a b"})
    named = {"target": "idempotentInvocation", **target, "idempotencyKey": "a b"}
    again = await ask(world, "POST", call, argument, {"idempotency-key": "a b"})
    assert "idempotency-expires" not in first.headers
    assert again.headers == {
        **first.headers,
        "idempotency-expires": again.headers["idempotency-expires"],
    }
    for response in (
        await ask(world, "GET", f"/restate/invocation/{path}/a%20b/output"),
        await ask(world, "GET", f"/restate/invocation/{path}/a%20b/attach"),
        await ask(world, "POST", "/restate/attach", named),
        await ask(world, "POST", "/restate/output", named),
    ):
        assert (response.body, response.headers) == (first.body, again.headers)
    found = await ask(world, "POST", "/restate/lookup", named)
    assert json.loads(found.body) == {"invocationId": first.headers["x-restate-id"]}


async def test_a_lookup_gives_the_id(world: World) -> None:
    id_ = await start(world)
    for target in (workflow_target(), {"target": "invocation", "invocationId": id_}):
        response = await ask(world, "POST", "/restate/lookup", target)
        assert (response.status, response.headers) == (200, JSON)
        assert json.loads(response.body) == {"invocationId": id_}


@pytest.mark.parametrize("verb", ["attach", "output", "lookup"])
@pytest.mark.parametrize(
    "target",
    [
        workflow_target("other"),
        {"target": "invocation", "invocationId": UNKNOWN},
        {
            "target": "idempotentInvocation",
            "service": "Clock",
            "handler": "tick",
            "idempotencyKey": "x",
        },
    ],
)
async def test_what_names_nothing_is_404(world: World, verb: str, target: object) -> None:
    response = await ask(world, "POST", f"/restate/{verb}", target)
    assert response.status == 404
    assert str(error_of(response.body)["message"]).startswith("invocation not found: ")
    assert response.headers["x-restate-error-source"] == "ingress"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/restate/attach/inv_bogus", 400, "bad invocation id 'inv_bogus': expected"),
        ("GET", "/restate/invocation/x/output", 400, "bad invocation id 'x': expected"),
        ("GET", "/restate/attach/a/b", 404, "not found"),
        ("GET", "/restate/lookup/a", 404, "not found"),
        ("GET", "/restate/invocation", 404, "not found"),
        ("GET", f"/restate/invocation/{UNKNOWN}/nope", 404, "not found"),
        ("GET", "/restate/invocation/Till/k/add/x/y/attach", 400, "bad path: Till is an object"),
        ("GET", "/restate/invocation/Till/add/x/attach", 400, "bad path: Till is an object"),
        ("GET", "/restate/invocation/Clock/k/tick/x/attach", 400, "bad path: Clock is a service"),
        ("GET", "/restate/invocation/Til/k/add/x/attach", 404, "service 'Til' not found"),
        ("GET", "/restate/invocation/Clock/tickk/x/attach", 404, "did you mean 'tick'?"),
        ("GET", "/restate/workflow/Signup/k", 404, "not found"),
        ("GET", "/restate/workflow/Till/k/attach", 400, "Till is no workflow"),
        ("GET", "/restate/workflow/Signap/k/attach", 404, "did you mean 'Signup'?"),
        ("GET", "/restate/workflow/Signup//attach", 400, "must not be empty"),
        ("POST", f"/restate/output/{UNKNOWN}", 405, "takes GET"),
        ("POST", f"/restate/invocation/{UNKNOWN}/attach", 405, "takes GET"),
        ("GET", "/restate/lookup", 405, "takes POST"),
        ("GET", "/restate/attach", 405, "takes POST"),
    ],
)
async def test_a_path_that_asks_for_nothing_is_refused_with_its_reason(
    world: World, method: str, path: str, status: int, said: str
) -> None:
    response = await ask(world, method, path)
    assert response.status == status
    assert said in str(error_of(response.body)["message"])


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        (None, 400, "invalid lookup body: "),
        ([], 400, "invalid lookup body: "),
        ({}, 400, "missing required field `target`"),
        ({"target": "bad"}, 400, "expected a JSON object whose 'target' is 'workflow'"),
        ({"target": "workflow", "workflowName": "Signup"}, 400, "`workflowKey`"),
        ({**workflow_target(), "scope": "s"}, 400, "`scope`"),
        ({**workflow_target(), "workflowName": "Till"}, 400, "Till is no workflow"),
        ({**workflow_target(), "workflowName": "Signap"}, 404, "did you mean 'Signup'?"),
        ({"target": "invocation", "invocationId": "x"}, 400, "bad invocation id 'x'"),
        ({"target": "workflow", "workflowName": "Signup", "workflowKey": "\ud800"}, 400, ""),
        ({**KEYED, "idempotencyKey": ""}, 400, "the idempotency key is 0 bytes long"),
        ({**KEYED, "idempotencyKey": "k" * 1025}, 400, "the idempotency key is 1025 bytes long"),
        ({**KEYED, "idempotencyKey": "\ud800"}, 400, "invalid lookup body"),
        (
            {
                "target": "idempotentInvocation",
                "service": "Till",
                "handler": "add",
                "idempotencyKey": "x",
            },
            400,
            "Till is an object",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["attach", "output", "lookup"])
async def test_a_body_that_names_nothing_is_refused_with_its_reason(
    world: World, verb: str, target: object, status: int, said: str
) -> None:
    response = await ask(world, "POST", f"/restate/{verb}", target)
    assert (response.status, response.headers["x-restate-error-source"]) == (status, "ingress")
    assert said in str(error_of(response.body)["message"])


async def test_an_outcome_that_was_kept_long_enough_is_404(world: World) -> None:
    await ask(world, "POST", "/Clock/tick", None, {"idempotency-key": "x"})
    await world.clock.advance(25 * 3600)
    path = "/restate/invocation/Clock/tick/x/output"
    assert (await ask(world, "GET", path)).status == 404
