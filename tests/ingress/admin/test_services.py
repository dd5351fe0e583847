"""Classes and handlers as operators see them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from holdfast import Context, RetryPolicy, Service, VirtualObject, Workflow, handler, shared, state
from holdfast.ingress.admin.services import friendly
from tests.ingress.admin.operator import operate
from tests.runtime.worlds import World


@dataclass
class Item:
    name: str
    price: int


class Receipt(msgspec.Struct):
    items: list[Item]


class Cart(VirtualObject, idempotency_retention=timedelta(seconds=1)):
    """Holds what somebody wants."""

    items: list[Item] = state(default_factory=list)

    @handler(retry=RetryPolicy(max_attempts=None))
    async def add(self, ctx: Context, amount: int) -> int:
        """Add some."""
        return amount

    @handler
    async def pay(self, ctx: Context, item: Item, note: str = "") -> Receipt:
        raise NotImplementedError

    @shared
    async def read(self, ctx: Context) -> None:
        return None

    @handler(ingress_private=True)
    async def hide(self, ctx: Context) -> None:
        return None


class Order(Workflow, workflow_retention=timedelta(days=3, hours=4)):
    @handler
    async def run(self, ctx: Context) -> str:
        return "done"


class Model(BaseModel):
    name: str


class Mailer(Service, ingress_private=True):
    @handler
    async def mail(self, ctx: Context, model: Model) -> Model:
        return model


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Cart, Order, Mailer])
    await world.start()
    yield world
    world.close()


async def get(world: World, path: str) -> Any:
    found = await operate(world.runtime, "GET", path)
    assert found.status == 200, found
    return found.body


async def test_a_class_is_described_as_restate_does(world: World) -> None:
    found = await get(world, "/services/Cart")
    handlers = {each["name"]: each for each in found.pop("handlers")}
    assert found == {
        "name": "Cart",
        "ty": "VirtualObject",
        "public": True,
        "idempotency_retention": "1s",
        "journal_retention": "1d",
        "inactivity_timeout": "1m",
        "retry_policy": {
            "initial_interval": "500ms",
            "exponentiation_factor": 2.0,
            "max_attempts": 70,
            "max_interval": "1m",
            "on_max_attempts": "Pause",
        },
        "documentation": "Holds what somebody wants.",
    }
    assert handlers["add"] == {
        "name": "add",
        "ty": "Exclusive",
        "public": True,
        "documentation": "Add some.",
        "input_description": "JSON integer",
        "output_description": "JSON integer",
        "input_json_schema": {"type": "integer"},
        "output_json_schema": {"type": "integer"},
        "retry_policy": {
            "initial_interval": "500ms",
            "exponentiation_factor": 2.0,
            "max_attempts": None,
            "max_interval": "1m",
            "on_max_attempts": "Pause",
        },
    }
    assert handlers["read"] == {
        "name": "read",
        "ty": "Shared",
        "public": True,
        "input_description": "none",
        "output_description": "none",
    }
    assert handlers["hide"]["public"] is False


async def test_several_parameters_are_one_object(world: World) -> None:
    found = await get(world, "/services/Cart/handlers/pay")
    schema = found["input_json_schema"]
    assert schema["required"] == ["item"]
    assert schema["properties"]["item"] == {"$ref": "#/$defs/Item"}
    assert set(schema["$defs"]["Item"]["properties"]) == {"name", "price"}


async def test_all_kinds_are_listed_and_none_of_our_own(world: World) -> None:
    services = {each["name"]: each for each in (await get(world, "/services"))["services"]}
    assert {name: each["ty"] for name, each in services.items()} == {
        "Cart": "VirtualObject",
        "Order": "Workflow",
        "Mailer": "Service",
    }
    assert services["Order"]["workflow_completion_retention"] == "3d 4h"
    assert services["Order"]["handlers"][0]["ty"] == "Workflow"
    assert services["Mailer"]["public"] is False
    (mail,) = services["Mailer"]["handlers"]
    assert "ty" not in mail
    assert mail["input_json_schema"]["properties"] == {"name": {"title": "Name", "type": "string"}}
    names = [each["name"] for each in (await get(world, "/services/Cart/handlers"))["handlers"]]
    assert names == ["add", "pay", "read", "hide"]


async def test_unknown_names_are_refused(world: World) -> None:
    for path in ("/services/Nope", "/services/Nope/handlers", "/services/holdfast.Callbacks"):
        refused = await operate(world.runtime, "GET", path)
        name = path.split("/")[2]
        assert (refused.status, refused.message) == (
            404,
            f"The requested service '{name}' does not exist",
        )
    for name in ("nope", "holdfast.edit_state"):
        refused = await operate(world.runtime, "GET", f"/services/Cart/handlers/{name}")
        assert (refused.status, refused.message) == (
            404,
            f"The requested handler '{name}' on service 'Cart' does not exist",
        )


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=1500), "1s 500ms"),
        (timedelta(minutes=90), "1h 30m"),
        (timedelta(days=400), "400d"),
    ],
)
def test_durations_read_well(duration: timedelta, text: str) -> None:
    assert friendly(duration) == text
