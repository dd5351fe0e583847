"""What a durable call may cost, counted: so that the hot path cannot get slower unseen.

Time on a shared machine says little; these counts are alike in every run. The figures are the
budget, and ``runtime/DESIGN.md`` says what they are made of. Whoever makes something cheaper lowers
them in the same change; whoever must raise one says in the change what it buys.

The calls are made one after the other, so each pays for a turn, a batch and a sync of its own.
"""

import asyncio
import gc
import sys
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from aiohttp import web

import holdfast
from holdfast import Context, Runtime, VirtualObject, handler, state
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.connections import Listener
from holdfast.ingress.messages import Head, Request
from holdfast.journal.memory import MemoryStore

_PACKAGE = str(Path(holdfast.__file__).parent)
_CALLS = 40
_STEPS_MANY = 40


class Counter(VirtualObject):
    value: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.value += amount
        return self.value


class Agent(VirtualObject):
    @handler
    async def ask(self, ctx: Context, steps: int) -> int:
        for _ in range(steps):
            await ctx.run("step", _do_nothing)
        return steps

    @handler
    async def wait(self, ctx: Context, steps: int) -> int:
        for _ in range(steps):
            await ctx.run("step", _do_nothing)
        return await ctx.awakeable(int)

    @handler
    async def mix(self, ctx: Context) -> int:
        plain = ctx.run("in a thread", _say_one)
        first, second = await asyncio.gather(plain, ctx.run("on the loop", _say_soon))
        await ctx.object(Counter, "other").add(first)
        try:
            async with asyncio.timeout(0.001):
                await ctx.awakeable(int)
        except TimeoutError:
            return first + second
        return 0


async def _do_nothing() -> str:
    return "done"


def _say_one() -> int:
    return 1


async def _say_soon() -> int:
    await asyncio.sleep(0)
    return 1


