"""The documents: valid, and of exactly what is served."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from holdfast import Context, Service, VirtualObject, handler, shared
from holdfast.ingress.admin.routes import ROUTES
from tests.ingress.admin.operator import operate
from tests.runtime.worlds import World


class Scales:
    """Has another type of this name."""

    @dataclass
    class Item:
        weight: float


@dataclass
class Item:
    name: str
    parts: "list[Item]"
    mapping: "dict[str, list[Item]]"


class Cart(VirtualObject):
    """Holds things."""

    @handler
    async def add(self, ctx: Context, item: Item) -> list[Item]:
        return [item]

    @handler
    async def weigh(self, ctx: Context, item: Scales.Item) -> Scales.Item:
        return item

    @shared
    async def read(self, ctx: Context, note: str = "") -> None:
        return None

    @handler(ingress_private=True)
    async def hide(self, ctx: Context) -> None:
        return None


class Picture(Service):
    @handler(accept="image/png", content_type="image/jpeg")
    async def turn(self, ctx: Context, picture: bytes) -> bytes:
        return picture


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Cart, Picture])
    await world.start()
    yield world
    world.close()


async def document(world: World, path: str) -> dict[str, Any]:
    found = await operate(world.runtime, "GET", path)
    assert found.status == 200
    OpenAPIV31SpecValidator(found.body).validate()
    body: dict[str, Any] = found.body
    return body


async def test_the_document_is_of_exactly_what_is_served(world: World) -> None:
    described = {
        (method.upper(), path)
        for path, operations in (await document(world, "/openapi"))["paths"].items()
        for method in operations
    }
    assert described == {(route.method, route.path) for route in ROUTES}
    for method, path in described:
        concrete = path.replace("{", "").replace("}", "")
        answered = await operate(world.runtime, method, concrete)
        assert answered.status != 405
        assert answered.body is None or "GET /openapi" not in str(answered.body.get("message"))


async def test_operations_have_names_of_their_own() -> None:
    names = [route.operation for route in ROUTES]
    assert len(names) == len(set(names))


async def test_a_class_is_described_for_its_callers(world: World) -> None:
    found = await document(world, "/services/Cart/openapi")
    assert set(found["paths"]) == {
        f"/Cart/{{key}}/{name}{send}" for name in ("add", "weigh", "read") for send in ("", "/send")
    }
    assert found["servers"] == [{"url": "http://127.0.0.1:8080"}]
    read = found["paths"]["/Cart/{key}/read"]["post"]
    assert read["requestBody"]["required"] is False
    assert "content" not in read["responses"]["200"]
    parameters = [
        each["name"] for each in found["paths"]["/Cart/{key}/add/send"]["post"]["parameters"]
    ]
    assert parameters == ["key", "idempotency-key", "mode", "delay"]


async def test_two_types_of_one_name_stay_two(world: World) -> None:
    found = await document(world, "/services/Cart/openapi")
    paths, schemas = found["paths"], found["components"]["schemas"]

    def taken(handler: str) -> Any:
        body = paths[f"/Cart/{{key}}/{handler}"]["post"]["requestBody"]
        ref = body["content"]["application/json"]["schema"]["$ref"]
        return schemas[ref.rpartition("/")[2]]["properties"]

    assert set(taken("add")) == {"name", "parts", "mapping"}
    assert set(taken("weigh")) == {"weight"}


async def test_bodies_that_are_no_json_have_their_own_type(world: World) -> None:
    found = await document(world, "/services/Picture/openapi")
    turn = found["paths"]["/Picture/turn"]["post"]
    assert list(turn["requestBody"]["content"]) == ["image/png"]
    assert list(turn["responses"]["200"]["content"]) == ["image/jpeg"]
