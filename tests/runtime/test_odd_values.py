"""Values that cannot even be asked what they are end their own invocation, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from holdfast import Context, RetryPolicy, TerminalError, VirtualObject, handler
from holdfast.objects.syscalls import Intent
from holdfast.runtime.testing import settle

from .controlled import Outer, note
from .worlds import World

ONCE = RetryPolicy(max_attempts=1)


def be_unbound(_: object) -> NoReturn:
    message = "working outside of a request"
    raise RuntimeError(message)


Unbound: Any = type("Unbound", (), {"__class__": property(be_unbound)})
"""As a proxy for something of a request, where there is no request."""


def make_in_a_thread() -> Any:
    return Unbound()


async def make_on_the_loop() -> Any:
    return Unbound()


async def cut_off() -> None:
    await Outer.gate("never").wait()


async def find(_: Intent) -> Any:
    return Unbound()


class Maker(VirtualObject):
    @handler
    async def gives(self, ctx: Context) -> Any:
        return Unbound()

    @handler
    async def in_a_thread(self, ctx: Context) -> Any:
        return await ctx.step(retry=ONCE).run("make", make_in_a_thread)

    @handler
    async def on_the_loop(self, ctx: Context) -> Any:
        return await ctx.step(retry=ONCE).run("make", make_on_the_loop)

    @handler
    async def verified(self, ctx: Context) -> Any:
        step = ctx.step(timeout=timedelta(seconds=1), on_unknown=find)
        return await step.run("cut", cut_off)

    @handler
    async def well(self, ctx: Context) -> str:
        return await ctx.run("note", note, "well")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Maker])
    await world.start()
    yield world
    world.close()


@pytest.mark.parametrize("name", ["gives", "in_a_thread", "on_the_loop"])
async def test_a_value_without_a_class_is_refused_by_name(world: World, name: str) -> None:
    maker: Any = world.runtime.object(Maker, "m")
    invocation_id = await getattr(maker, name).send()
    await settle()
    await world.clock.advance(2)
    await settle()

    with pytest.raises(TerminalError, match="Unbound cannot be"):
        await world.runtime.invocation(invocation_id).attach()
    assert world.runtime.health == "ok"
    assert await world.runtime.object(Maker, "m").well() == "well"


async def test_a_verify_that_gives_one_is_asked_again_later(world: World) -> None:
    invocation_id = await world.runtime.object(Maker, "m").verified.send()
    await settle()
    await world.clock.advance(2)
    await settle()

    info = await world.runtime.invocation(invocation_id).describe()
    assert "it returned Unbound, not Happened or NeverHappened" in str(
        info.awaiting[0].last_failure
    )
    assert world.runtime.health == "ok"
