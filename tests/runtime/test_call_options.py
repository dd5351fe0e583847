"""What callers say beside target and argument, and what is refused of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import ConflictError, InvalidArgumentError, RuntimeConfig

from .agents import Agent, Caller, Counter
from .worlds import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Counter, Agent, Caller])
    yield world
    world.close()


async def test_a_repeated_call_from_code_gets_the_first_result_also_after_a_crash(
    world: World,
) -> None:
    runtime = await world.start()
    assert await runtime.object(Counter, "a", idempotency_key="k").add(2) == 2
    runtime = await world.restart()
    assert await runtime.object(Counter, "a", idempotency_key="k").add(5) == 2
    assert await runtime.call_by_name("Counter", "a", "add", 5, idempotency_key="k") == 2
    assert await runtime.object(Counter, "b", idempotency_key="k").add(5) == 5

    assert await runtime.object(Counter, "a").get() == 2


async def test_a_repeated_send_from_code_gives_the_first_id(world: World) -> None:
    runtime = await world.start()
    first = await runtime.object(Counter, "a", idempotency_key="k").add.send(2)
    second = await runtime.send_by_name("Counter", "a", "add", 2, idempotency_key="k")

    assert first == second
    assert await runtime.object(Counter, "a").get() == 2


async def test_a_strict_runtime_refuses_another_argument_from_code_too(world: World) -> None:
    world.config = RuntimeConfig(idempotency_strict=True)
    runtime = await world.start()
    await runtime.object(Counter, "a", idempotency_key="k").add(2)

    with pytest.raises(ConflictError, match="came with another body"):
        await runtime.object(Counter, "a", idempotency_key="k").add(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"idempotency_key": 5}, "an idempotency key is a str, but this is int"),
        ({"idempotency_key": ""}, "has 1 to 1,024 bytes of UTF-8, but this one has 0"),
        ({"idempotency_key": "é" * 513}, "has 1,026"),
        ({"idempotency_key": "\ud800"}, "is not valid Unicode"),
        ({"oops": 1}, "a call has no option oops; there are .*idempotency_key"),
    ],
)
async def test_an_option_that_does_not_fit_is_refused_before_anything_is_written(
    world: World, options: dict[str, Any], message: str
) -> None:
    runtime = await world.start()
    rows = dict(world.store.scan(b"", None))
    with pytest.raises(InvalidArgumentError, match=message):
        runtime.object(Counter, "a", **options)
    with pytest.raises(InvalidArgumentError, match=message):
        runtime.call_by_name("Counter", "a", "add", 1, **options)

    assert dict(world.store.scan(b"", None)) == rows
