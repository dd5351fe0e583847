"""A failure that passes through calls stays what it is, and says who was the first to fail."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import (
    Context,
    Origin,
    RetryPolicy,
    Service,
    StepFailedError,
    TerminalError,
    VirtualObject,
    handler,
)
from holdfast.journal.entry import Failure
from holdfast.objects.identity import InvocationId, Target
from holdfast.runtime.failures import error_of, failure_of, failure_of_invocation
from holdfast.testing import Client, crash_everywhere
from holdfast.testing.virtual import UNHURRIED

from .worlds import World

ONCE = RetryPolicy(max_attempts=1)
FINAL = RetryPolicy(max_attempts=1, on_max_attempts="fail")


async def charge() -> None:
    message = "the bank does not answer"
    raise OSError(message) from ConnectionResetError("connection reset")


class Bank(VirtualObject):
    @handler
    async def refuse(self, ctx: Context) -> None:
        message = "no money"
        raise TerminalError(message, status_code=402, metadata={"account": ctx.key})

    @handler
    async def fail(self, ctx: Context) -> None:
        await ctx.step(retry=ONCE).run("charge", charge)

    @handler(retry=FINAL)
    async def crash(self, ctx: Context) -> None:
        await charge()


class Till(Service):
    @handler
    async def pay(self, ctx: Context, how: str) -> None:
        bank = ctx.object(Bank, "joe")
        await {"refuse": bank.refuse, "fail": bank.fail, "crash": bank.crash}[how]()


class Shop(VirtualObject):
    @handler
    async def passes(self, ctx: Context, how: str) -> None:
        await ctx.service(Till).pay(how)

    @handler
    async def wraps(self, ctx: Context, how: str) -> None:
        try:
            await ctx.service(Till).pay(how)
        except TerminalError as error:
            message = "not sold"
            raise TerminalError(message, status_code=409) from error

    @handler
    async def groups(self, ctx: Context, how: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pay(ctx, how))

    async def _pay(self, ctx: Context, how: str) -> None:
        await ctx.service(Till).pay(how)

    @handler
    async def tells(self, ctx: Context, how: str) -> list[Any]:
        try:
            await ctx.object(Shop, "inner").wraps(how)
        except TerminalError as error:
            origin = error.origin
            assert origin is not None
            return [
                error.status_code,
                error.type_name,
                str(origin.target),
                [list(cause) for cause in error.cause],
            ]
        return []


CLASSES = [Bank, Till, Shop]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(CLASSES, UNHURRIED)
    await world.start()
    yield world
    world.close()


async def failure(world: World, handler_name: str, how: str) -> TerminalError:
    with pytest.raises(TerminalError) as caught:
        await world.finish(world.runtime.call_by_name("Shop", "s", handler_name, how))
    return caught.value


async def test_three_calls_away_a_failure_is_as_it_was(world: World) -> None:
    error = await failure(world, "passes", "refuse")

    assert (error.status_code, error.message, error.metadata) == (
        402,
        "no money",
        {"account": "joe"},
    )
    assert error.origin is not None
    assert error.origin.target == Target("Bank", "joe", "refuse")
    assert "Bank/joe/refuse" in str(error.origin)
    journal = world.runtime.journal(error.origin.invocation_id)
    assert "Bank/joe/refuse" in str(journal)


async def test_a_failed_step_keeps_its_class_and_its_causes(world: World) -> None:
    error = await failure(world, "passes", "fail")

    assert isinstance(error, StepFailedError)
    assert (error.type_name, error.message) == ("OSError", "the bank does not answer")
    assert error.cause == (("ConnectionResetError", "connection reset"),)


@pytest.mark.parametrize("how", ["fail", "crash"])
async def test_what_is_raised_from_a_failure_has_the_whole_chain(world: World, how: str) -> None:
    error = await failure(world, "wraps", how)

    assert (error.status_code, error.message) == (409, "not sold")
    assert error.cause == (
        ("OSError", "the bank does not answer"),
        ("ConnectionResetError", "connection reset"),
    )
    assert error.origin is not None
    assert error.origin.target == Target("Bank", "joe", how)


async def test_a_failure_out_of_a_task_group_says_where_it_comes_from(world: World) -> None:
    error = await failure(world, "groups", "refuse")

    assert error.status_code == 402
    assert error.origin is not None
    assert error.origin.target == Target("Bank", "joe", "refuse")


async def test_the_log_says_who_was_first(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "holdfast.invocations"):
        error = await failure(world, "passes", "refuse")

    lines = [line for line in caplog.messages if "failed in" in line]
    assert [f"(from {error.origin})" in line for line in lines] == [False, True, True]


async def test_who_failed_and_why_is_the_same_wherever_the_process_dies() -> None:
    async def call(client: Client) -> Any:
        return await client.object(Shop, "outer").tells("fail")

    report = await crash_everywhere(call, CLASSES, crash_again=True, suspending=True)

    assert report.ending.outcome == [
        409,
        "TerminalError",
        "Bank/joe/fail",
        [["OSError", "the bank does not answer"], ["ConnectionResetError", "connection reset"]],
    ]


def test_the_first_invocation_stays_the_origin() -> None:
    first = failure_of_invocation(failure_of(TerminalError("no")), Target("A", "a", "x"), ID)
    again = failure_of_invocation(failure_of(error_of(first)), Target("B", None, "y"), ID)

    assert again == first
    assert again.origin == Origin(Target("A", "a", "x"), "inv_" + ID.hex())


def test_a_chain_of_causes_has_an_end() -> None:
    error = TerminalError("0")
    for number in range(1, 30):
        outer = TerminalError(str(number))
        outer.__cause__ = error_of(failure_of(error)) if number % 3 else error
        error = outer
    error.__cause__.__cause__ = error  # type: ignore[union-attr]  # a circle

    assert 0 < len(failure_of(error).cause) <= 8


def test_a_class_that_puts_anything_into_its_fields_can_be_recorded() -> None:
    error: Any = TerminalError("odd")
    error.origin = "somewhere"
    error.cause = None

    assert failure_of(error) == Failure("HF0001", 500, "odd", "TerminalError")


ID = InvocationId(bytes(range(16)))


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
        outer.create_task(asyncio.sleep(0))
        inner.create_task(charge())


class Grouped(VirtualObject):
    @handler(retry=FINAL)
    async def in_the_handler(self, ctx: Context) -> None:
        await fail_in_a_group()

    @handler
    async def in_a_step(self, ctx: Context) -> None:
        await ctx.step(retry=ONCE).run("group", fail_in_a_group)


@pytest.mark.parametrize("how", ["in_the_handler", "in_a_step"])
async def test_what_a_group_of_errors_ends_with_says_what_is_in_it(
    how: str,
) -> None:
    world = World([Grouped])
    runtime = await world.start()

    with pytest.raises(TerminalError) as caught:
        await runtime.call_by_name("Grouped", "a", how)

    assert caught.value.type_name == "ExceptionGroup"
    assert caught.value.message.endswith(": OSError: the bank does not answer")
    world.close()


def test_an_error_that_says_nothing_is_recorded_with_its_name() -> None:
    assert failure_of(TimeoutError()).message == "TimeoutError"
    assert failure_of(TerminalError("")).message == ""


def test_a_group_of_many_errors_names_the_first_few() -> None:
    errors = [ValueError(f"error {number}") for number in range(1000)]

    message = failure_of(ExceptionGroup("all", [ExceptionGroup("some", errors)])).message

    assert "ValueError: error 0; ValueError: error 1;" in message
    assert len(message) < 500
