"""A state that is asked for by its name is of the type that is asked for, in memory or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from holdfast import Context, VirtualObject, handler, state
from holdfast.runtime.testing import settle

from .controlled import Outer, note, work
from .worlds import World


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list[str])


class Map(VirtualObject):
    home: Point | None = state(None)

    @handler
    async def put(self, ctx: Context, value: dict[str, Any]) -> None:
        ctx.set("place", value)

    @handler
    async def settle_down(self, ctx: Context) -> None:
        self.home = Point(1)

    @handler
    async def look(self, ctx: Context) -> str:
        return type(ctx.get("place", Point)).__name__

    @handler
    async def tag(self, ctx: Context, tag: str) -> list[str]:
        place = ctx.get("place", Point)
        assert place is not None
        place.tags.append(tag)
        return place.tags

    @handler
    async def look_and_work(self, ctx: Context) -> str:
        seen = type(ctx.get("place", Point)).__name__
        await ctx.run("note", note, seen)
        await ctx.run("work", work, "work")
        return seen

    @handler
    async def look_at_home_by_name(self, ctx: Context) -> str:
        return str(ctx.get("home"))

    @handler
    async def look_at_home(self, ctx: Context) -> str:
        return type(self.home).__name__


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Map])
    await world.start()
    yield world
    world.close()


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_it_is_of_the_type_that_is_asked_for(world: World, *, is_in_memory: bool) -> None:
    await world.runtime.object(Map, "m").put({"x": 1})
    if not is_in_memory:
        await world.restart()

    assert await world.runtime.object(Map, "m").look() == "Point"


async def test_an_attempt_and_its_replay_see_the_same(world: World) -> None:
    await world.runtime.object(Map, "m").put({"x": 1})
    id_ = await world.runtime.object(Map, "m").look_and_work.send()
    await settle()
    await world.restart()
    Outer.gate("work").set()
    await settle()

    assert await world.runtime.invocation(id_).output() == Outer.lines[0] == "Point"


async def test_what_is_changed_as_one_type_is_read_as_another(world: World) -> None:
    map_ = world.runtime.object(Map, "m")
    await map_.put({"x": 1})
    assert await map_.tag("a") == ["a"]
    assert await map_.tag("b") == ["a", "b"]
    await world.restart()

    assert await world.runtime.object(Map, "m").tag("c") == ["a", "b", "c"]


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_a_field_that_was_asked_for_by_name_is_of_its_declared_type(
    world: World, *, is_in_memory: bool
) -> None:
    await world.runtime.object(Map, "m").settle_down()
    assert await world.runtime.object(Map, "m").look_at_home_by_name() == "{'x': 1, 'tags': []}"
    if not is_in_memory:
        await world.restart()

    assert await world.runtime.object(Map, "m").look_at_home() == "Point"
