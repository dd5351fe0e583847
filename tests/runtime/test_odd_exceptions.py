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


class EmptyError(Exception):
    """Is false, as whatever has a length of nothing."""

    def __len__(self) -> int:
        return 0


class UncausedError(Exception):
    """Cannot be asked what it was raised from."""

    @property
    def __cause__(self) -> NoReturn:  # type: ignore[override]  # as only a stranger would
        raise LookupError


class ClasslessError(Exception):
    """Cannot be asked for its class."""

    @property  # type: ignore[misc]  # as only a stranger would
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise LookupError


class PatientError(RetryableError):
    """Says something that cannot be shown where a wait belongs."""

    def __init__(self) -> None:
        self.retry_after = Unshowable()  # type: ignore[assignment]


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


def deep_group() -> BaseException:
    """As many task groups within one another make it, each of which has failed."""
    error: Any = PlainError(7)
    for _ in range(5_000):
        error = ExceptionGroup("one more", [error])
    deepest: BaseException = error
    return deepest


ERRORS: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: PlainError(7),
    "busy": lambda: PlainBusyError(7),
    "hostile": HostileError,
    "misshapen": misshapen,
    "unshowable": lambda: ValueError(Unshowable()),
    "unshowable runtime": lambda: RuntimeError(Unshowable()),
    "empty": EmptyError,
    "patient": PatientError,
    "group": lambda: ExceptionGroup("all", [PlainError(7), HostileError()]),
}

UNLOGGABLE: dict[str, Callable[[], BaseException]] = {
    "uncaused": UncausedError,
    "classless": ClasslessError,
    "deep group": deep_group,
}
"""Of these Python cannot make a traceback, so handlers of logs are spared them."""


def throw(what: str) -> NoReturn:
    error = (ERRORS | UNLOGGABLE)[what]()
    raise error


class Thrower(VirtualObject):
    @handler(retry=RetryPolicy(max_attempts=1))
    async def raises(self, ctx: Context, what: str) -> None:
        throw(what)

    @handler(retry=RetryPolicy(max_attempts=1))
    async def raises_from(self, ctx: Context, what: str) -> None:
        message = "the last"
        raise TerminalError(message) from (ERRORS | UNLOGGABLE)[what]()

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
    async def in_a_task(self, ctx: Context, what: str) -> str:
        async def act() -> None:
            throw(what)

        await asyncio.wait([asyncio.ensure_future(act())])
        return "over"

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


@pytest.mark.parametrize("what", UNLOGGABLE)
@pytest.mark.parametrize("name", ["raises", "raises_from", "in_a_step"])
async def test_what_has_no_traceback_stops_nothing_either(
    world: World, name: str, what: str
) -> None:
    thrower: Any = world.runtime.object(Thrower, "t")
    await getattr(thrower, name).send(what)
    await settle()

    assert world.runtime.health == "ok"
    assert await world.runtime.object(Thrower, "u").well() == "well"


@pytest.mark.parametrize("what", UNLOGGABLE)
async def test_whoever_waits_for_a_task_hears_that_it_has_failed(world: World, what: str) -> None:
    assert await world.runtime.object(Thrower, "t").in_a_task(what) == "over"


async def test_a_step_ends_whose_exception_is_false(world: World) -> None:
    invocation_id = await world.runtime.object(Thrower, "e").in_a_step.send("empty")
    await settle()

    info = await world.runtime.invocation(invocation_id).describe()
    assert info.status == "paused"
    assert "EmptyError" in (info.last_failure or "")


async def test_a_cause_counts_that_is_false(world: World) -> None:
    with pytest.raises(TerminalError) as raised:
        await world.runtime.object(Thrower, "e").raises_from("empty")
    assert raised.value.cause == (("EmptyError", ""),)


async def test_a_deep_group_of_terminal_errors_is_the_first_of_them(world: World) -> None:
    with pytest.raises(TerminalError, match="7"):
        await world.runtime.object(Thrower, "g").raises("deep group")


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
