"""A trip that books three things and takes back what it must, in every way that it can fail."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from holdfast import (
    Context,
    RetryPolicy,
    Saga,
    Service,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
    step_info,
)
from holdfast.testing import Effects

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EFFECTS = Effects()
SECOND = timedelta(seconds=1)
LAST = RetryPolicy(max_attempts=1, on_max_attempts="fail")
TWICE = RetryPolicy(max_attempts=2, initial_interval=SECOND, factor=1, on_max_attempts="fail")
QUICK = RetryPolicy(max_attempts=2, initial_interval=SECOND)


class Outside:
    """What fails how often, and what lets things go on."""

    fails: ClassVar[dict[str, int]] = {}
    """By name: how often it still fails."""
    sleep: ClassVar[Callable[[float], Awaitable[None]]]
    released: ClassVar[threading.Event]
    seen: ClassVar[list[Any]] = []

    @classmethod
    def reset(cls) -> None:
        cls.fails, cls.seen, cls.released = {}, [], threading.Event()

    @classmethod
    def may_fail(cls, name: str) -> None:
        if cls.fails.get(name, 0) > 0:
            cls.fails[name] -= 1
            message = f"{name} is down"
            raise ConnectionError(message)


async def book(what: str) -> str:
    Outside.may_fail(f"book {what}")
    EFFECTS.add("book", what)
    return what


async def cancel(what: str) -> None:
    Outside.may_fail(f"cancel {what}")
    EFFECTS.add("cancel", what)


async def refuse(what: str) -> None:
    message = f"no {what}"
    raise TerminalError(message, status_code=410, metadata={"what": what})


async def book_slowly(what: str) -> None:
    """Book although it was told not to."""
    try:
        await Outside.sleep(3600)
    except asyncio.CancelledError:
        await Outside.sleep(5)
        EFFECTS.add("book", what)
        raise


def book_in_thread(what: str) -> None:
    while not Outside.released.wait(0.001):
        pass
    EFFECTS.add("book", what)


async def hang() -> None:
    await Outside.sleep(3600)


class Room(VirtualObject):
    booked: bool = state(default=False)

    @handler
    async def book(self, ctx: Context, fails: int = 0) -> None:
        self.booked = True

    @handler(retry=TWICE)
    async def release(self, ctx: Context, why: str) -> None:
        Outside.may_fail("release room")
        self.booked = False
        await ctx.run("mark", EFFECTS.add, "release", why)

    @shared
    async def is_booked(self, ctx: Context) -> bool:
        return self.booked


class Trip(VirtualObject):
    log: list[str] = state(default_factory=list)
    odd: Any = state(None)

    async def _book(self, ctx: Context, saga: Saga, *names: str) -> None:
        for name in names:
            saga.step(retry=QUICK).add(f"cancel {name}", cancel, name)
            self.log.append(await ctx.run(f"book {name}", book, name))

    @handler
    async def books(self, ctx: Context) -> str:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight", "hotel")
        return "booked"

    @handler
    async def refused(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight", "hotel")
            saga.add("cancel car", cancel, "car")
            await ctx.run("book car", refuse, "car")

    @handler
    async def unanswered(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight", "hotel")
            await ctx.awakeable(str, timeout=SECOND)

    @handler
    async def unanswered_beside(self, ctx: Context) -> None:
        """What expires brings down a task group, and with it the saga beside."""

        async def wait() -> None:
            await ctx.awakeable(str, timeout=SECOND)

        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight", "hotel")
                await ctx.sleep(3600)

    @handler
    async def caught(self, ctx: Context) -> list[str]:
        saga = ctx.saga()
        try:
            async with saga:
                await self._book(ctx, saga, "flight", "hotel")
                await ctx.run("book car", refuse, "car")
        except TerminalError as error:
            self.log.append(error.message)
        self.log += [f"{each.name}: {each.reason}" for each in saga.not_compensated]
        return self.log

    @handler
    async def unknown(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            saga.add("cancel flight", cancel, "flight")
            await ctx.step(timeout=SECOND, on_unknown="fail").run("book flight", hang)

    @handler
    async def timed_out(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(10), ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                await asyncio.sleep(3600)
        except TimeoutError:
            return "timed out"
        return "?"

    @handler
    async def waits(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight", "hotel")
            await ctx.awakeable(str)

    @handler(retry=TWICE)
    async def flaky(self, ctx: Context) -> str:
        """Fail outside of any step, for as long as that is wanted."""
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight", "hotel")
            Outside.may_fail("handler")
        return "booked"

    @handler(retry=TWICE)
    async def swallows(self, ctx: Context) -> str:
        """Try to catch what is no outcome, outside of the block."""
        try:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                Outside.may_fail("handler")
        except ConnectionError:
            Outside.seen.append("caught")
            await ctx.run("after", EFFECTS.add, "after")
        return "went on"

    @handler(retry=TWICE)
    async def goes_on(self, ctx: Context, how: str) -> str:
        """Fail, and in the attempt after that do something else than fail."""
        async with ctx.saga() as saga:
            async with ctx.saga() as inner:
                await self._book(ctx, inner, "room")
            await self._book(ctx, saga, "flight", "hotel")
            saga.add("cancel late", cancel, "late")
            late = ctx.run("book late", book, "late")
            Outside.may_fail("handler")
            Outside.seen.append("went on")
            match how:
                case "asks":
                    await ctx.run("more", EFFECTS.add, "more")
                case "waits":
                    await asyncio.sleep(5)
                case "spins":
                    while True:  # noqa: ASYNC110  # that it spins is the point
                        await asyncio.sleep(0)
                case "sets":
                    self.log.append("more")
                    ctx.set("more", [len(self.log), ctx.keys(), str(ctx.uuid4())])
                    ctx.awakeable(str)
                    await ctx.object(Room, "1").book.send()
                case _:
                    pass
            await late
        return "ended"

    @handler(retry=RetryPolicy(stop_on=(ConnectionError,)))
    async def picky(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight")
            Outside.may_fail("handler")

    @handler(retry=RetryPolicy(max_attempts=2, initial_interval=SECOND))
    async def held(self, ctx: Context) -> str:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight")
            Outside.may_fail("handler")
        return "booked"

    @handler(retry=TWICE)
    async def fails_earlier(self, ctx: Context) -> None:
        Outside.may_fail("start")
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight", "hotel")
            await ctx.awakeable(str)

    @handler
    async def stubborn(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(10), ctx.saga() as saga:
                saga.add("cancel flight", cancel, "flight")
                await ctx.run("book flight", book_slowly, "flight")
        except TimeoutError:
            return "timed out"
        return "?"

    @handler
    async def expires(self, ctx: Context) -> str:
        """A time limit inside of the block, and nobody catches it before its end."""
        try:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                async with asyncio.timeout(10):
                    await ctx.awakeable(str)
        except TimeoutError:
            return "not approved"
        return "?"

    @handler
    async def threaded(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(1), ctx.saga() as saga:
                saga.add("cancel flight", cancel, "flight")
                await ctx.run("book flight", book_in_thread, "flight")
        except TimeoutError:
            return "timed out"
        return "?"

    @handler
    async def calls(self, ctx: Context) -> None:
        """The booking is cancelled in the middle, and a call takes it back."""
        room = ctx.object(Room, "12")
        async with asyncio.timeout(10), ctx.saga() as saga:
            saga.add("release room", room.release, ctx.key)
            await room.book()
            await ctx.run("book flight", book_slowly, "flight")

    @handler
    async def nested(self, ctx: Context) -> None:
        async with ctx.saga() as outer:
            await self._book(ctx, outer, "flight")
            async with ctx.saga() as stands:
                await self._book(ctx, stands, "museum")
            async with ctx.saga() as inner:
                await self._book(ctx, inner, "hotel", "breakfast")
                await ctx.run("book car", refuse, "car")

    @handler
    async def group(self, ctx: Context) -> None:
        async def lane(*names: str) -> None:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, *names)
                if "car" in names:
                    await ctx.run("refuse", refuse, "car")
                await asyncio.sleep(3600)

        async with asyncio.TaskGroup() as group:
            group.create_task(lane("flight", "hotel"))
            group.create_task(lane("boat", "tent", "car"))

    @handler(retry=QUICK)
    async def brought_down(self, ctx: Context, place: str = "task") -> str:
        """A group is brought down by what need not come again."""
        return await self._bring_down(ctx, place)

    @handler(retry=LAST)
    async def brought_down_for_good(self, ctx: Context) -> str:
        """The same, and nobody tries again."""
        return await self._bring_down(ctx, "further down")

    async def _bring_down(self, ctx: Context, place: str) -> str:

        async def lane() -> None:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                await asyncio.sleep(5)
                await self._book(ctx, saga, "hotel")

        async def fail_perhaps() -> None:
            await asyncio.sleep(2)
            Outside.may_fail("handler")

        async def gather() -> None:
            await asyncio.gather(lane())

        async def in_a_group() -> None:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(lane())

        async with asyncio.TaskGroup() as group:
            group.create_task(fail_perhaps())
            match place:
                case "task":
                    group.create_task(lane())
                case "further down":
                    group.create_task(gather())
                case "group":
                    group.create_task(in_a_group())
                case _:
                    await lane()
        return "booked"

    @handler(retry=LAST)
    async def two_ways(self, ctx: Context) -> None:
        """One block is being compensated while the handler fails for good in another."""

        async def lane() -> None:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                saga.add("slowly", take_time)
                await ctx.run("refuse", refuse, "car")

        task = asyncio.create_task(lane())
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "hotel")
            await asyncio.sleep(3)
            assert not task.done()
            Outside.may_fail("handler")

    @handler
    async def background(self, ctx: Context) -> str:
        async def lane() -> None:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    Outside.may_fail("background")
                    raise

        task = asyncio.create_task(lane())
        await asyncio.sleep(1)
        assert not task.done()
        return "main has ended"

    @handler
    async def stuck(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight")
            await asyncio.Event().wait()

    @handler
    async def unstorable(self, ctx: Context) -> None:
        async with ctx.saga() as saga:
            await self._book(ctx, saga, "flight")
            self.odd = object()
            await ctx.run("book car", book, "car")

    @handler
    async def mends(self, ctx: Context) -> str:
        try:
            async with ctx.saga() as saga:
                await self._book(ctx, saga, "flight")
                self.odd = object()
                await ctx.run("book car", book, "car")
        except TerminalError:
            self.odd = "mended"
        await ctx.run("after", EFFECTS.add, "after")
        return str(self.odd)

    @handler
    async def interrupted(self, ctx: Context) -> list[str]:
        """A timeout, and a cancellation, come while a failed block is compensated."""
        try:
            async with asyncio.timeout(5):
                try:
                    async with ctx.saga() as saga:
                        saga.add("slowly", take_time)
                        await ctx.run("refuse", refuse, "car")
                except TerminalError as error:
                    self.log.append(error.message)
                    await asyncio.sleep(1)
                    self.log.append("never")
        except TimeoutError:
            self.log.append("timed out")
        return self.log

    @handler
    async def overtaken(self, ctx: Context) -> list[str]:
        """A timeout comes while the last thing in its block is compensated."""
        try:
            async with asyncio.timeout(5):
                async with ctx.saga() as saga:
                    saga.add("slowly", take_time)
                    await ctx.run("refuse", refuse, "car")
        except TerminalError as error:
            self.log.append(error.message)
        await asyncio.sleep(1)
        self.log.append("went on")
        return self.log

    @handler
    async def overtaken_at_the_end(self, ctx: Context) -> list[str]:
        """The same, and nothing is awaited any more."""
        with suppress(TerminalError):
            async with asyncio.timeout(5):
                async with ctx.saga() as saga:
                    saga.add("slowly", take_time)
                    await ctx.run("refuse", refuse, "car")
        return ["walked"]

    @handler
    async def overtaken_twice(self, ctx: Context) -> list[str]:
        """Two timeouts come, and the outer block goes on."""
        try:
            async with asyncio.timeout(6):
                with suppress(TerminalError):
                    async with asyncio.timeout(5):
                        async with ctx.saga() as saga:
                            saga.add("slowly", take_time)
                            await ctx.run("refuse", refuse, "car")
                self.log.append("waits")
                await asyncio.sleep(1)
                self.log.append("never")
        except TimeoutError:
            self.log.append("timed out")
        return self.log

    @handler
    async def overtaken_in_clean_up(self, ctx: Context) -> list[str]:
        """The first of them, in a handler that was told to end before."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.log.append("told")
        with suppress(TerminalError):
            async with asyncio.timeout(5):
                async with ctx.saga() as saga:
                    saga.add("slowly", take_time)
                    await ctx.run("refuse", refuse, "car")
        await asyncio.sleep(1)
        self.log.append("went on")
        return self.log

    @handler
    async def tells(self, ctx: Context) -> Any:
        try:
            await ctx.service(Agency).sells(ctx.key)
        except TerminalError as error:
            return [error.status_code, error.message, error.metadata]

    @shared
    async def shares(self, ctx: Context) -> int:
        async with ctx.saga() as saga:
            saga.add("cancel", cancel, "shared")
            await ctx.run("refuse", refuse, "shared")
        return 0

    @handler
    async def misuses(self, ctx: Context, how: str) -> None:  # noqa: C901  # a table
        saga: Any = ctx.saga()
        if how == "before":
            saga.add("cancel", cancel, "x")
        async with saga:
            match how:
                case "name":
                    saga.add(cancel, "x")
                case "function":
                    saga.add("cancel", cancel("x"))
                case "option":
                    saga.add("cancel", cancel, "x", retry=QUICK)
                case "bad option":
                    saga.step(timeout=0)
                case "self":
                    saga.add("cancel", self.books)
                case "argument":
                    saga.add("cancel", ctx.object(Room, "1").release, 5)
                case "inside":
                    await ctx.run("inside", saga.add, "cancel", cancel, "x")
                case "twice":
                    async with saga:
                        pass
                case _:
                    pass
        if how == "after":
            saga.add("cancel", cancel, "x")
        if how == "again":
            async with saga:
                pass


class Agency(Service):
    @handler
    async def sells(self, ctx: Context, key: str) -> None:
        await ctx.object(Trip, f"{key}+").refused()


async def take_time() -> None:
    EFFECTS.add("slowly", step_info().attempt)
    await Outside.sleep(10)
    EFFECTS.add("slowly done", step_info().idempotency_key[-2:])


CLASSES: list[type] = [Trip, Room, Agency]
