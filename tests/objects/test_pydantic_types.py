"""Types of pydantic's that are no models: arguments, results, state and steps may be of them."""

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from pydantic import AwareDatetime, HttpUrl, IPvAnyAddress, Json, PastDate

from holdfast import (
    Context,
    InvalidArgumentError,
    InvalidDefinitionError,
    Service,
    VirtualObject,
    handler,
    state,
)
from holdfast.objects.definition import define
from holdfast.objects.schemas import schema_of
from holdfast.objects.serde import asked_serde, json_serde, packed_serde
from holdfast.testing import World


class Page(pydantic.BaseModel):
    url: HttpUrl


@pytest.mark.parametrize(
    ("annotation", "document"),
    [
        (HttpUrl, b'"https://example.com/a"'),
        (dict[str, HttpUrl] | None, b'{"a":"https://example.com/"}'),
        (Page | HttpUrl, b'"https://example.com/"'),
        (AwareDatetime, b'"2026-01-01T00:00:00Z"'),
        (tuple[PastDate, int], b'["2020-01-01",7]'),
        (IPvAnyAddress, b'"10.0.0.1"'),
    ],
)
def test_such_a_value_is_read_written_and_stored(annotation: Any, document: bytes) -> None:
    value = asked_serde(annotation).decode(document)
    assert json_serde(annotation).encode(value) == document
    assert packed_serde(annotation).decode(packed_serde(annotation).encode(value)) == value
    assert schema_of(annotation) is not None


@pytest.mark.parametrize(
    ("annotation", "document", "problem"),
    [
        (HttpUrl, b'"example.com"', "valid URL"),
        (AwareDatetime, b'"2026-01-01T00:00:00"', "timezone"),
        (PastDate, b'"2999-01-01"', "in the past"),
        (Json[int], b'"x"', "invalid JSON"),
    ],
)
def test_what_is_none_is_refused(annotation: Any, document: bytes, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        asked_serde(annotation).decode(document)


def test_a_text_that_holds_json_is_read_as_such() -> None:
    assert asked_serde(Json[list[int]]).decode(b'"[1, 2]"') == [1, 2]


@dataclass
class Link:
    url: HttpUrl


def test_msgspec_does_not_read_one_in_a_class_of_its_own() -> None:
    async def go(self: Any, ctx: Context, link: Link) -> None: ...

    message = "HttpUrl, in a class that is none of pydantic's, cannot be sent"
    with pytest.raises(InvalidDefinitionError, match=message):
        define(type("Bad", (Service,), {"go": handler(go)}))


async def look(url: HttpUrl) -> HttpUrl:
    return HttpUrl(f"{url}found")


class Crawler(VirtualObject):
    last: HttpUrl | None = state(None)

    @handler
    async def visit(self, ctx: Context, url: HttpUrl, since: AwareDatetime) -> HttpUrl:
        self.last = found = await ctx.run("look", look, url)
        return found

    @handler
    async def host(self, ctx: Context) -> str | None:
        return self.last.host if self.last else None


async def test_one_that_a_step_has_found_is_there_after_a_crash() -> None:
    world = World([Crawler])
    runtime = await world.start()
    body = {"url": "https://example.com/", "since": "2026-01-01T00:00:00Z"}
    found = await runtime.call_by_name("Crawler", "c", "visit", body)
    assert found == "https://example.com/found"
    runtime = await world.restart()
    assert await runtime.object(Crawler, "c").host() == "example.com"
    with pytest.raises(InvalidArgumentError, match="'url' does not fit"):
        await runtime.call_by_name("Crawler", "c", "visit", {**body, "url": "example"})
    world.close()
