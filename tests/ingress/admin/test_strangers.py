"""Pages in an operator's browser, and strangers: the operators' port does nothing for them."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from holdfast import Context, VirtualObject, handler
from holdfast.ingress.admin.door import ADMIN_OPTIONS, AdminDoor
from holdfast.ingress.admin.route import Route
from holdfast.ingress.admin.routes import ROUTES
from holdfast.ingress.messages import Head
from holdfast.ingress.server import HttpServer
from holdfast.objects.errors import InvalidArgumentError
from tests.ingress.admin.operator import ABOUT, operate
from tests.runtime.worlds import World

TOKEN = "a-token-of-an-operator"
WITH_TOKEN = replace(ADMIN_OPTIONS, tokens=[TOKEN])


class Waiter(VirtualObject):
    @handler
    async def wait(self, ctx: Context) -> None:
        await ctx.awakeable()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Waiter])
    await world.start()
    yield world
    world.close()


def path_of(route: Route) -> str:
    return re.sub(r"\{\w+\}", "x", route.path)


# What a page of another site makes a browser send. `rebound` is a page whose own name was made to
# mean 127.0.0.1; `neighbour` one of another program on this machine.
PAGES = {
    "a script": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a sandboxed frame": {"origin": "null", "sec-fetch-site": "cross-site"},
    "an image": {"sec-fetch-site": "cross-site"},
    "a sibling": {"sec-fetch-site": "same-site"},
    "rebound": {"host": "evil.example:9070", "origin": "http://evil.example:9070"},
    "rebound, by GET": {"host": "evil.example:9070", "sec-fetch-site": "same-origin"},
    "neighbour": {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    "another scheme": {"origin": "chrome-extension://abcdef", "sec-fetch-site": "cross-site"},
    "a name that begins like ours": {"host": "localhost.evil.example"},
    "a name that ends like ours": {"host": "evil-localhost"},
    "a number that is no address": {"host": "127.0.0.1.evil.example"},
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_a_page_of_another_site_is_refused(
    world: World, route: Route, page: dict[str, str]
) -> None:
    answered = await operate(
        world.runtime,
        route.method,
        path_of(route),
        b"{}",
        headers={"content-type": "text/plain", **page},
    )
    assert answered.status in {403, 421}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
async def test_a_page_of_another_site_cancels_nothing(world: World, page: dict[str, str]) -> None:
    id_ = await world.runtime.object(Waiter, "sam").wait.send()

    for path in (f"/invocations/{id_}/cancel", f"/invocations/{id_}/kill"):
        assert (await operate(world.runtime, "PATCH", path, headers=page)).status in {403, 421}
    batch = await operate(
        world.runtime,
        "POST",
        "/internal/invocations_batch_operations/kill",
        {"invocation_ids": [id_]},
        headers={**page, "content-type": "text/plain"},
    )

    assert batch.status in {403, 421}
    described = await world.runtime.invocation(id_).describe()
    assert described.status not in {"completed", "failed"}


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
async def test_a_browser_that_asks_first_is_not_told_that_it_may(world: World, method: str) -> None:
    asking = {"origin": "https://evil.example", "access-control-request-method": method}
    answered = await operate(world.runtime, "OPTIONS", "/query", headers=asking)
    assert answered.status == 403
    assert not [name for name in answered.headers if name.startswith("access-control")]


FORMS = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain; application/json",
    "text/plain, application/json",
    "",
]
"""What a browser sends without asking first."""


@pytest.mark.parametrize("content_type", FORMS)
@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.method == "POST"],
    ids=lambda route: route.operation,
)
async def test_what_a_form_can_post_is_not_read_by_an_old_browser_either(
    world: World, route: Route, content_type: str
) -> None:
    """One that says nothing of where the form is from."""
    answered = await operate(
        world.runtime,
        "POST",
        path_of(route),
        b'{"query":"SELECT 1","invocation_ids":[],"new_state":{}}',
        headers={"content-type": content_type},
    )
    assert answered.status in {400, 404, 415}
    assert route.body is not None, "a POST without a body can be sent by any form"


def test_nothing_is_changed_by_a_get() -> None:
    """An image is a GET, and an old browser does not say whose page it is on."""
    gets = {route.operation for route in ROUTES if route.method == "GET"}
    assert not [name for name in gets if re.search("cancel|kill|purge|delete|pause|edit", name)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_a_stranger_is_refused_whatever_is_asked(world: World, route: Route) -> None:
    answered = await operate(world.runtime, route.method, path_of(route), options=WITH_TOKEN)
    if route.path == "/health":
        assert answered.status == 200
        return
    assert (answered.status, answered.message) == (
        401,
        "unauthorized: send `authorization: Bearer ...` with a token of this server",
    )
    assert answered.headers["www-authenticate"] == "Bearer"


async def test_a_stranger_does_not_learn_what_there_is(world: World) -> None:
    nothing = await operate(world.runtime, "GET", "/nothing", options=WITH_TOKEN)
    method = await operate(world.runtime, "PUT", "/query", options=WITH_TOKEN)
    assert (nothing.status, method.status) == (401, 401)


async def test_an_operator_is_let_in(world: World) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    id_ = await world.runtime.object(Waiter, "sam").wait.send()
    path = f"/invocations/{id_}/cancel"

    answered = await operate(world.runtime, "PATCH", path, headers=headers, options=WITH_TOKEN)

    assert answered.status in {200, 202}


async def test_a_token_of_callers_does_not_open_the_operators_port(world: World) -> None:
    headers = {"authorization": "Bearer a-token-of-a-caller-0123"}
    answered = await operate(world.runtime, "GET", "/version", headers=headers, options=WITH_TOKEN)
    assert answered.status == 401


async def test_the_operators_port_is_not_opened_to_strangers_without_tokens(world: World) -> None:
    server = HttpServer(AdminDoor(world.runtime, about=ABOUT))
    with pytest.raises(InvalidArgumentError, match="might see and change everything"):
        await server.listen("0.0.0.0", 0)  # noqa: S104 - what is refused


async def test_a_signature_opens_nothing_here(world: World) -> None:
    door = AdminDoor(world.runtime, WITH_TOKEN, about=ABOUT)
    head = Head("GET", "/version?signature=x", {"host": "localhost"})
    opened = door.open(head)
    assert getattr(opened, "status", None) == 401
