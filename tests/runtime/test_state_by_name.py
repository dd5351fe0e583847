"""A state that is asked for by its name is of the type that is asked for, in memory or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from holdfast import Context, VirtualObject, handler, shared, state
from holdfast.runtime.testing import settle

from .controlled import Outer, note, work
from .worlds import World


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list[str])


class Map(VirtualObject):
    home: Point | None = state(None)
    places: list[Point] = state(default_factory=list)
    token: str = state(default_factory=lambda: uuid4().hex)

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
    async def count(self, ctx: Context) -> list[Any]:
        found = [ctx.get("count", int)]
        await ctx.run("note", note, str(found[0]))
        await ctx.run("work", work, "work")
        return [*found, ctx.get("count", int), ctx.keys()]

    @handler
    async def count_on(self, ctx: Context) -> int:
        seen = ctx.get("count", int)
        count = ctx.get("count", int, 7)
        return count if seen is None else -1

    @shared
    async def watch(self, ctx: Context) -> list[Any]:
        found: list[Any] = [ctx.get("count", int), ctx.get("count", int, 7)]
        await ctx.run("note", note, str(found))
        await ctx.run("work", work, "work")
        return [*found, ctx.get("count", int)]

    @shared
    async def watch_token(self, ctx: Context) -> list[str | None]:
        found = [ctx.get("token"), self.token]
        await ctx.run(f"note {self.token}", note, "token")
        await ctx.run("work", work, "work")
        return found

    @handler
    async def look_at_home_by_name(self, ctx: Context) -> str:
        return str(ctx.get("home"))

    @handler
    async def look_at_places_by_name(self, ctx: Context) -> None:
        assert ctx.get("places") is None
        await ctx.run("note", note, "looked")

    @handler
    async def look_at_places(self, ctx: Context) -> list[Point]:
        return self.places

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


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_what_is_absent_is_nothing_of_any_type_and_stays_absent(
    world: World, *, is_in_memory: bool
) -> None:
    """It was stored as ``null`` with the step, which is no int for the replay and the next turn."""
    map_ = world.runtime.object(Map, "m")
    id_ = await map_.count.send()
    await settle()
    if not is_in_memory:
        await world.restart()
    Outer.gate("work").set()
    await settle()

    assert await world.runtime.invocation(id_).output() == [None, None, []]
    assert dict(await world.runtime.state(Map, "m")) == {}
    assert await world.runtime.object(Map, "m").count_on() == 7


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_what_is_absent_is_nothing_to_a_shared_handler_and_to_its_replay(
    world: World, *, is_in_memory: bool
) -> None:
    id_ = await world.runtime.object(Map, "m").watch.send()
    await settle()
    if not is_in_memory:
        await world.restart()
    Outer.gate("work").set()
    await settle()

    assert await world.runtime.invocation(id_).output() == [None, 7, None]
    assert Outer.lines.count("[None, 7]") == 1


@pytest.mark.parametrize("is_in_memory", [True, False])
async def test_a_field_has_one_default_in_a_replay_although_its_name_was_absent_before(
    world: World, *, is_in_memory: bool
) -> None:
    id_ = await world.runtime.object(Map, "m").watch_token.send()
    await settle()
    if not is_in_memory:
        await world.restart()
    Outer.gate("work").set()
    await settle()

    absent, token = await world.runtime.invocation(id_).output()
    assert absent is None
    assert token


async def test_a_declared_field_that_was_asked_for_by_name_has_its_own_default(
    world: World,
) -> None:
    await world.runtime.object(Map, "m").look_at_places_by_name()

    id_ = await world.runtime.object(Map, "m").look_at_places.send()
    await settle()

    assert await world.runtime.invocation(id_).output() == []
