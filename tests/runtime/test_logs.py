"""What becomes of a line in the log is nobody's business but the log's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest

from holdfast import Context, RetryPolicy, StoreFailedError, VirtualObject, handler
from holdfast.runtime.logs import SteadyLogger, make_logger
from holdfast.runtime.testing import settle

from .controlled import Outer, fail, note
from .worlds import World

TWICE = RetryPolicy(max_attempts=2)


class Noisy(VirtualObject):
    @handler(retry=TWICE)
    async def raises(self, ctx: Context) -> None:
        message = "no"
        raise OSError(message)

    @handler
    async def in_a_step(self, ctx: Context) -> None:
        await ctx.step(retry=TWICE).run("fail", fail, "x")

    @handler
    async def for_ever(self, ctx: Context) -> None:
        await asyncio.Event().wait()

    @handler
    async def in_the_background(self, ctx: Context) -> None:
        task = asyncio.ensure_future(self._fail())
        await ctx.run("note", note, "x")
        assert task.done()

    async def _fail(self) -> None:
        message = "unseen"
        raise OSError(message)

    @handler
    async def well(self, ctx: Context) -> str:
        return await ctx.run("note", note, "well")


class Refusing(logging.Handler):
    """Sends lines to where nobody answers, and lets everyone know."""

    def emit(self, record: logging.LogRecord) -> NoReturn:
        raise ConnectionError(record.name)


class Quiet(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        pass


@pytest.fixture(params=["handler", "filter"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    Outer.clear()
    root = logging.getLogger("holdfast")
    added = Refusing() if request.param == "handler" else Quiet()
    if request.param == "filter":
        added.addFilter(lambda record: bool(vars(record)["request_id"]))
    root.addHandler(added)
    world = World([Noisy])
    await world.start()
    yield world
    world.close()
    root.removeHandler(added)


@pytest.mark.parametrize("name", ["raises", "in_a_step", "for_ever", "in_the_background"])
async def test_a_line_that_nobody_can_take_stops_no_runtime(world: World, name: str) -> None:
    await getattr(world.runtime.object(Noisy, "n"), name).send()
    await world.clock.advance(5)
    await settle()

    assert world.runtime.health == "ok"
    assert await world.runtime.object(Noisy, "m").well() == "well"


async def test_callers_are_told_that_the_store_has_failed(world: World) -> None:
    world.store.fail_next_write()
    asked = asyncio.ensure_future(world.runtime.object(Noisy, "n").well())
    await settle()

    assert asked.done(), "nobody was told"
    with pytest.raises(StoreFailedError):
        asked.result()


def test_a_program_keeps_its_own_class_of_loggers() -> None:
    class Own(logging.Logger):
        """One that a program has set up."""

    logging.setLoggerClass(Own)
    try:
        own = logging.getLogger("holdfast.test.own")
    finally:
        logging.setLoggerClass(logging.Logger)
    configured_before = logging.getLogger("holdfast.test.before")

    assert type(make_logger("holdfast.test.own")) is Own
    assert make_logger("holdfast.test.own") is own
    assert make_logger("holdfast.test.before") is configured_before
    assert isinstance(configured_before, SteadyLogger)
