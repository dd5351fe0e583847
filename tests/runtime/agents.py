"""Objects that the runtime's tests run. What their actions did is counted in ``Ledger``."""

from __future__ import annotations

import asyncio
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
)


class Ledger:
    """What happened outside: one line per execution of an action, in order."""

    lines: ClassVar[list[str]] = []

    @classmethod
    def add(cls, line: str) -> str:
        cls.lines.append(line)
        return line


async def act(name: str) -> str:
    """An action that leaves a line and takes a moment."""
    Ledger.add(name)
    await asyncio.sleep(0)
    return name


class Counter(VirtualObject):
    """One number per key."""

    value: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.value += amount
        return self.value

    @shared
    async def get(self, ctx: Context) -> int:
        return self.value


class Agent(VirtualObject):
    """A session with steps."""

    done: list[str] = state(default_factory=list)

    @handler
    async def work(self, ctx: Context, steps: int) -> list[str]:
        for number in range(steps):
            self.done.append(await ctx.run(f"step {number}", act, f"{ctx.key}:{number}"))
        return self.done

    @handler
    async def nap(self, ctx: Context, seconds: float) -> float:
        started = ctx.time()
        await asyncio.sleep(seconds)
        return ctx.time() - started

    @handler
    async def approve(self, ctx: Context) -> str:
        awakeable = ctx.awakeable(str)
        await ctx.run("ask", act, awakeable.id)
        return await awakeable

    @handler
    async def offer(self, ctx: Context) -> str:
        awakeable = ctx.awakeable(str)
        self.done.append(awakeable.id)
        answer = await awakeable
        self.done.append(answer)
        return answer

    @handler
    async def both(self, ctx: Context) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(ctx, name)) for name in ("a", "b", "c")]
        self.done = [task.result() for task in tasks]
        return self.done

    async def _one(self, ctx: Context, name: str) -> str:
        first = await ctx.run(f"{name} first", act, f"{name}1")
        second = await ctx.run(f"{name} second", act, f"{name}2")
        return first + second

    @shared
    async def history(self, ctx: Context) -> list[str]:
        return self.done


class Caller(VirtualObject):
    """Calls others."""

    log: list[str] = state(default_factory=list)

    @handler
    async def relay(self, ctx: Context, depth: int) -> int:
        if depth == 0:
            return 0
        below = await ctx.object(Caller, f"{ctx.key}/{depth}").relay(depth - 1)
        self.log.append(f"{depth}: {below}")
        return below + 1

    @handler
    async def meet(self, ctx: Context, other: str) -> str:
        return await ctx.object(Caller, other).meet(ctx.key)

    @handler
    async def notify(self, ctx: Context, count: int) -> str:
        sent = [
            await ctx.object(Counter, "notified").add.send(1, delay=timedelta(seconds=10))
            for _ in range(count)
        ]
        return sent[-1]


class Faulty(VirtualObject):
    """Fails in every way there is."""

    tries: ClassVar[dict[str, int]] = {}
    seen: list[str] = state(default_factory=list)

    @handler
    async def flaky(self, ctx: Context, failures: int) -> int:
        self.seen.append("tried")
        tries = Faulty.tries[ctx.key] = Faulty.tries.get(ctx.key, 0) + 1
        if tries <= failures:
            message = f"try {tries}"
            raise RuntimeError(message)
        return len(self.seen)

    @handler
    async def terminal(self, ctx: Context) -> None:
        self.seen.append("kept")
        message = "no way"
        raise TerminalError(message, status_code=422, metadata={"a": "b"})

    @handler
    async def terminal_in_group(self, ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._refuse())
            group.create_task(asyncio.sleep(1000))

    async def _refuse(self) -> None:
        message = "not this way"
        raise TerminalError(message, status_code=418)

    @handler
    async def flaky_step(self, ctx: Context, failures: int) -> int:
        return await ctx.run("flaky", self.fail_first, ctx.key, failures)

    @handler
    async def doomed_step(self, ctx: Context) -> str:
        try:
            await ctx.step(retry=RetryPolicy(max_attempts=3)).run(
                "doomed", self.fail_first, ctx.key, 99
            )
        except TerminalError as error:
            return f"{type(error).__name__} {error.type_name}: {error.message}"
        return "?"

    @staticmethod
    async def fail_first(key: str, failures: int) -> int:
        tries = Faulty.tries[key] = Faulty.tries.get(key, 0) + 1
        if tries <= failures:
            message = f"try {tries}"
            raise ValueError(message)
        return tries


class Echo(Service):
    """No key, no state."""

    @handler
    async def say(self, ctx: Context, text: str, times: int = 1) -> dict[str, Any]:
        return {"text": text * times}
