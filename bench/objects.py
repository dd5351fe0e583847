"""The objects that the benchmarks call, in a server process and embedded."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar

from holdfast import Context, VirtualObject, handler, state

FAR_AWAY = timedelta(days=365)


async def do_nothing() -> str:
    """An action that costs nothing, so that what is left is ours."""
    return "done"


class Counter(VirtualObject):
    """One state field; a call is one commit."""

    value: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        """Add and tell."""
        self.value += amount
        return self.value


class Brief(Counter, retention=timedelta(seconds=20)):
    """The same, but of a call nothing is kept for long."""


class Agent(VirtualObject):
    """A session that makes three steps per call."""

    @handler
    async def ask(self, ctx: Context, question: str) -> str:
        """Three steps, one after the other."""
        await ctx.run("plan", do_nothing)
        await ctx.run("model", do_nothing)
        return await ctx.run("answer", do_nothing)


class Busy(VirtualObject):
    """Sessions in the middle of a step that does not end."""

    @handler
    async def think(self, ctx: Context) -> str:
        """Make one step, then be in the next."""
        await ctx.run("plan", do_nothing)
        return await ctx.run("model", never_end)


async def never_end() -> str:
    """A model that never answers."""
    await asyncio.Event().wait()
    return "never"


class Link(VirtualObject):
    """A part of a chain: it calls the next object and keeps what that said."""

    seen: int = state(0)

    @handler
    async def pull(self, ctx: Context, below: int) -> int:
        """Call ``below`` more objects."""
        if below:
            self.seen = await ctx.object(Link, f"{ctx.key}.").pull(below - 1)
        return self.seen + 1


class Diary(VirtualObject):
    """A session whose history is a plain list."""

    history: list[dict[str, str]] = state(default_factory=list)

    @handler
    async def turn(self, ctx: Context, content: str) -> int:
        """Append one small dict."""
        self.history.append({"role": "user", "content": content})
        return len(self.history)


class Walk(VirtualObject):
    """One call of very many steps."""

    on_step: ClassVar[Callable[[int], None]]
    """Told the number of each when it has ended; set by whoever runs the object."""

    @handler
    async def walk(self, ctx: Context, steps: int) -> int:
        """Do so many steps, one after the other."""
        for number in range(steps):
            await ctx.run("step", do_nothing)
            Walk.on_step(number)
        return steps


class Recorded(VirtualObject):
    """Many steps, then waits that are answered from outside."""

    on_wait: ClassVar[Callable[[str, float], None]]
    """Told the id of each awakeable, and when; set by whoever runs the object."""

    @handler
    async def work(self, ctx: Context, steps: int, waits: int) -> int:
        """Do ``steps`` steps, then wait ``waits`` times."""
        for _ in range(steps):
            await ctx.run("step", do_nothing)
        for _ in range(waits):
            awakeable = ctx.awakeable(int)
            await ctx.run("wait", self.announce, awakeable.id)
            await awakeable
        return steps

    @staticmethod
    async def announce(awakeable_id: str) -> None:
        """Tell outside that everything before is replayed, and what to resolve next."""
        Recorded.on_wait(awakeable_id, time.perf_counter())


class Parked(VirtualObject):
    """Sessions that only wait."""

    @handler
    async def sleep(self, ctx: Context) -> None:
        """Wait for a time that does not come."""
        await asyncio.sleep(FAR_AWAY.total_seconds())

    @handler
    async def wait(self, ctx: Context) -> str:
        """Wait for somebody who does not come."""
        return await ctx.awakeable(str)