class CountingStore(MemoryStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self.reads += 1
        return super().scan(start, end, reverse=reverse)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call, rounded to a whole number."""

    functions: int
    """Python functions of Holdfast that are called."""
    callbacks: int
    """What is put on the event loop: a future that wakes somebody, a task that begins."""
    reads: int
    """Rows and ranges looked for in the store."""
    rows: int
    """Rows written or deleted."""
    row_bytes: int
    """Of keys and values that are written."""

    def fits(self, budget: "Cost") -> bool:
        """Whether nothing is dearer than the budget says."""
        return (
            self.functions <= budget.functions
            and self.callbacks <= budget.callbacks
            and self.reads <= budget.reads
            and self.rows <= budget.rows
            and self.row_bytes <= budget.row_bytes
        )


COUNTER = Cost(functions=204, callbacks=2, reads=1, rows=2, row_bytes=95)
COUNTER_AT_THE_DOOR = Cost(functions=222, callbacks=2, reads=1, rows=2, row_bytes=95)
COUNTER_OVER_HTTP = Cost(functions=241, callbacks=3, reads=1, rows=2, row_bytes=95)
THREE_STEPS = Cost(functions=484, callbacks=11, reads=1, rows=14, row_bytes=645)
ONE_MORE_STEP = Cost(functions=107, callbacks=3, reads=0, rows=2, row_bytes=112)
REPLAYED_STEP_FUNCTIONS = 37


async def _measure(call: Callable[[int], Awaitable[object]], store: CountingStore) -> Cost:
    """The cost of one ``call``, which is given numbers; the first ones are not counted."""
    for number in range(_CALLS):
        await call(number)
    loop: Any = asyncio.get_running_loop()
    callbacks = functions = 0

    def count_function(frame: FrameType, event: str, _: object) -> None:
        nonlocal functions
        functions += event == "call" and frame.f_code.co_filename.startswith(_PACKAGE)

    def count_callback(*args: Any, **options: Any) -> Any:
        nonlocal callbacks
        callbacks += 1
        return call_soon(*args, **options)

    call_soon = loop.call_soon
    reads, before = store.reads, store.statistics()
    loop.call_soon = count_callback
    sys.setprofile(count_function)
    try:
        for number in range(_CALLS):
            await call(number)
    finally:
        sys.setprofile(None)
        loop.call_soon = call_soon
    after = store.statistics()
    return Cost(
        functions=round(functions / _CALLS),
        callbacks=round(callbacks / _CALLS),
        reads=round((store.reads - reads) / _CALLS),
        rows=round((after.rows_written - before.rows_written) / _CALLS),
        row_bytes=round((after.bytes_written - before.bytes_written) / _CALLS),
    )


async def test_a_call_costs_no_more_than_its_budget() -> None:
    store = CountingStore()
    async with Runtime([Counter], store=store) as runtime:

        async def call(number: int) -> None:
            await runtime.object(Counter, f"k{number:03}").add(1)

        cost = await _measure(call, store)
    assert cost.fits(COUNTER), f"{cost} is more than {COUNTER}"


async def test_a_call_at_the_door_costs_no_more_than_its_budget() -> None:
    store = CountingStore()
    async with Runtime([Counter], store=store) as runtime:
        door = CallersDoor(runtime)

        async def call(number: int) -> None:
            head = Head("POST", f"/Counter/k{number:03}/add", {"content-type": "application/json"})
            assert (await door.respond(Request(head, b"1"))).status == 200

        cost = await _measure(call, store)
    assert cost.fits(COUNTER_AT_THE_DOOR), f"{cost} is more than {COUNTER_AT_THE_DOOR}"


class Caller(asyncio.Transport):
    """The server's end of a connection whose caller waits for each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: asyncio.Future[bytes]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """One answer comes in one piece, or this fails."""
        self.answered.set_result(bytes(data))

    def close(self) -> None:
        """Nothing is open."""


async def test_a_call_over_http_costs_no_more_than_its_budget() -> None:
    """Without a task, a stream to read from or one to write to: see ``ingress.exchanges``."""

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    store = CountingStore()
    loop = asyncio.get_running_loop()
    async with Runtime([Counter], store=store) as runtime:
        connection, caller = Listener(handle, CallersDoor(runtime), loop)(), Caller()
        connection.connection_made(caller)

        async def call(number: int) -> None:
            caller.answered = loop.create_future()
            connection.data_received(
                f"POST /Counter/k{number:03}/add HTTP/1.1\r\nhost: localhost\r\n"
                f"content-type: application/json\r\ncontent-length: 1\r\n\r\n1".encode()
            )
            assert (await caller.answered).startswith(b"HTTP/1.1 200 OK")

        cost = await _measure(call, store)
        connection.connection_lost(None)
        await asyncio.sleep(0)
    assert cost.fits(COUNTER_OVER_HTTP), f"{cost} is more than {COUNTER_OVER_HTTP}"


@pytest.mark.parametrize("steps", [3, _STEPS_MANY])
async def test_a_step_costs_no_more_than_its_budget_however_many_there_were(steps: int) -> None:
    store = CountingStore()
    async with Runtime([Agent], store=store) as runtime:

        async def call(number: int) -> None:
            await runtime.object(Agent, f"k{number:03}").ask(steps)

        cost = await _measure(call, store)
    more = steps - 3
    budget = Cost(
        functions=THREE_STEPS.functions + more * ONE_MORE_STEP.functions,
        callbacks=THREE_STEPS.callbacks + more * ONE_MORE_STEP.callbacks,
        reads=THREE_STEPS.reads + more * ONE_MORE_STEP.reads,
        rows=THREE_STEPS.rows + more * ONE_MORE_STEP.rows,
        row_bytes=THREE_STEPS.row_bytes + more * ONE_MORE_STEP.row_bytes,
    )
    assert cost.fits(budget), f"{cost} is more than {budget}"


async def test_replaying_a_step_costs_no_more_than_its_budget() -> None:
    store = CountingStore()
    costs: list[int] = []
    async with Runtime([Agent], store=store) as runtime:
        for steps in (10, 10 + _STEPS_MANY):
            key = f"k{steps}"
            waiting = asyncio.ensure_future(runtime.object(Agent, key).wait(steps))
            while not (page := await runtime.awakeables(Agent, key)).awakeables:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0)
            runtime.suspend_idle()
            functions = 0

            def count(frame: FrameType, event: str, _: object) -> None:
                nonlocal functions
                functions += event == "call" and frame.f_code.co_filename.startswith(_PACKAGE)

            sys.setprofile(count)
            try:
                await runtime.resolve_awakeable(page.awakeables[0].id, 1)
                await waiting
            finally:
                sys.setprofile(None)
            costs.append(functions)
    assert (costs[1] - costs[0]) / _STEPS_MANY <= REPLAYED_STEP_FUNCTIONS, costs


async def test_a_call_leaves_nothing_to_the_garbage_collector() -> None:
    """What is part of no cycle goes at once; the collector would look through all that runs."""
    async with Runtime([Counter, Agent], store=MemoryStore()) as runtime:

        async def call(number: int) -> None:
            key = f"k{number}"
            await runtime.object(Counter, key).add(1)
            await runtime.object(Agent, key).ask(3)
            await runtime.object(Agent, key).mix()

        await call(0)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for number in range(10):
                await call(number)
            gc.collect()
        finally:
            gc.set_debug(0)
            gc.enable()
        left = Count(type(each).__qualname__ for each in gc.garbage)
        gc.garbage.clear()
    assert not {kind: count for kind, count in left.items() if count >= 10}, left
