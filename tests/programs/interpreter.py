"""The objects that run the programs of ``language``, served by a real server and often killed."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, ClassVar

from holdfast import (
    Context,
    RetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
    step_info,
)

QUICKLY = RetryPolicy(initial_interval=timedelta(milliseconds=5), max_attempts=10)


class NotYetError(Exception):
    """What a step raises in its first attempts."""


async def _later(number: int) -> int:
    await asyncio.sleep(0.001)
    return number


def _in_thread(number: int) -> int:
    time.sleep(0.001)
    return number


async def _fail_first(number: int, failures: int) -> int:
    if step_info().attempt <= failures:
        raise NotYetError
    return number


class Interpreter(VirtualObject):
    """What each layer does."""

    below: ClassVar["type[Interpreter]"]
    layers: ClassVar[list["type[Interpreter]"]] = []

    numbers: list[int] = state(default_factory=list)

    @handler
    async def run(self, ctx: Context, program: list[Any]) -> int:
        """Run it; gives how many numbers it added, itself and by those whose answers count."""
        return await self._interpret(ctx, program)

    @handler
    async def fail(self, ctx: Context, program: list[Any]) -> int:
        """As ``run``, and then end with an error; what was done stays done."""
        added = await self._interpret(ctx, program)
        message = f"as told, after {added}"
        raise TerminalError(message, status_code=418)

    @handler
    async def add(self, ctx: Context, number: int) -> None:
        self.numbers.append(number)

    @shared
    async def read(self, ctx: Context) -> list[int]:
        return self.numbers

    async def _interpret(self, ctx: Context, program: list[Any]) -> int:
        added = 0
        begun: list[Awaitable[int]] = []
        for kind, *arguments in program:
            if kind == "begin":
                begun.append(self._call(ctx, *arguments))
            elif kind == "await":
                await begun.pop(0)
            elif kind in {"slow", "sleep"}:
                await self._pass_time(ctx, kind, arguments[0] / 1000)
            elif kind == "indirect":
                self._send(ctx, *arguments)
            elif kind in {"call", "recover", "gather", "relay", "race"}:
                added += await self._ask(ctx, kind, arguments)
            else:
                self.numbers.append(await self._number(ctx, kind, *arguments))
                added += 1
        return added

    def _call(self, ctx: Context, key: int, program: list[Any]) -> Awaitable[int]:
        return ctx.object(self.below, str(key)).run(program)

    async def _pass_time(self, ctx: Context, kind: str, seconds: float) -> None:
        if kind == "slow":
            await ctx.run("slow", asyncio.sleep, seconds)
        else:
            await asyncio.sleep(seconds)

    def _send(self, ctx: Context, layer: int, key: int, number: int, delay_ms: int) -> None:
        target = ctx.object(self.layers[layer], str(key))
        target.add.send(number, delay=timedelta(milliseconds=delay_ms) if delay_ms else None)

    async def _ask(self, ctx: Context, kind: str, arguments: list[Any]) -> int:
        if kind == "call":
            return await self._call(ctx, *arguments)
        if kind == "relay":
            return await ctx.service(Relay).run(self.layers.index(self.below), *arguments)
        if kind == "recover":
            key, program = arguments
            try:
                await ctx.object(self.below, str(key)).fail(program)
            except TerminalError as error:
                if error.status_code != 418:
                    raise
            return 0
        calls = [asyncio.ensure_future(self._call(ctx, *each)) for each in arguments]
        if kind == "gather":
            return sum(await asyncio.gather(*calls))
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        return 0

    async def _number(self, ctx: Context, kind: str, number: int, failures: int = 0) -> int:
        if kind == "step":
            return await ctx.run("step", _later, number)
        if kind == "thread":
            return await ctx.run("thread", _in_thread, number)
        if kind == "flaky":
            return await ctx.step(retry=QUICKLY).run("flaky", _fail_first, number, failures)
        if kind == "awakeable":
            answer = ctx.awakeable(int)
            ctx.service(Relay).resolve.send(answer.id, number)
            return await answer
        assert kind == "add", kind
        return number


class Layer2(Interpreter):
    """Calls nobody."""


class Layer1(Interpreter):
    """Calls the layer below."""

    below = Layer2


class Layer0(Interpreter):
    """What the clients call."""

    below = Layer1


Interpreter.layers[:] = [Layer0, Layer1, Layer2]


class Relay(Service):
    """Stands between."""

    @handler
    async def run(self, ctx: Context, layer: int, key: int, program: list[Any]) -> int:
        return await ctx.object(Interpreter.layers[layer], str(key)).run(program)

    @handler
    async def resolve(self, ctx: Context, id_: str, number: int) -> None:
        ctx.resolve_awakeable(id_, number)
