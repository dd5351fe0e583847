"""The objects whose histories are recorded: a register, a counter, logs, a promise, a way round.

``holdfast serve`` runs this file. A log's append waits for a step and for time before it answers,
leaves memory whenever it waits, and so is often half done when the server is killed; the register's
and the counter's turns are one commit. At a desk every append interrupts the turn under way, and
whoever holds it waits for nothing else.
"""

import asyncio

from holdfast import (
    Context,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)

CHECK_SECONDS = 0.001
"""What a step takes; a test in which time stands sets it to nothing."""

STUBBORN_ROUNDS = 30
"""How long an action goes on that was told to end."""

HOLD_SECONDS = 1_000_000
"""Longer than any test, and than the time that a virtual one lets pass."""


class Register(VirtualObject):
    """Holds a number."""

    value: int = state(0)

    @handler
    async def write(self, ctx: Context, value: int) -> None:
        self.value = value

    @handler
    async def swap(self, ctx: Context, value: int) -> int:
        before, self.value = self.value, value
        return before

    @handler
    async def replace(self, ctx: Context, old: int, new: int) -> bool:
        if self.value != old:
            return False
        self.value = new
        return True

    @shared
    async def read(self, ctx: Context) -> int:
        return self.value


class Counter(VirtualObject):
    """Holds a sum."""

    total: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.total += amount
        return self.total

    @handler
    async def read_in_turn(self, ctx: Context) -> int:
        return self.total

    @shared
    async def read(self, ctx: Context) -> int:
        return self.total


class Log(VirtualObject, idle_ms_max=0):
    """Holds a list, in turns that take their time."""

    items: list[str] = state(default_factory=list)

    @handler
    async def append(self, ctx: Context, item: str) -> int:
        await ctx.run("check", check, item)
        self.items.append(item)
        await asyncio.sleep(0.002)
        return len(self.items)

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.items


class Desk(VirtualObject, idle_ms_max=0):
    """Holds a list, and turns that interrupt each other; an interrupted one changes nothing."""

    items: list[str] = state(default_factory=list)

    @handler
    async def append(self, ctx: Context, item: str) -> int:
        await ctx.run("work", work_alone, ctx.key)
        self.items.append(item)
        return len(self.items)

    @handler
    async def hold(self, ctx: Context) -> None:
        await asyncio.sleep(HOLD_SECONDS)

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.items


class Decision(Workflow):
    """Holds a promise, whose ``run`` nobody starts."""

    @handler
    async def run(self, ctx: Context) -> None:
        """Nothing."""

    @shared
    async def complete(self, ctx: Context, value: int) -> bool:
        try:
            await ctx.promise("value", int).resolve(value)
        except TerminalError:
            return False
        return True

    @shared
    async def wait(self, ctx: Context) -> int:
        return await ctx.promise("value", int)

    @shared
    async def read(self, ctx: Context) -> int | None:
        return await ctx.promise("value", int).peek()


class Detour(Service):
    """Does to a log or a counter what it is asked to, from a handler."""

    @handler
    async def append(self, ctx: Context, key: str, item: str) -> int:
        return await ctx.object(Log, key).append(item)

    @handler
    async def add(self, ctx: Context, key: str, amount: int) -> int:
        await ctx.run("check", check, key)
        return await ctx.object(Counter, key).add(amount)


AT_WORK: dict[str, object] = {}
"""By key of a desk: the action that is under way there. A test that starts again empties it."""


async def work_alone(key: str) -> None:
    """Ends only when it is done, also when it is told to end; no other may begin at the desk."""
    if key in AT_WORK:
        message = f"two are at work at {key}"
        raise TerminalError(message)
    me = AT_WORK[key] = object()
    is_told = False
    rounds = 3
    while rounds:
        rounds -= 1
        try:
            await asyncio.sleep(CHECK_SECONDS)
        except asyncio.CancelledError:
            is_told, rounds = True, STUBBORN_ROUNDS
    if AT_WORK.get(key) is me:
        del AT_WORK[key]
    if is_told:
        raise asyncio.CancelledError


async def check(text: str) -> bool:
    await asyncio.sleep(CHECK_SECONDS)
    return bool(text)
