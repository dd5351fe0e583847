"""Editing an object's state from outside: at its turn, once, whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from holdfast import (
    Context,
    InvalidArgumentError,
    Service,
    TerminalError,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.objects.registry import Registry
from holdfast.objects.state_edit import EDIT_STATE, StateEdit
from holdfast.runtime.state_edits import EditRequest
from holdfast.runtime.testing import settle
from holdfast.testing import Client, crash_everywhere
from holdfast.watched_check import check_open_invocations

from .worlds import World


@dataclass
class Item:
    name: str
    price: int


class Cart(VirtualObject):
    """Has fields of several kinds."""

    items: list[Item] = state(default_factory=list)
    note: str | None = state(None)
    count: int = state(0)

    @handler
    async def add(self, ctx: Context, item: Item) -> int:
        self.items.append(item)
        self.count += 1
        return self.count

    @handler
    async def hold(self, ctx: Context) -> int:
        promise = ctx.awakeable(int)
        await ctx.run("tell", HELD.append, promise.id)
        self.count += await promise
        return self.count


class Loose(VirtualObject):
    """Declares nothing, and fails to be made where its state is broken."""

    def __init__(self) -> None:
        MADE.append(type(self).__name__)

    @handler
    async def put(self, ctx: Context, name: str, value: Any) -> None:
        ctx.set(name, value)

    @handler
    async def get(self, ctx: Context, name: str) -> str:
        return type(ctx.get(name, Item)).__name__


class Order(Workflow):
    status: str = state("new")

    @handler
    async def run(self, ctx: Context) -> str:
        self.status = "done"
        return self.status

    @shared
    async def look(self, ctx: Context) -> str:
        return self.status


class Mailer(Service):
    @handler
    async def mail(self, ctx: Context) -> None:
        return None


CLASSES = [Cart, Loose, Order, Mailer]
HELD: list[str] = []
MADE: list[str] = []


@pytest.fixture
async def world() -> AsyncIterator[World]:
    HELD.clear()
    MADE.clear()
    world = World(CLASSES)
    await world.start()
    yield world
    world.close()


def merge(
    key: str, values: dict[str, Any], *clear: str, idempotency: str | None = None
) -> EditRequest:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}
    edit = StateEdit(values=raw, clear=list(clear), keeps_others=True)
    return EditRequest(service="Cart", key=key, edit=edit, idempotency_key=idempotency)


async def read(world: World, key: str = "a", cls: type = Cart) -> dict[str, Any]:
    return dict(await world.runtime.state(cls, key))


async def test_it_leaves_an_object_with_what_it_says_and_nothing_else(world: World) -> None:
    cart = world.runtime.object(Cart, "a")
    assert await cart.add(Item("tea", 3)) == 1
    await world.runtime.set_state(Cart, "a", {"items": [Item("cake", 5)], "note": None})
    assert await read(world) == {"items": [Item("cake", 5)], "note": None}
    assert await cart.add(Item("tea", 3)) == 1
    assert (await read(world))["items"] == [Item("cake", 5), Item("tea", 3)]


async def test_others_are_kept_where_that_is_said(world: World) -> None:
    await world.runtime.object(Cart, "a").add(Item("tea", 3))
    answer = await world.runtime.edit_state(merge("a", {"note": "gift"}, "items"))
    await world.runtime.invocation(answer.invocation_id).attach()
    assert await read(world) == {"note": "gift", "count": 1}


@pytest.mark.parametrize("crashes", [True, False])
async def test_it_waits_for_its_turn_and_survives_a_crash_there(
    world: World, *, crashes: bool
) -> None:
    await world.runtime.send_by_name("Cart", "a", "hold")
    await settle()
    answer = await world.runtime.edit_state(merge("a", {"count": 10}))
    behind = await world.runtime.send_by_name("Cart", "a", "add", {"name": "tea", "price": 1})
    await settle()
    assert (await world.runtime.invocation(answer.invocation_id).describe()).status == "pending"
    if crashes:
        await world.restart()
    await world.runtime.resolve_awakeable(HELD[0], 5)
    await world.runtime.invocation(behind).attach()
    assert (await read(world))["count"] == 11


async def test_the_same_idempotency_key_edits_once(world: World) -> None:
    request = merge("a", {"count": 1}, idempotency="k")
    first = await world.runtime.edit_state(request)
    await settle()
    await world.runtime.object(Cart, "a").add(Item("tea", 3))
    again = await world.runtime.edit_state(request)
    await settle()
    assert again.invocation_id == first.invocation_id
    assert (await read(world))["count"] == 2


async def test_a_version_is_compared_at_its_turn(world: World) -> None:
    runtime = world.runtime
    await runtime.object(Cart, "a").add(Item("tea", 3))
    seen = (await runtime.wait_state(Cart, "a")).tag
    await runtime.set_state(Cart, "a", {"count": 7}, version=seen)
    with pytest.raises(TerminalError, match="not the one of version") as refused:
        await runtime.set_state(Cart, "a", {"count": 8}, version=seen)
    assert refused.value.status_code == 409
    assert await read(world) == {"count": 7}


async def test_a_version_that_is_right_at_the_door_may_be_wrong_at_its_turn(world: World) -> None:
    await world.runtime.send_by_name("Cart", "a", "hold")
    await settle()
    seen = (await world.runtime.wait_state(Cart, "a")).tag
    raw = {"count": msgspec.Raw(b"100")}
    edit = StateEdit(values=raw, version=seen)
    answer = await world.runtime.edit_state(EditRequest(service="Cart", key="a", edit=edit))
    await world.runtime.resolve_awakeable(HELD[0], 5)
    with pytest.raises(TerminalError, match="not the one of version"):
        await world.runtime.invocation(answer.invocation_id).attach()
    assert await read(world) == {"count": 5}


async def test_the_empty_state_has_a_version_too(world: World) -> None:
    empty = (await world.runtime.wait_state(Cart, "new")).tag
    await world.runtime.set_state(Cart, "new", {"count": 1}, version=empty)
    with pytest.raises(TerminalError):
        await world.runtime.set_state(Cart, "new", {"count": 2}, version=empty)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"count": "many"}, "Cart: state field 'count'"),
        ({"items": [{"name": "tea"}]}, "Cart: state field 'items'"),
        ({"conut": 1}, "did you mean 'count'"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_recorded(
    world: World, values: dict[str, Any], complaint: str
) -> None:
    accepted = world.runtime.statistics().invocations_accepted
    with pytest.raises(InvalidArgumentError, match=complaint):
        await world.runtime.edit_state(merge("a", values))
    assert world.runtime.statistics().invocations_accepted == accepted
    assert await read(world) == {}


async def test_only_what_has_state_is_edited(world: World) -> None:
    with pytest.raises(InvalidArgumentError, match="no state"):
        await world.runtime.set_state("Mailer", "a", {})
    with pytest.raises(UnknownTargetError):
        await world.runtime.set_state("Nobody", "a", {})
    with pytest.raises(InvalidArgumentError):
        await world.runtime.set_state(Cart, "", {})
    with pytest.raises(InvalidArgumentError, match="set and cleared"):
        await world.runtime.edit_state(merge("a", {"count": 1}, "count"))


async def test_a_name_that_no_class_declares_is_read_as_its_reader_says(world: World) -> None:
    loose = world.runtime.object(Loose, "a")
    MADE.clear()  # A proxy is an instance, too.
    await world.runtime.set_state(Loose, "a", {"thing": {"name": "tea", "price": 1}})
    assert MADE == [], "the user's class was made to edit a state"
    assert await loose.get("thing") == "Item"


async def test_a_workflow_can_be_edited_after_its_run(world: World) -> None:
    workflow = world.runtime.workflow(Order, "7")
    assert await workflow.run() == "done"
    await world.runtime.set_state(Order, "7", {"status": "refunded"})
    assert await workflow.look() == "refunded"


async def test_nobody_calls_the_editor_by_name(world: World) -> None:
    with pytest.raises(UnknownTargetError):
        await world.runtime.call_by_name("Cart", "a", EDIT_STATE, {"values": {}})
    assert EDIT_STATE not in world.runtime.registry.services["Cart"].handlers


async def test_an_edit_is_visible_and_can_be_taken_back_or_made_again(world: World) -> None:
    await world.runtime.send_by_name("Cart", "a", "hold")
    await settle()
    answer = await world.runtime.edit_state(merge("a", {"count": 10}))
    handle = world.runtime.invocation(answer.invocation_id)
    assert str((await handle.describe()).target) == f"Cart/a/{EDIT_STATE}"
    assert await handle.cancel()
    await world.runtime.resolve_awakeable(HELD[0], 5)
    await settle()
    assert (await read(world))["count"] == 5
    again = await handle.restart()
    await world.runtime.invocation(again).attach()
    assert (await read(world))["count"] == 10


async def test_the_past_of_an_edited_state_can_be_read(world: World) -> None:
    await world.runtime.object(Cart, "a").add(Item("tea", 3))
    answer = await world.runtime.edit_state(merge("a", {"count": 10}))
    await world.runtime.invocation(answer.invocation_id).attach()
    await world.runtime.set_state(Cart, "a", {"count": 20})
    at = await world.runtime.state(Cart, "a", at=answer.invocation_id)
    assert at["count"] == 10


async def test_a_check_knows_the_editor(world: World) -> None:
    await world.runtime.send_by_name("Cart", "a", "hold")
    await settle()
    await world.runtime.edit_state(merge("a", {"count": 10}))
    view = world.store.view()
    checked = list(check_open_invocations(view, Registry(CLASSES), seconds_max=30))
    assert {each.verdict.value for each in checked} == {"safe"}, checked


async def edit_between_calls(client: Client) -> list[Any]:
    """Two edits, the second one of the version that the first has left, and calls around them."""
    cart = client.object(Cart, "a")
    counts = [await cart.add(Item("tea", 3))]
    await client.set_state(Cart, "a", {"count": 10})
    counts.append(await cart.add(Item("cake", 5)))
    seen = await client.wait_state(Cart, "a")
    await client.set_state(Cart, "a", {"count": 20, "note": "gift"}, version=seen.tag)
    counts.append(await cart.add(Item("milk", 1)))
    return counts


async def test_edits_happen_once_whenever_the_process_dies() -> None:
    report = await crash_everywhere(edit_between_calls, CLASSES, crash_again=True)
    assert report.ending.outcome == [1, 11, 21]
    state_ = report.ending.state["Cart/a"]
    assert (state_["note"], len(state_["items"])) == ("gift", 1)
