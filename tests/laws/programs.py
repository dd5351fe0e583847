"""A small language of handlers, its interpreter, and what the interpreter saw.

    program   := [statement...]
    statement := ["step", ms, fails]           a step of that duration; it may end terminally
               | ["flaky", times]              a step that raises that often first
               | ["sleep", ms]
               | ["spawn", program]            a task, put in the list of all tasks
               | ["await", n] | ["cancel", n]  ... of the n-th of them
               | ["gather", [program...], returns_exceptions]
               | ["group", [program...]]       a TaskGroup
               | ["race", [program...]]        wait for the first, cancel the others
               | ["completed", [program...]]   as_completed
               | ["timeout", ms, program]
               | ["shield", program]           a shielded task under a short timeout
               | ["section", program]          one that a cancellation does not reach into
               | ["try", program, program]     the second as its finally
               | ["fork", ms...]               steps side by side, awaited last first
               | ["put", n] | ["get", ms]      a queue of all tasks, with a timeout
               | ["set"] | ["wait", ms]        an event of all tasks, with a timeout
               | ["lock", program]             a lock of all tasks
               | ["append", n] | ["fact", n] | ["total", n] | ["cut", n] | ["named", n]   state
               | ["call", n] | ["send", ms] | ["promise", ms]
               | ["shout", n] | ["hear", ms]   signals of the program to itself, with a timeout
               | ["raise"]                     a terminal error

Everything the handler sees is written to a trace, with the number of deliveries so far: values,
exceptions, the order of everything, the time, the state and random numbers. A trace belongs to one
attempt; what two attempts of one invocation saw before the same delivery must be the same.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from holdfast import (
    Context,
    RetryPolicy,
    TerminalError,
    VirtualObject,
    handler,
    state,
    step_info,
)

from .corpus import Tally
from .stage import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Coroutine

Statement = list[Any]
Event = tuple[int, str, str]
"""Deliveries before, which statement, what it saw."""


class Traces:
    """What each attempt of each invocation saw, in the order of the attempts."""

    def __init__(self) -> None:
        self.attempts: dict[str, list[list[Event]]] = defaultdict(list)


TRACES = Traces()


async def act_for(label: str, ms: int, fails: bool) -> str:  # noqa: FBT001  # an argument
    if ms:
        await OUTSIDE.pause(ms)
    if fails:
        message = f"{label} failed"
        raise TerminalError(message, status_code=418)
    return label


async def fail_first(times: int) -> int:
    if OUTSIDE.count(step_info().idempotency_key) <= times:
        message = "not yet"
        raise OSError(message)
    return times


async def keep_later(awakeable_id: str, ms: int) -> None:
    """Ask the world outside to keep a promise after a while; it does so in its own time."""
    OUTSIDE.promises[awakeable_id] = str(OUTSIDE.clock.now_ms() + ms)


class Programmed(VirtualObject):
    """Runs programs."""

    lines: list[str] = state(default_factory=list)
    facts: dict[str, list[int]] = state(default_factory=dict)
    total: int = state(0)

    @handler(retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=10)))
    async def run(self, ctx: Context, program: list[Any]) -> list[Any]:
        trace: list[Event] = []
        TRACES.attempts[ctx.invocation_id].append(trace)
        machine = Machine(self, ctx, trace)
        try:
            await machine.run("", program)
        finally:
            machine.see("", "ended")
        return [self.lines[-3:], len(self.lines), self.total, ctx.random.random()]


class Machine:
    """One attempt to run one program."""

    def __init__(self, me: Programmed, ctx: Context, trace: list[Event]) -> None:
        self.me = me
        self.ctx = ctx
        self.trace = trace
        self.tasks: list[asyncio.Task[Any]] = []
        self.queue: asyncio.Queue[int] = asyncio.Queue(2)
        self.event = asyncio.Event()
        self.lock = asyncio.Lock()
        # Only the attempt's journal counts deliveries.
        self.commands: Any = getattr(getattr(ctx, "_syscalls"), "_commands")  # noqa: B009  # private

    def see(self, path: str, what: Any) -> None:
        if not self.commands.is_over:
            # As text: a live value goes on changing after it was seen.
            said = json.dumps(what)
            self.trace.append((self.commands.cursor.deliveries, path, said))

    async def run(self, path: str, program: list[Statement]) -> str:
        for number, statement in enumerate(program):
            if self.commands.is_over:
                return path  # This is clean-up of a dropped attempt; nothing it awaits would come.
            where = f"{path}/{number}"
            kind = str(statement[0])
            try:
                got = await getattr(self, f"do_{kind}")(where, *statement[1:])
            except (Exception, asyncio.CancelledError) as error:
                self.see(where, [kind, describe(error)])
                if isinstance(error, asyncio.CancelledError) or kind == "raise":
                    raise
            else:
                self.see(where, [kind, got, self.ctx.time(), self.ctx.random.random()])
        return path

    def runs(self, path: str, programs: list[list[Statement]]) -> list[Coroutine[Any, Any, str]]:
        return [self.run(f"{path}.{n}", program) for n, program in enumerate(programs)]

    async def do_step(self, path: str, ms: int, fails: bool) -> Any:  # noqa: FBT001
        return await self.ctx.run("step", act_for, path, ms, fails)

    async def do_flaky(self, path: str, times: int) -> Any:
        policy = RetryPolicy(max_attempts=2, initial_interval=timedelta(milliseconds=15))
        return await self.ctx.step(retry=policy).run("flaky", fail_first, times)

    async def do_sleep(self, path: str, ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    async def do_spawn(self, path: str, program: list[Statement]) -> str:
        task = asyncio.create_task(self.run(path, program))
        self.tasks.append(task)
        return task.get_name()

    async def do_await(self, path: str, number: int) -> Any:
        if not self.tasks:
            return "none"
        task = self.tasks[number % len(self.tasks)]
        if task is asyncio.current_task():
            return "oneself"
        return await asyncio.wait_for(asyncio.shield(task), 0.5)

    async def do_cancel(self, path: str, number: int) -> Any:
        if not self.tasks:
            return "none"
        return self.tasks[number % len(self.tasks)].cancel("by the program")

    async def do_gather(
        self,
        path: str,
        programs: list[list[Statement]],
        returns: bool,  # noqa: FBT001
    ) -> Any:
        results = await asyncio.gather(*self.runs(path, programs), return_exceptions=returns)
        return [describe(result) for result in results]

    async def do_group(self, path: str, programs: list[list[Statement]]) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run) for run in self.runs(path, programs)]
        return [task.result() for task in tasks]

    async def do_race(self, path: str, programs: list[list[Statement]]) -> Any:
        tasks = [asyncio.create_task(run) for run in self.runs(path, programs)]
        try:
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        # In the order of the sets: it is one that a replay has to keep.
        return [[task.get_name() for task in done], [task.get_name() for task in pending]]

    async def do_completed(self, path: str, programs: list[list[Statement]]) -> Any:
        found: list[str] = []
        for next_one in asyncio.as_completed(self.runs(path, programs)):
            found.append(await next_one)
            self.see(path, found[-1])
        return found

    async def do_timeout(self, path: str, ms: int, program: list[Statement]) -> str:
        async with asyncio.timeout(ms / 1000) as scope:
            await self.run(path, program)
        return str(scope.expired())

    async def do_shield(self, path: str, program: list[Statement]) -> str:
        task = asyncio.ensure_future(self.run(path, program))
        return await asyncio.wait_for(asyncio.shield(task), 0.02)

    async def do_section(self, path: str, program: list[Statement]) -> str:
        async with self.ctx.shield():
            return await self.run(path, program)

    async def do_try(self, path: str, program: list[Statement], last: list[Statement]) -> None:
        try:
            await self.run(f"{path}t", program)
        finally:
            await self.run(f"{path}f", last)

    async def do_fork(self, path: str, *durations: int) -> Any:
        steps = [
            self.ctx.run(f"fork {n}", act_for, f"{path}.{n}", ms, False)  # noqa: FBT003
            for n, ms in enumerate(durations)
        ]
        return [await step for step in reversed(steps)]

    async def do_put(self, path: str, number: int) -> bool:
        if not self.queue.full():
            self.queue.put_nowait(number)
            return True
        return False

    async def do_get(self, path: str, ms: int) -> int:
        async with asyncio.timeout(ms / 1000):
            return await self.queue.get()

    async def do_set(self, path: str) -> None:
        self.event.set()

    async def do_wait(self, path: str, ms: int) -> bool:
        return await asyncio.wait_for(self.event.wait(), ms / 1000)

    async def do_lock(self, path: str, program: list[Statement]) -> None:
        # With a timeout, because whoever holds it may be the one who waits for this program.
        await asyncio.wait_for(self.lock.acquire(), 0.03)
        try:
            await self.run(path, program)
        finally:
            self.lock.release()

    async def do_append(self, path: str, number: int) -> int:
        self.me.lines.extend(f"{path} {n} {'x' * 30}" for n in range(number))
        return len(self.me.lines)

    async def do_cut(self, path: str, number: int) -> list[str]:
        lines = self.me.lines
        del lines[number % 50 : len(lines) // 2]
        if lines:
            lines[number % len(lines)] = path
        return lines[:1] + lines[-1:]

    async def do_fact(self, path: str, number: int) -> list[int]:
        fact = self.me.facts.setdefault(f"fact {number % 7}", [])
        fact.append(number)
        if number % 3 == 0:
            self.me.facts.pop(f"fact {number % 5}", None)
        return fact

    async def do_total(self, path: str, number: int) -> int:
        self.me.total = number
        return self.me.total

    async def do_named(self, path: str, number: int) -> Any:
        if number % 2:
            self.ctx.clear("named")
        else:
            self.ctx.set("named", {"n": number})
        return [self.ctx.keys(), self.ctx.get("named"), self.ctx.get("never", default=[number])]

    async def do_call(self, path: str, number: int) -> int:
        return await self.ctx.object(Tally, f"t{number}").add("called")

    async def do_send(self, path: str, ms: int) -> None:
        delay = timedelta(milliseconds=ms)
        await self.ctx.object(Tally, "sent").add.send("sent", delay=delay)

    async def do_promise(self, path: str, ms: int) -> str:
        promise = self.ctx.awakeable(str)
        await self.ctx.run("tell", keep_later, promise.id, ms)
        return await promise

    async def do_shout(self, path: str, number: int) -> None:
        self.ctx.send_signal(self.ctx.invocation_id, f"s{number % 2}", [path, number])

    async def do_hear(self, path: str, ms: int) -> Any:
        async with asyncio.timeout(ms / 1000):
            return await self.ctx.signal(f"s{ms % 2}")

    async def do_raise(self, path: str) -> None:
        message = f"raised at {path}"
        raise TerminalError(message)


def describe(value: Any) -> Any:
    """A value as it is, an exception as what a handler can see of it."""
    if isinstance(value, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", value)
        return [type(group).__name__, [describe(error) for error in group.exceptions]]
    if isinstance(value, BaseException):
        return [type(value).__name__, [str(argument) for argument in value.args]]
    return value


PROGRAM_CLASSES: list[type] = [Programmed, Tally]
