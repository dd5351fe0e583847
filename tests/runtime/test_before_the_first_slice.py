"""What befalls an attempt that has its place and has read nothing yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from holdfast import RuntimeConfig
from holdfast.journal import keys
from holdfast.objects.identity import format_invocation_id, parse_invocation_id
from holdfast.runtime.testing import settle

from .controlled import CLASSES, Asked, Outer, Worker, ask, ask_again, outcome_of, request_of
from .worlds import World

if TYPE_CHECKING:
    from holdfast.objects.identity import InvocationId


@pytest.fixture(params=[False, True], ids=["kept", "always_replay"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    Outer.clear()
    world = World(CLASSES, replace(RuntimeConfig(), always_replay=request.param))
    yield world
    world.close()


async def take_a_place(world: World) -> tuple[str, Asked]:
    """Accept a call in this turn; whatever is decided next comes before its attempt's turn."""
    runtime = await world.start()
    request = request_of("Worker/a/cleans", "x")
    asked = ask_again(world, request, "")
    resident: list[InvocationId] = list(runtime._attempts._resident)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert not Outer.lines
    return format_invocation_id(resident[0]), asked


@pytest.mark.parametrize("how", ["kill", "cancel"])
async def test_one_that_is_told_to_end_then_ends_and_gives_its_turn_on(
    world: World, how: str
) -> None:
    id_, asked = await take_a_place(world)
    handle = world.runtime.invocation(id_)
    told = handle.kill("no") if how == "kill" else handle.cancel("no")
    await settle()

    assert await told
    assert (await outcome_of(asked)).startswith("409 CanceledError")
    assert await world.runtime.object(Worker, "a").touch() == "touched"


async def test_one_that_is_paused_then_has_not_run_and_runs_when_it_is_resumed(
    world: World,
) -> None:
    id_, asked = await take_a_place(world)
    paused = world.runtime.invocation(id_).pause()
    await settle()
    assert await paused
    assert not Outer.lines

    await world.runtime.invocation(id_).resume()
    Outer.gate("x").set()
    await settle()
    assert Outer.lines == ["x began", "x ended"]
    assert await outcome_of(asked) == '"x"'


@pytest.mark.parametrize("how", ["crash", "stop"])
async def test_one_that_loses_its_process_then_runs_once_in_the_next(
    world: World, how: str
) -> None:
    await take_a_place(world)
    if how == "stop":
        await world.runtime.stop(timedelta(0))
        world.store = world.store.crash(keep_written=True)
        await world.start()
    else:
        await world.restart()
    Outer.gate("x").set()
    asked = ask_again(world, request_of("Worker/a/cleans", "x"), "")
    await settle()

    assert Outer.lines == ["x began", "x ended"]
    assert await outcome_of(asked) == '"x"'


async def test_one_whose_journal_is_damaged_stops_the_runtime_which_closes_all_the_same(
    world: World,
) -> None:
    await world.start()
    asked = await ask(world, "Worker/a/cleans", "x")
    await settle()
    await world.crash()
    world.store.write({keys.journal(parse_invocation_id(asked.id), 1): b"\xff\xff"})
    runtime = await world.start()
    await settle()

    assert runtime.health == "failed"
    assert runtime.statistics().attempts_resident == 0
    await runtime.stop()
