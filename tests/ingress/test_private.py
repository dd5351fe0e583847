"""Handlers and classes that are not for HTTP."""

from collections.abc import AsyncIterator

import pytest

from holdfast import (
    Context,
    InvalidDefinitionError,
    Service,
    VirtualObject,
    Workflow,
    handler,
    shared,
)
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from tests.ingress.fake_engine import error_of
from tests.runtime.worlds import World

JSON = {"content-type": "application/json"}


class Vault(VirtualObject, ingress_private=True):
    @handler
    async def put(self, ctx: Context, what: str) -> str:
        return what

    @shared(ingress_private=False)
    async def look(self, ctx: Context) -> str:
        return "a door"


class Deeper(Vault):
    """A class inherits what its ancestor says."""


class Secret(Service, ingress_private=True):
    @handler
    async def tell(self, ctx: Context) -> str:
        return "secret"


class Ceremony(Workflow):
    @handler(ingress_private=True)
    async def run(self, ctx: Context) -> str:
        return "done"


class Desk(Service):
    @handler
    async def ask(self, ctx: Context, what: str) -> str:
        return await ctx.object(Vault, "a").put(what)

    @handler(ingress_private=True)
    async def hidden(self, ctx: Context) -> str:
        return "hidden"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Vault, Deeper, Secret, Ceremony, Desk])
    await world.start()
    yield world
    await world.runtime.stop()


async def ask(world: World, method: str, path: str, body: bytes = b"") -> Response:
    head = Head(method, path, JSON if body else {})
    return await CallersDoor(world.runtime).respond(Request(head, body))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/Vault/a/put"),
        ("POST", "/Vault/a/put/send"),
        ("POST", "/restate/call/Vault/a/put"),
        ("POST", "/restate/send/Vault/a/put"),
        ("PUT", "/Vault/a/put"),
        ("POST", "/Deeper/a/put"),
        ("GET", "/Secret/tell"),
        ("GET", "/Desk/hidden"),
        ("POST", "/Ceremony/a/run"),
        ("GET", "/Vault/a"),
        ("POST", "/Vault/a"),
        ("GET", "/restate/workflow/Ceremony/a/attach"),
        ("GET", "/restate/workflow/Ceremony/a/promises/signed"),
        ("POST", "/restate/workflow/Ceremony/a/promises/signed/resolve"),
        ("GET", "/restate/invocation/Vault/a/put/x/output"),
    ],
)
async def test_what_is_private_is_refused_and_nothing_more_is_said(
    world: World, method: str, path: str
) -> None:
    before = world.runtime.statistics().invocations_accepted
    response = await ask(world, method, path, b'"x"' if "put" in path else b"")
    assert response.status == 400
    assert error_of(response.body) == {
        "code": 400,
        "message": "the invoked service is not public",
        "source": "ingress",
    }
    assert world.runtime.statistics().invocations_accepted == before


async def test_a_handler_may_be_public_in_a_class_that_is_not(world: World) -> None:
    assert (await ask(world, "GET", "/Vault/a/look")).body == b'"a door"'
    assert (await ask(world, "GET", "/Deeper/a/look")).body == b'"a door"'


async def test_handlers_and_the_process_itself_call_what_is_private(world: World) -> None:
    assert (await ask(world, "POST", "/Desk/ask", b'"gold"')).body == b'"gold"'
    assert await world.runtime.object(Vault, "a").put("gold") == "gold"
    assert await world.runtime.workflow(Ceremony, "a").run() == "done"


async def test_no_message_and_no_list_names_what_is_private(world: World) -> None:
    said = [
        (await ask(world, "GET", path)).body.decode()
        for path in ("/Secre/tell", "/Desk/hiden", "/Desk/a/b/c", "/", "/restate/health")
    ]
    for text in said:
        assert "Desk" in text
        assert "Secret" not in text
        assert "hidden" not in text


def test_private_is_yes_or_no() -> None:
    with pytest.raises(InvalidDefinitionError, match="ingress_private is True or False"):
        type("Bad", (Service,), {}, ingress_private="yes")
