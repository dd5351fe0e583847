"""The objects that are killed: every kind of work a handler can do, each reporting to the ledger.

``holdfast serve`` runs this file. Every exclusive handler writes its token into the history of its
object before it does anything else, so the history is the order of turns; every action reports its
beginning and its end, and names the steps that must have ended for good before it. Objects that
wait for others leave memory whenever they can.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from holdfast import (
    CanceledError,
    Context,
    Service,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
    step_info,
)
from tests.crash.ledger import LEDGER_VARIABLE, Began, Finished, Ledger

LEDGER = Ledger(Path(os.environ[LEDGER_VARIABLE]))


class _Recorded(VirtualObject):
    """Remembers who had a turn, in order."""

    history: list[str] = state(default_factory=list)

    @shared
    async def dump(self, ctx: Context) -> list[str]:
        return self.history

    def beginning(self, ctx: Context, *after: str, not_before_ms: int = 0) -> "Beginning":
        """For a step that is asked for when the steps ``after`` have ended for good."""
        return Beginning(f"{type(self).__name__}/{ctx.key}", after, not_before_ms)


class Counter(_Recorded):
    """No steps: one commit per call."""

    total: int = state(0)

    @handler
    async def add(self, ctx: Context, token: str, amount: int) -> dict[str, int]:
        self.total += amount
        self.history.append(token)
        return {"count": len(self.history), "total": self.total}

    @shared
    async def read(self, ctx: Context) -> dict[str, int]:
        return {"count": len(self.history), "total": self.total}


class Agent(_Recorded):
    """A turn with steps, async ones and one in a thread."""

    said: list[str] = state(default_factory=list)

    @handler
    async def turn(self, ctx: Context, token: str) -> list[str]:
        self.history.append(token)
        first = await ctx.run("plan", act, self.beginning(ctx), f"{token} plan")
        self.said.append(first)
        second = await ctx.run("act", act, self.beginning(ctx, "plan"), f"{first}, act")
        self.said.append(second)
        third = await ctx.run("answer", act, self.beginning(ctx, "act"), f"{second}, answer", 0.02)
        self.said.append(third)
        return self.said[-3:]

    @handler
    async def compute(self, ctx: Context, token: str) -> list[str]:
        self.history.append(token)
        sums = await ctx.run("sums", act_in_thread, self.beginning(ctx), f"{token} sums")
        checked = await ctx.run(
            "check", act_in_thread, self.beginning(ctx, "sums"), f"{sums}, check"
        )
        return [sums, checked]


class Sender(_Recorded):
    """Sends to others, now and later."""

    @handler
    async def scatter(self, ctx: Context, token: str, inboxes: list[str], delay_ms: int) -> int:
        self.history.append(token)
        for number, inbox in enumerate(inboxes):
            due_ms = now_ms(ctx) + delay_ms
            await ctx.object(Inbox, inbox).receive.send(
                f"{token}>{number}", due_ms, delay=timedelta(milliseconds=delay_ms)
            )
            if number == 0:
                await ctx.run("between", act, self.beginning(ctx), token)
        return len(inboxes)


class Inbox(_Recorded):
    """Gets what was sent."""

    @handler
    async def receive(self, ctx: Context, token: str, due_ms: int) -> None:
        self.history.append(token)
        await ctx.run("received", act, self.beginning(ctx, not_before_ms=due_ms), token)


class Sleeper(_Recorded, idle_ms_max=0):
    """Waits for time to pass."""

    @handler
    async def nap(self, ctx: Context, token: str, milliseconds: int) -> str:
        self.history.append(token)
        await ctx.run("before", act, self.beginning(ctx), token)
        due_ms = now_ms(ctx) + milliseconds
        await asyncio.sleep(milliseconds / 1000)
        return await ctx.run(
            "woken", act, self.beginning(ctx, "before", not_before_ms=due_ms), token
        )

    @handler
    async def race(self, ctx: Context, token: str, milliseconds: int) -> str:
        self.history.append(token)
        try:
            async with asyncio.timeout(milliseconds / 1000):
                await ctx.run("slow", act, self.beginning(ctx), token, 0.03)
        except TimeoutError:
            outcome = "late"
        else:
            outcome = "in time"
        return await ctx.run("verdict", act, self.beginning(ctx, "slow"), f"{token} {outcome}")


class Approval(_Recorded, idle_ms_max=0):
    """Waits for a word from outside."""

    @handler
    async def ask(self, ctx: Context, token: str) -> str:
        self.history.append(token)
        word = ctx.awakeable(str)
        await ctx.run("publish", act, self.beginning(ctx), f"{token} {word.id}")
        return await ctx.run("granted", act, self.beginning(ctx, "publish"), await word)


class Listener(_Recorded, idle_ms_max=0):
    """Waits for a signal."""

    @handler
    async def hear(self, ctx: Context, token: str) -> str:
        self.history.append(token)
        await ctx.run("listening", act, self.beginning(ctx), token)
        word = await ctx.signal("word", str)
        return await ctx.run("heard", act, self.beginning(ctx, "listening"), word)


class Registrar(_Recorded, idle_ms_max=0):
    """Starts a workflow, which is told to go on from outside."""

    @handler
    async def register(self, ctx: Context, token: str) -> str:
        self.history.append(token)
        return await ctx.workflow(Confirmation, token).run(token)


class Confirmation(Workflow, idle_ms_max=0):
    """Waits for its promise."""

    @handler
    async def run(self, ctx: Context, token: str) -> str:
        target = f"Confirmation/{ctx.key}"
        await ctx.run("promised", act, Beginning(target, (), 0), token)
        word = await ctx.promise("word", str)
        return await ctx.run("confirmed", act, Beginning(target, ("promised",), 0), word)


class Regret(_Recorded):
    """Starts something and takes it back, wherever that is by then."""

    @handler
    async def regret(self, ctx: Context, token: str, patient: str) -> str:
        self.history.append(token)
        sent = await ctx.object(Patient, patient).suffer.send(token)
        await ctx.run("hesitate", act, self.beginning(ctx), token)
        ctx.cancel(sent)
        try:
            await ctx.attach(sent, str)
        except CanceledError:
            return f"{token} canceled"
        return "it came to its end"


class Patient(VirtualObject, idle_ms_max=0):
    """Goes on until it is told to end, and cleans up."""

    @handler
    async def suffer(self, ctx: Context, token: str) -> str:
        target = f"Patient/{ctx.key}"
        try:
            await ctx.run("begin", act, Beginning(target, (), 0), token)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await ctx.run("undo", act, Beginning(target, (), 0), token)
            raise
        return "it slept well"


class Warden(_Recorded):
    """Starts something that only an operator ends."""

    @handler
    async def lock_up(self, ctx: Context, token: str, prisoner: str) -> str:
        self.history.append(token)
        try:
            await ctx.object(Prisoner, prisoner).stay(token)
        except CanceledError:
            return f"{token} canceled"
        return "it came to its end"


class Prisoner(VirtualObject, idle_ms_max=0):
    """Goes on until it is killed, and then does nothing more."""

    @handler
    async def stay(self, ctx: Context, token: str) -> None:
        target = f"Prisoner/{ctx.key}"
        await ctx.run("imprisoned", act, Beginning(target, (), 0), token)
        for day in range(10_000):
            await asyncio.sleep(0.05)
            await ctx.run(f"day {day}", act, Beginning(target, ("imprisoned",), 0), token)


class Chain(_Recorded, idle_ms_max=0):
    """Calls the next one."""

    @handler
    async def relay(self, ctx: Context, token: str, depth: int) -> int:
        self.history.append(token)
        if depth == 0:
            await ctx.run("end", act, self.beginning(ctx), token)
            return 0
        number = int(ctx.key.rpartition("-")[2])
        after = ctx.object(Chain, f"{ctx.key.rpartition('-')[0]}-{number + 1}")
        return 1 + await after.relay(token, depth - 1)


class Fan(Service):
    """Does several things at once, without a key."""

    @handler
    async def spread(self, ctx: Context, token: str) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._branch(ctx, token, name)) for name in "abc"]
        words = [task.result() for task in tasks]
        ends = tuple(f"{name} second" for name in "abc")
        await ctx.run("join", act, Beginning("Fan", ends, 0), " ".join(words))
        return words

    async def _branch(self, ctx: Context, token: str, name: str) -> str:
        first = await ctx.run(f"{name} first", act, Beginning("Fan", (), 0), f"{token} {name}1")
        start = Beginning("Fan", (f"{name} first",), 0)
        return await ctx.run(f"{name} second", act, start, f"{first} {name}2")


@dataclass(frozen=True)
class Beginning:
    """What the ledger is told when an action begins."""

    target: str
    after: tuple[str, ...]
    not_before_ms: int


def now_ms(ctx: Context) -> int:
    return round(ctx.time() * 1000)


async def act(beginning: Beginning, payload: str, seconds: float = 0.005) -> str:
    report_began(beginning, payload)
    await asyncio.sleep(seconds)
    report_finished()
    return payload


def act_in_thread(beginning: Beginning, payload: str) -> str:
    report_began(beginning, payload)
    time.sleep(0.005)
    report_finished()
    return payload


def report_began(beginning: Beginning, payload: str) -> None:
    info = step_info()
    LEDGER.append(
        Began(
            invocation=info.invocation_id,
            target=beginning.target,
            step=info.name,
            attempt=info.attempt,
            key=info.idempotency_key,
            after=beginning.after,
            payload=payload,
            not_before_ms=beginning.not_before_ms,
            process=os.getpid(),
            at_ms=time.time_ns() // 1_000_000,
        )
    )


def report_finished() -> None:
    info = step_info()
    LEDGER.append(
        Finished(
            invocation=info.invocation_id,
            step=info.name,
            process=os.getpid(),
            at_ms=time.time_ns() // 1_000_000,
        )
    )
