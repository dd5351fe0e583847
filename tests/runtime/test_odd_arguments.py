"""Values of another type at the door of the process: refused in words, and nothing is done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from holdfast import (
    Client,
    Context,
    InvalidArgumentError,
    MemoryStore,
    Runtime,
    RuntimeClosedError,
    TerminalError,
    VirtualObject,
    handler,
    state,
)

from .agents import act
from .worlds import World

ODD: Any = object()
FLOAT: Any = 1.5
TEXT: Any = "1"
NUMBER: Any = 1
AWAKEABLE = "awk_" + "0" * 40


class Cart(VirtualObject):
    items: list[str] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, item: str) -> None:
        self.items.append(await ctx.run("add", act, item))
        message = "sold out"
        raise TerminalError(message)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Cart])
    await world.start()
    yield world
    world.close()


Ask = Callable[[Runtime, str], Awaitable[Any]]


REFUSED: list[tuple[Ask, str]] = [
    (
        lambda it, _: it.invocation(ODD).output(),
        "expected an invocation id, but this is object",
    ),
    (
        lambda it, _: it.resolve_awakeable(ODD, 1),
        "expected an awakeable id, but this is object",
    ),
    (lambda it, _: it.reject_awakeable(ODD, "x"), "expected an awakeable id"),
    (lambda it, _: it.state(Cart, "a", at=ODD), "expected an invocation id"),
    (lambda it, id_: it.state(Cart, "a", at=id_, entry=FLOAT), "entry is a whole number"),
    (lambda it, id_: it.state(Cart, "a", at=id_, entry=True), "entry is a whole number"),
    (lambda it, id_: it.fork(Cart, "a", to="b", at=id_, entry=TEXT), "entry is a whole number"),
    (lambda it, id_: it.invocation(id_).restart(from_entry=FLOAT), "from_entry is a whole"),
    (lambda it, id_: it.invocation(id_).restart(from_entry=ODD), "from_entry is a whole"),
    (lambda it, id_: it.invocation(id_).journal(after=FLOAT), "after is a whole number"),
    (lambda it, id_: it.invocation(id_).effects(limit=ODD), "limit is a whole number"),
    (lambda it, _: it.awakeables(limit=ODD), "limit is a whole number"),
    (lambda it, _: it.set_state(Cart, "a", ODD), "the values of a state are a mapping"),
    (lambda it, _: it.set_state(Cart, "a", {NUMBER: 2}), "the name of a state field is a str"),
    (lambda it, _: it.set_state(Cart, "a", {}, version=ODD), "version is the tag of a state"),
    (lambda it, _: it.set_state(Cart, "a", {}, version="\ud800"), "version is the tag of a"),
    (lambda it, _: it.set_state(Cart, "a", {}, idempotency_key=""), "has 1 to 1,024 bytes"),
    (lambda it, _: it.set_state(Cart, "a", {}, idempotency_key="k" * 1025), "1 to 1,024"),
    (
        lambda it, _: it.set_state(Cart, "a", {}, idempotency_key=ODD),
        "idempotency key is a str",
    ),
    (
        lambda it, _: it.find_invocation(Cart, "a", Cart.add, idempotency_key="\ud800"),
        "is not valid Unicode",
    ),
]


@pytest.mark.parametrize(("ask", "complaint"), REFUSED)
async def test_what_is_of_another_type_is_refused_and_nothing_is_done(
    world: World, ask: Ask, complaint: str
) -> None:
    id_ = await world.runtime.object(Cart, "a").add.send("tea")
    with pytest.raises(TerminalError, match="sold out"):
        await world.runtime.invocation(id_).attach()
    accepted = world.runtime.statistics().invocations_accepted
    with pytest.raises(InvalidArgumentError, match=re.escape(complaint)):
        await ask(world.runtime, id_)
    assert world.runtime.health == "ok"
    assert world.runtime.statistics().invocations_accepted == accepted
    assert await world.runtime.state(Cart, "a") == {"items": ["tea"]}


@pytest.mark.parametrize(
    ("values", "version"), [(ODD, None), ({NUMBER: 2}, None), ({"items": []}, ODD)]
)
async def test_a_client_refuses_an_odd_edit_without_asking(values: Any, version: Any) -> None:
    async with Client("http://127.0.0.1:9", admin_url="http://127.0.0.1:9", retry=None) as client:
        with pytest.raises(InvalidArgumentError, match=r"mapping|is a str|is the tag"):
            await client.set_state(Cart, "a", values, version=version)


def test_a_runtime_that_was_not_started_says_so() -> None:
    runtime = Runtime([Cart], store=MemoryStore())
    with pytest.raises(RuntimeClosedError, match="was not started"):
        runtime.statistics()
    with pytest.raises(RuntimeClosedError, match="was not started"):
        runtime.suspend_idle()
