"""Handlers that are cancelled, killed and paused, and the world outside that sees what they do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from holdfast import CanceledError, Context, RetryPolicy, VirtualObject, handler, shared, state
from holdfast.objects.identity import Target
from holdfast.runtime.requests import Answer, CallRequest

if TYPE_CHECKING:
    from .worlds import World


class Outer:
    """What happened outside, and what the test lets happen there."""

    lines: list[str]
    gates: dict[str, asyncio.Event]
    stubborn: asyncio.Event

    @classmethod
    def clear(cls) -> None:
        cls.lines = []
        cls.gates = {}
        cls.stubborn = asyncio.Event()

    @classmethod
    def gate(cls, name: str) -> asyncio.Event:
        return cls.gates.setdefault(name, asyncio.Event())


async def note(line: str) -> str:
    Outer.lines.append(line)
    return line


async def work(name: str) -> str:
    """An action that lasts until the test opens its gate."""
    Outer.lines.append(f"{name} began")
    try:
        await Outer.gate(name).wait()
    except asyncio.CancelledError:
        Outer.lines.append(f"{name} was cancelled")
        raise
    Outer.lines.append(f"{name} ended")
    return name


async def work_on(name: str) -> str:
    """An action that does not end when it is told to, but when the test says so."""
    Outer.lines.append(f"{name} began")
    try:
        await Outer.gate(name).wait()
    except asyncio.CancelledError:
        Outer.lines.append(f"{name} was told")
        try:
            await Outer.stubborn.wait()
        except asyncio.CancelledError:
            Outer.lines.append(f"{name} was cut off")
            raise
        Outer.lines.append(f"{name} ended")
    return name


async def fail(name: str) -> str:
    Outer.lines.append(f"{name} failed")
    raise OSError(name)


async def fail_when_opened(name: str) -> str:
    await Outer.gate(name).wait()
    raise OSError(name)


class Worker(VirtualObject):
    """Works, and cleans up in several ways."""

    log: list[str] = state(default_factory=list)

    @handler
    async def plain(self, ctx: Context, name: str) -> str:
        self.log.append("began")
        return await ctx.run("work", work, name)

    @handler
    async def stubborn(self, ctx: Context, name: str) -> str:
        return await ctx.run("work", work_on, name)

    @handler
    async def cleans(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.run("work", work, name)
        except asyncio.CancelledError as error:
            self.log.append(str(error))
            await ctx.run("clean", note, f"{name} cleaned")
            raise

    @handler
    async def cleans_long(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.run("work", work, name)
        except asyncio.CancelledError:
            for number in range(3):
                self.log.append(await ctx.run("clean", work, f"{name} clean {number}"))
            raise

    @handler
    async def swallows(self, ctx: Context, name: str) -> str:
        try:
            return await ctx.run("work", work, name)
        except asyncio.CancelledError:
            await ctx.run("clean", note, f"{name} cleaned")
            return "all the same"

    @handler
    async def naps(self, ctx: Context, seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        finally:
            self.log.append("woke")
        return "rested"

    @handler
    async def awaits(self, ctx: Context) -> str:
        promise = ctx.awakeable(str)
        self.log.append(promise.id)
        return await promise

    @handler
    async def shields(self, ctx: Context, name: str) -> str:
        async with ctx.shield():
            first = await ctx.run("first", work, f"{name} first")
            self.log.append(first)
            async with ctx.shield():
                self.log.append(await ctx.run("second", work, f"{name} second"))
        self.log.append("not reached when it was canceled meanwhile")
        return first

    @handler
    async def shields_in_a_task(self, ctx: Context, name: str) -> str:
        async def careful() -> None:
            async with ctx.shield():
                self.log.append(await ctx.run("careful", work, f"{name} careful"))

        async def careless() -> None:
            await ctx.run("careless", work, f"{name} careless")

        async with asyncio.TaskGroup() as group:
            group.create_task(careful())
            group.create_task(careless())
        return "both"

    @handler
    async def fails_in_a_shield(self, ctx: Context, name: str) -> None:
        async with ctx.shield():
            await ctx.run("work", work, name)
            message = "the section itself failed"
            raise ValueError(message)

    @handler
    async def leaves_a_task(self, ctx: Context, name: str) -> str:
        async def background() -> None:
            try:
                await ctx.sleep(1000)
            finally:
                for number in range(3):
                    await ctx.run(f"clean {number}", work, f"{name} clean {number}")

        task = asyncio.create_task(background())
        await ctx.run("work", note, name)
        assert not task.done()
        return "left"

    @handler
    async def gives_up(self, ctx: Context, name: str) -> None:
        ctx.run("work", work_on, name)
        await asyncio.sleep(0.1)
        raise OSError(name)

    @handler(retry=RetryPolicy(initial_interval=timedelta(seconds=60)))
    async def flaky(self, ctx: Context, name: str) -> str:
        Outer.lines.append(f"{name} tried")
        if not Outer.gate(name).is_set():
            raise OSError(name)
        try:
            await asyncio.sleep(10)
        finally:
            await ctx.run("clean", note, f"{name} cleaned")
        return "got through"

    @handler(retry=RetryPolicy(initial_interval=timedelta(seconds=60)))
    async def fails_late(self, ctx: Context, name: str) -> str:
        promise = ctx.awakeable(str)
        await ctx.run("tell", note, promise.id)
        await promise
        Outer.lines.append(f"{name} tried")
        if Outer.lines.count(f"{name} tried") == 1:
            raise OSError(name)
        await asyncio.sleep(10)
        return "rested"

    @handler
    async def pauses_late(self, ctx: Context, name: str) -> str:
        policy = RetryPolicy(max_attempts=1, on_max_attempts="pause")
        return await ctx.step(retry=policy).run("fail", fail_when_opened, name)

    @handler
    async def flaky_step(self, ctx: Context, name: str) -> str:
        policy = RetryPolicy(initial_interval=timedelta(seconds=60), max_attempts=2)
        if name == "pauses":
            policy = RetryPolicy(max_attempts=1, on_max_attempts="pause")
        step = ctx.step(retry=policy)
        try:
            await step.run("fail", fail, name)
        except asyncio.CancelledError:
            await ctx.run("clean", note, f"{name} cleaned")
            raise
        return "?"

    @handler
    async def holds(self, ctx: Context, name: str) -> str:
        step = ctx.step(on_unknown="pause")
        return await step.run("work", work, name)

    @handler
    async def touch(self, ctx: Context) -> str:
        self.log.append("touched")
        return "touched"

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return self.log


class Boss(VirtualObject):
    """Has others work."""

    log: list[str] = state(default_factory=list)

    @handler
    async def asks(self, ctx: Context, keys: list[str]) -> str:
        first, *rest = keys
        if rest:
            return await ctx.object(Boss, first).asks(rest)
        return await ctx.object(Worker, first).cleans(first)

    @handler
    async def asks_all(self, ctx: Context, keys: list[str]) -> str:
        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(self.ask(ctx, key))
        return "all"

    async def ask(self, ctx: Context, key: str) -> None:
        await ctx.object(Worker, key).cleans(key)

    @handler
    async def asks_one_after_the_other(self, ctx: Context, keys: list[str]) -> list[str]:
        calls = [ctx.object(Worker, key).plain(key) for key in keys]
        return [await call for call in calls]

    @handler
    async def asks_and_shields(self, ctx: Context, keys: list[str]) -> list[str]:
        calls = [asyncio.ensure_future(ctx.object(Worker, key).plain(key)) for key in keys]
        return await asyncio.shield(asyncio.gather(*calls))

    @handler
    async def asks_with_a_timeout(self, ctx: Context, key: str) -> str:
        try:
            async with asyncio.timeout(5):
                return await ctx.object(Worker, key).plain(key)
        except TimeoutError:
            return "too late"

    @handler
    async def leaves_a_task_that_calls(self, ctx: Context, key: str) -> str:
        task = asyncio.create_task(self.ask(ctx, key))
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await ctx.run("clean", note, "cleaned first")
            raise
        assert not task.done()
        return "left"

    @handler
    async def cleans_with_a_call(self, ctx: Context, key: str) -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(5):
                    await ctx.object(Worker, key).plain(key)
            except TimeoutError:
                self.log.append("gave up")
            raise
        return "slept"

    @handler
    async def asks_for_itself(self, ctx: Context) -> str:
        async with asyncio.timeout(1000):
            return await ctx.object(Boss, "between").asks([ctx.key, "w"])

    @handler
    async def sends(self, ctx: Context, key: str) -> str:
        await ctx.object(Worker, key).plain.send(key)
        await asyncio.sleep(1000)
        return "sent"

    @handler
    async def catches(self, ctx: Context, key: str) -> str:
        try:
            return await ctx.object(Worker, key).plain(key)
        except CanceledError as error:
            return f"{error.status_code} {error.message}"

    @handler
    async def sends_and_cancels(self, ctx: Context, key: str) -> None:
        ctx.cancel(await ctx.object(Worker, key).cleans.send(key), "at once")

    @handler
    async def stops(self, ctx: Context, invocation_id: str, reason: str) -> str:
        ctx.cancel(invocation_id, reason)
        await ctx.run("then", note, "then")
        return "stopped"

    @handler
    async def stops_itself(self, ctx: Context) -> str:
        ctx.cancel(ctx.invocation_id)
        self.log.append("asked")
        await asyncio.sleep(10)
        return "never"

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return self.log


CLASSES: list[type] = [Worker, Boss]


class Asked:
    """One call: its id, and the future of what becomes of it."""

    def __init__(self, id_: str, outcome: asyncio.Future[Answer]) -> None:
        self.id = id_
        self.outcome = outcome


async def ask(world: World, path: str, argument: Any = None, **options: Any) -> Asked:
    """Call ``Service/key/handler``, which has begun or stands in its mailbox then."""
    request = request_of(path, argument, **options)
    accepted = await world.runtime.submit(request, wait=False)
    return ask_again(world, request, accepted.invocation_id)


def ask_again(world: World, request: CallRequest, id_: str) -> Asked:
    """Wait for what was asked before, in the runtime that there is now."""
    outcome = world.runtime.submit(request, wait=True)
    outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
    return Asked(id_, outcome)


def request_of(path: str, argument: Any = None, *, delay_ms: int = 0) -> CallRequest:
    service, *key, handler_name = path.split("/")
    body = b"" if argument is None else repr(argument).replace("'", '"').encode()
    target = Target(service, "/".join(key) or None, handler_name)
    return CallRequest(
        target=target, argument=body, idempotency_key=path + str(argument), delay_ms=delay_ms
    )


async def outcome_of(asked: Asked) -> str:
    """What became of a call that is over: its JSON, or status and message of its failure."""
    answer = await asyncio.wait_for(asked.outcome, 0)
    if isinstance(answer.outcome, bytes):
        return answer.outcome.decode()
    assert answer.outcome is not None
    return f"{answer.outcome.status_code} {type(answer.outcome).__name__} {answer.outcome.message}"
