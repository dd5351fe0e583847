"""Editing state over HTTP: Restate's form and ours, what is refused, and what a version does."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Context, Service, TerminalError, VirtualObject, handler, state
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request
from tests.ingress.admin.operator import Answered, operate
from tests.runtime.worlds import World


class Counter(VirtualObject):
    counter: int = state(0)
    label: str = state("")

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.counter += amount
        return self.counter


class Proxy(Service):
    @handler
    async def forward(self, ctx: Context) -> None:
        return None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Counter, Proxy])
    await world.start()
    yield world
    world.close()


async def edit(
    world: World,
    body: Any,
    *,
    method: str = "POST",
    service: str = "Counter",
    headers: dict[str, str] | None = None,
) -> Answered:
    path = f"/services/{service}/state"
    return await operate(world.runtime, method, path, body, headers=headers)


async def outcome(world: World, answered: Answered) -> Any:
    return await world.runtime.invocation(answered.headers["x-restate-id"]).attach()


async def read(world: World, key: str = "sam") -> dict[str, Any]:
    return dict(await world.runtime.state(Counter, key))


async def read_tag(world: World, key: str = "sam") -> str:
    """As callers read it: from the ``ETag``."""
    head = Head("GET", f"/Counter/{key}", {"host": "localhost"})
    response = await CallersDoor(world.runtime).respond(Request(head, b""))
    assert response.status == 200
    return response.headers["etag"]


async def test_the_form_of_restate_replaces_all_of_a_state(world: World) -> None:
    await world.runtime.set_state(Counter, "sam", {"label": "old"})
    answered = await edit(world, {"object_key": "sam", "new_state": {"counter": [52, 50]}})
    assert (answered.status, answered.body) == (202, None)
    await outcome(world, answered)
    assert await read(world) == {"counter": 42}


async def test_values_may_be_said_as_what_they_are(world: World) -> None:
    answered = await edit(world, {"object_key": "sam", "state": {"counter": 42}})
    await outcome(world, answered)
    assert await read(world) == {"counter": 42}


async def test_a_merge_keeps_the_others(world: World) -> None:
    await world.runtime.set_state(Counter, "sam", {"counter": 1, "label": "old"})
    body = {"object_key": "sam", "state": {"counter": 2}}
    await outcome(world, await edit(world, body, method="PATCH"))
    assert await read(world) == {"counter": 2, "label": "old"}
    body = {"object_key": "sam", "clear": ["label"]}
    await outcome(world, await edit(world, body, method="PATCH"))
    assert await read(world) == {"counter": 2}


async def test_the_version_is_the_tag_that_callers_read(world: World) -> None:
    await world.runtime.object(Counter, "sam").add(1)
    seen = await read_tag(world)
    body = {"object_key": "sam", "state": {"counter": 10}, "version": seen}
    await outcome(world, await edit(world, body))
    again = await edit(world, body)
    assert again.status == 202
    with pytest.raises(TerminalError, match="nothing was changed") as refused:
        await outcome(world, again)
    assert refused.value.status_code == 409
    body["version"] = (await read_tag(world)).strip('"')
    await outcome(world, await edit(world, body))


async def test_an_edit_with_an_idempotency_key_is_made_once(world: World) -> None:
    body = {"object_key": "sam", "state": {"counter": 1}}
    first = await edit(world, body, headers={"idempotency-key": "k"})
    await outcome(world, first)
    again = await edit(world, body, headers={"idempotency-key": "k"})
    assert again.headers["x-restate-id"] == first.headers["x-restate-id"]


async def test_another_edit_with_the_same_idempotency_key_is_told_that_it_is_not_made(
    world: World,
) -> None:
    again = {"idempotency-key": "k"}
    first = await edit(world, {"object_key": "sam", "state": {"counter": 1}}, headers=again)
    other = await edit(world, {"object_key": "sam", "state": {"counter": 2}}, headers=again)
    assert other.status == 202
    assert other.headers["x-restate-id"] == first.headers["x-restate-id"]
    assert other.headers["x-holdfast-idempotency"] == "other-body"
    assert "x-holdfast-idempotency" not in first.headers


async def test_a_service_has_no_state(world: World) -> None:
    answered = await edit(world, {"object_key": "sam", "new_state": {}}, service="Proxy")
    assert (answered.status, answered.message) == (
        400,
        "Cannot modify state for service type Service",
    )
    answered = await edit(world, {"object_key": "sam", "new_state": {}}, service="Nobody")
    assert (answered.status, answered.message) == (
        404,
        "The requested service 'Nobody' does not exist",
    )
    answered = await edit(world, {"object_key": "a", "new_state": {}}, service="holdfast.Callbacks")
    assert answered.status == 404


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"object_key": "sam"}, "give either new_state or state"),
        ({"object_key": "sam", "state": {}, "new_state": {}}, "give either new_state or state"),
        ({"object_key": "", "state": {}}, "key"),
        ({"state": {}}, "object_key"),
        ({"object_key": "sam", "state": {"counter": "many"}}, "Counter: state field 'counter'"),
        ({"object_key": "sam", "state": {"conter": 1}}, "did you mean 'counter'"),
        ({"object_key": "sam", "new_state": {"counter": [1, 2]}}, "new_state.counter"),
        ({"object_key": "sam", "new_state": {"counter": [300]}}, "new_state.counter"),
        ({"object_key": "sam", "new_state": {"counter": "NDI="}}, "new_state"),
        ({"object_key": "sam", "state": {}, "verison": "x"}, "verison"),
        (b'{"object_key": "sam", "state": {"counter": 1}', "invalid"),
        (b'{"object_key": "sam", "state": {"counter": NaN}}', "invalid"),
        (b"", "Empty body not allowed"),
    ],
)
async def test_what_does_not_fit_is_refused_and_leaves_no_trace(
    world: World, body: Any, complaint: str
) -> None:
    answered = await edit(world, body)
    assert answered.status == 400
    assert complaint in answered.message
    assert world.runtime.statistics().invocations_accepted == 0


async def test_callers_do_not_find_the_handler_that_edits(world: World) -> None:
    head = Head(
        "POST",
        "/Counter/sam/holdfast.edit_state",
        {"host": "localhost", "content-type": "application/json"},
    )
    response = await CallersDoor(world.runtime).respond(Request(head, b'{"values":{}}'))
    assert response.status == 404
    there_is = json.loads(response.body)["message"].partition("its handlers")[2]
    assert there_is
    assert "holdfast." not in there_is
