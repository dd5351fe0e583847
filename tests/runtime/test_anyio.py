"""anyio's task groups and cancel scopes in a handler: what they cancel they cancel in one order."""

import asyncio
import contextlib
import gc
import weakref

import anyio
import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler

from .worlds import World

ATTEMPTS: list[int] = []
CANCELED = asyncio.Event()
BOOKED: list[str] = []


async def clean_up(number: int) -> int:
    CANCELED.set()
    return number


async def book(what: str) -> str:
    BOOKED.append(what)
    return what


async def cancel(what: str) -> None:
    BOOKED.append(f"no {what}")


async def begin() -> None:
    """All are waiting."""


class Crew(VirtualObject):
    @handler
    async def work(self, ctx: Context) -> list[int]:
        """Eight tasks in scopes of their own, which are at other addresses in every attempt."""
        ATTEMPTS.append(1)
        scopes = sorted((anyio.CancelScope() for _ in range(8)), key=id)
        if len(ATTEMPTS) % 2:
            scopes.reverse()
        ended: list[int] = []

        async def wait(number: int) -> None:
            with scopes[number]:
                try:
                    await anyio.sleep(3600)
                finally:
                    with anyio.CancelScope(shield=True):
                        ended.append(await ctx.run(f"clean up {number}", clean_up, number))

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(wait, number)
            await ctx.run("begin", begin)
            group.cancel_scope.cancel()
        return ended

    @handler
    async def scopes(self, ctx: Context, count: int) -> int:
        """Each is cancelled just when what its task waits for has come."""
        scopes: list[anyio.CancelScope] = []
        come, never = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await come.wait()
                await never.wait()

        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(wait)
            await ctx.run("begin", begin)
            come.set()
            for scope in scopes:
                scope.cancel()
        return sum(scope.cancelled_caught for scope in scopes)

    @handler
    async def falls_again_and_again(self, ctx: Context) -> int:
        """How many groups that have fallen are still known."""

        async def fail() -> None:
            message = "no"
            raise OSError(message)

        fallen: list[weakref.ref[object]] = []
        for _ in range(500):
            group = anyio.create_task_group()
            fallen.append(weakref.ref(group.cancel_scope))
            with contextlib.suppress(BaseExceptionGroup):
                async with group:
                    group.start_soon(fail)
            del group
        await ctx.run("begin", begin)
        gc.collect()
        return sum(each() is not None for each in fallen)


class Trip(VirtualObject):
    @handler
    async def in_a_group(self, ctx: Context) -> str:
        """One attempt fails beside a saga that waits."""

        async def plan() -> None:
            async with ctx.saga() as saga:
                saga.add("no room", cancel, "room")
                await ctx.run("room", book, "room")
                await ctx.sleep(10)

        async def look_up() -> None:
            await ctx.sleep(5)
            if not ATTEMPTS:
                ATTEMPTS.append(1)
                message = "for now"
                raise ConnectionError(message)

        async with anyio.create_task_group() as group:
            group.start_soon(plan)
            group.start_soon(look_up)
        return "planned"

    @handler
    async def in_time(self, ctx: Context) -> str:
        with anyio.move_on_after(5) as scope:
            async with ctx.saga() as saga:
                for what in ("flight", "room"):
                    saga.add(f"no {what}", cancel, what)
                    await ctx.run(what, book, what)
                await ctx.sleep(3600)
        return "too late" if scope.cancelled_caught else "in time"

    @handler
    async def limit_within(self, ctx: Context) -> str:
        try:
            async with ctx.saga() as saga:
                saga.add("no room", cancel, "room")
                await ctx.run("room", book, "room")
                with anyio.fail_after(5):
                    await ctx.sleep(3600)
        except TimeoutError:
            return "too late"
        return "in time"

    @handler
    async def group_of_asyncio_in_time(self, ctx: Context) -> str:
        async def wait() -> None:
            try:
                await ctx.sleep(3600)
            finally:
                await ctx.run("clean up", cancel, "wait")
                await ctx.sleep(1)

        with anyio.move_on_after(5) as scope:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
        return "too late" if scope.cancelled_caught else "in time"


@pytest.mark.parametrize("how", ["replayed at every wait", "crashed"])
async def test_a_replay_cancels_scopes_within_a_scope_in_the_same_order(how: str) -> None:
    ATTEMPTS.clear()
    CANCELED.clear()
    world = World([Crew], RuntimeConfig(always_replay=how != "crashed"))
    runtime = await world.start()
    id_ = await runtime.object(Crew, "a").work.send()
    if how == "crashed":
        await CANCELED.wait()
        runtime = await world.restart()

    async with asyncio.timeout(10):  # One that left its journal is paused, and would never end.
        ended = await runtime.invocation(id_, Crew.work).attach()
    assert sorted(ended) == list(range(8))
    assert len(ATTEMPTS) > 1
    world.close()


@pytest.mark.parametrize("count", [1, 150, 11_000])
async def test_each_of_many_scopes_is_cancelled(count: int) -> None:
    world = World([Crew])
    runtime = await world.start()

    async with asyncio.timeout(60):
        assert await runtime.object(Crew, "a").scopes(count) == count
    world.close()


async def test_a_group_that_fell_is_forgotten_with_its_scope() -> None:
    world = World([Crew])
    runtime = await world.start()

    assert await runtime.object(Crew, "a").falls_again_and_again() < 50
    world.close()


@pytest.mark.parametrize("is_crashed", [True, False])
@pytest.mark.parametrize(
    ("name", "result", "booked"),
    [
        ("in_a_group", "planned", ["room"]),
        ("in_time", "too late", ["flight", "room", "no room", "no flight"]),
        ("limit_within", "too late", ["room", "no room"]),
        ("group_of_asyncio_in_time", "too late", ["no wait"]),
    ],
)
async def test_a_saga_and_clean_up_come_to_their_end_in_what_anyio_cancels(
    name: str, result: str, booked: list[str], *, is_crashed: bool
) -> None:
    ATTEMPTS.clear()
    BOOKED.clear()
    world = World([Trip], RuntimeConfig(always_replay=is_crashed, spin_callbacks_max=10_000))
    runtime = await world.start()
    id_ = await runtime.send_by_name("Trip", "a", name)
    for _ in range(30):
        await world.clock.advance(1)
        if is_crashed:
            runtime = await world.restart()

    async with asyncio.timeout(10):
        assert await runtime.invocation(id_).attach() == result
    assert list(dict.fromkeys(BOOKED)) == booked
    world.close()
