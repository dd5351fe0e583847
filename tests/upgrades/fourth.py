"""What came before errors went first: tasks that are ready at once, and sets of whole numbers.

As ``first``: it may use nothing that the first release with all of this lacks, and must stay as it
is.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from holdfast import Context, VirtualObject, handler

from .outside import act

if TYPE_CHECKING:
    from holdfast import ManualClock, Runtime

HOUR = timedelta(hours=1)


class Crew(VirtualObject):
    """Handlers whose tasks may go on in more than one order."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @handler
    async def caught(self, ctx: Context) -> list[str]:
        """What failed is caught while others are ready; all steps look alike."""
        failing = asyncio.create_task(self._fail())
        working = asyncio.create_task(self._work(ctx))
        await ctx.run("act", act, "crew start")
        self._event.set()
        mended = ""
        try:
            await failing
        except OSError:
            mended = await ctx.run("act", act, "crew mend")
        worked = await working
        await ctx.sleep(HOUR)
        return [mended, worked]

    @handler
    async def grouped(self, ctx: Context) -> list[str]:
        """The same around a task group."""
        working = asyncio.create_task(self._work(ctx))
        await ctx.run("act", act, "crew start")
        self._event.set()
        mended = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fail())
        except* OSError:
            mended = await ctx.run("act", act, "crew mend")
        await ctx.sleep(HOUR)
        return [mended, await working]

    async def _fail(self) -> NoReturn:
        await self._event.wait()
        message = "always"
        raise OSError(message)

    async def _work(self, ctx: Context) -> str:
        await self._event.wait()
        return await ctx.run("act", act, "crew work")

    @handler
    async def numbers(self, ctx: Context) -> float:
        """Sets that are not walked in the order of their numbers."""
        await ctx.object(Crew, "told").sum.send({8, 0})
        # Not as a display: of three constants it is walked in another order once it is bytecode.
        three = set([1e3, 8, 0])  # noqa: C405
        told = await ctx.object(Crew, "told").sum([{24, 16}, three])
        await ctx.sleep(HOUR)
        return told + await ctx.object(Crew, "told").sum({0, 8})

    @handler
    async def sum(self, ctx: Context, numbers: Any) -> float:
        del ctx
        total = 0.0
        for each in numbers:
            total += sum(each) if isinstance(each, list) else each  # pyright: ignore[reportUnknownArgumentType]
        return total


CLASSES: list[type] = [Crew]

STORIES: dict[str, tuple[Any, ...]] = {
    "caught": ("Crew", "caught", "caught", None),
    "grouped": ("Crew", "grouped", "grouped", None),
    "numbers": ("Crew", "numbers", "numbers", None),
}

EXPECTED: dict[str, Any] = {
    "caught": ["crew mend", "crew work"],
    "grouped": ["crew mend", "crew work"],
    "numbers": 1056,
}
STATUSES: dict[str, int] = {}

UNCHECKED = frozenset[str]()
"""Stories that come to what differs each time."""

READ: dict[str, tuple[tuple[Any, ...], Any]] = {}

RUN_AGAIN: frozenset[str] = frozenset()


async def begin(runtime: Runtime, clock: ManualClock, seen: dict[str, Any]) -> None:
    """What is done to invocations before the process dies: nothing."""
    del runtime, clock, seen


async def answer(runtime: Any, seen: dict[str, Any]) -> None:
    """What those outside do afterwards: nothing."""
    del runtime, seen
