"""Exceptions of a stranger's class, which may be anything, end their own invocation at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from holdfast import (
    Context,
    RetryableError,
    RetryPolicy,
    TerminalError,
    VirtualObject,
    handler,
)
from holdfast.runtime.testing import settle

from .controlled import Outer, note
from .worlds import World


class PlainError(TerminalError):
    """Does not call the constructor that it inherits."""

    def __init__(self, code: int) -> None:
        self.code_of_its_own = code


class PlainBusyError(RetryableError):
    """Neither does this one."""

    def __init__(self, code: int) -> None:
        self.code_of_its_own = code


class HostileError(TerminalError):
    """Cannot be asked for anything."""

    @property
    def message(self) -> NoReturn:
        raise LookupError

    @property
    def status_code(self) -> NoReturn:
        raise LookupError

    @status_code.setter
    def status_code(self, _: int) -> None:
        pass


class Unshowable:
    def __repr__(self) -> str:
        message = "detached"
        raise LookupError(message)


def misshapen() -> TerminalError:
    error = TerminalError("odd", metadata={"a": "b"})
    error.cause = (1, ("only",), ("OSError", "no disk"))  # type: ignore[assignment]
    error.origin = "somewhere"  # type: ignore[assignment]
    error.type_name = Unshowable()  # type: ignore[assignment]
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: PlainError(7),
    "busy": lambda: PlainBusyError(7),
    "hostile": HostileError,
    "misshapen": misshapen,
    "unshowable": lambda: ValueError(Unshowable()),
    "unshowable runtime": lambda: RuntimeError(Unshowable()),
    "group": lambda: ExceptionGroup("all", [PlainError(7), HostileError()]),
}


def throw(what: str) -> NoReturn:
    error = ERRORS[what]()
    raise error


class Thrower(VirtualObject):
    @handler(retry=RetryPolicy(max_attempts=1))
    async def raises(self, ctx: Context, what: str) -> None:
        throw(what)

    @handler(retry=RetryPolicy(max_attempts=1))
    async def raises_from(self, ctx: Context, what: str) -> None:
        message = "the last"
        raise TerminalError(message) from ERRORS[what]()

    @handler(retry=RetryPolicy(max_attempts=1))
    async def in_a_step(self, ctx: Context, what: str) -> None:
        async def act() -> None:
            throw(what)

        await ctx.run("act", act)

    @handler
    async def in_the_background(self, ctx: Context, what: str) -> None:
        async def act() -> None:
            throw(what)

        task = asyncio.ensure_future(act())
        await ctx.run("note", note, "x")
        assert task.done()

    @handler
    async def in_a_callback(self, ctx: Context, what: str) -> None:
        def act(_: object) -> None:
            throw(what)

        asyncio.get_running_loop().call_soon(act, Unshowable())
        await ctx.run("note", note, "x")

    @handler
    async def when_dropped(self, ctx: Context, what: str) -> None:
        try:
            await ctx.signal("never")
        except GeneratorExit:
            throw(what)

    @handler
    async def well(self, ctx: Context) -> str:
        return await ctx.run("note", note, "well")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    Outer.clear()
    world = World([Thrower])
    await world.start()
    yield world
    world.close()


HANDLERS = ["raises", "raises_from", "in_a_step", "in_the_background", "in_a_callback"]


@pytest.mark.parametrize("what", ERRORS)
@pytest.mark.parametrize("name", [*HANDLERS, "when_dropped"])
async def test_nothing_that_is_raised_stops_the_runtime(world: World, name: str, what: str) -> None:
    thrower: Any = world.runtime.object(Thrower, "t")
    await getattr(thrower, name).send(what)
    await settle()
    world.runtime.suspend_idle()
    await settle()

    assert world.runtime.health == "ok"
    assert await world.runtime.object(Thrower, "u").well() == "well"


async def test_the_outcome_says_what_could_be_read(world: World) -> None:
    for what, said in (("plain", "7"), ("hostile", "HostileError"), ("misshapen", "odd")):
        with pytest.raises(TerminalError) as raised:
            await world.runtime.object(Thrower, what).raises(what)
        assert raised.value.status_code == 500
        assert said in f"{raised.value.type_name}: {raised.value.message}"
    assert raised.value.cause == (("OSError", "no disk"),)


class Hostile(SpanProcessor):
    """A tracer's part that raises whatever it is asked."""

    def on_start(self, span: object, parent_context: object = None) -> NoReturn:
        raise LookupError

    def on_end(self, span: object) -> NoReturn:
        raise LookupError


async def test_a_tracer_that_raises_costs_its_spans_and_nothing_else() -> None:
    Outer.clear()
    world = World([Thrower])
    world.tracer_provider = provider = TracerProvider()
    provider.add_span_processor(Hostile())
    runtime = await world.start()

    assert await runtime.object(Thrower, "t").well() == "well"
    assert runtime.health == "ok"
    world.close()
