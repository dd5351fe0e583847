"""What the first format could hold: objects, steps, calls, timers, awakeables, retries, state.

Imported beside the oldest release that a fixture was written with, so it may use nothing newer.
Handlers must stay as they are: what was recorded of them is replayed. A story is one call, left
where the recording process died; ``EXPECTED`` is what it comes to, whichever release finishes it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from holdfast import (
    Context,
    Happened,
    OutcomeUnknownError,
    RetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    handler,
    shared,
    state,
)

from .outside import OUTSIDE, act, fail_now, hang_now

HOUR = timedelta(hours=1)
SOON = RetryPolicy(initial_interval=HOUR, factor=1, max_attempts=100)


async def say_it_happened(intent: object) -> Happened:
    """For a step that was under way: look it up outside."""
    del intent
    OUTSIDE.actions.append("looked up")
    return Happened("found outside")


class Desk(VirtualObject):
    """One of each thing that an invocation can be in the middle of."""

    log: list[Any] = state(default_factory=list)
    table: dict[str, Any] = state(default_factory=dict)
    count: int = state(0)
    question: str = state("")

    @handler
    async def add(self, ctx: Context, item: Any) -> int:
        del ctx
        self.log.append(item)
        self.count += 1
        return self.count

    @handler
    async def fill(self, ctx: Context, count: int) -> int:
        del ctx
        for at in range(count):
            self.log.append({"at": at, "text": "x" * 20})
            self.table[f"key {at}"] = [at, str(at)]
        return len(self.log)

    @shared
    async def read(self, ctx: Context) -> list[Any]:
        del ctx
        return [*self.log, self.count]

    @shared
    async def sizes(self, ctx: Context) -> list[int]:
        del ctx
        return [len(self.log), len(self.table)]

    @shared
    async def asked(self, ctx: Context) -> str:
        del ctx
        return self.question

    @handler
    async def steps(self, ctx: Context) -> list[str]:
        return [await ctx.run("one", act, "steps one"), await ctx.run("two", act, "steps two")]

    @handler
    async def question_then_step(self, ctx: Context) -> list[Any]:
        before = await ctx.run("before", act, "before the question")
        self.log.append(before)
        awakeable = ctx.awakeable(str)
        self.question = awakeable.id
        answer = await awakeable
        self.log.append(answer)
        return [*self.log, await ctx.run("after", act, "after the question")]

    @handler
    async def nap(self, ctx: Context) -> str:
        self.count += 1
        await ctx.sleep(HOUR)
        return f"slept {self.count}"

    @handler
    async def call_inner(self, ctx: Context) -> str:
        return "inner " + await ctx.object(Desk, "inner").nap()

    @handler
    async def send_later(self, ctx: Context) -> str:
        return await ctx.object(Desk, "sent").add.send("sent", delay=2 * HOUR)

    @handler
    async def hold(self, ctx: Context) -> str:
        await ctx.sleep(HOUR)
        self.log.append("held")
        return "held"

    @handler
    async def flaky_step(self, ctx: Context) -> str:
        return await ctx.step(retry=SOON).run("flaky", fail_now, "flaky step")

    @handler(retry=SOON)
    async def flaky_handler(self, ctx: Context) -> str:
        done = await ctx.run("before", act, "before the failure")
        if OUTSIDE.is_recording:
            message = "the handler is down"
            raise OSError(message)
        return done

    @handler(retry=RetryPolicy(max_attempts=1))
    async def paused(self, ctx: Context) -> str:
        done = await ctx.run("before", act, "before the pause")
        if OUTSIDE.is_recording:
            message = "the handler is broken"
            raise OSError(message)
        return done

    @handler
    async def hanging(self, ctx: Context) -> str:
        return await ctx.run("hanging", hang_now, "hanging")

    @handler
    async def hanging_once(self, ctx: Context) -> str:
        try:
            return await ctx.step(on_unknown="fail").run("once", hang_now, "hanging once")
        except OutcomeUnknownError:
            return "unknown"

    @handler
    async def hanging_verified(self, ctx: Context) -> str:
        step = ctx.step(on_unknown=say_it_happened)
        return await step.run("verified", hang_now, "hanging verified")

    @handler
    async def side_by_side(self, ctx: Context) -> list[str]:
        first = ctx.run("a", act, "side a")
        second = ctx.run("b", hang_now, "side b")

        async def slow() -> str:
            await asyncio.sleep(3600)
            return "slow"

        async with asyncio.TaskGroup() as group:
            task = group.create_task(slow())
        return [await first, await second, task.result()]

    @handler
    async def in_time(self, ctx: Context) -> str:
        try:
            async with asyncio.timeout(7200):
                return await ctx.awakeable(str)
        except TimeoutError:
            return await ctx.run("late", act, "not in time")

    @handler
    async def draws(self, ctx: Context) -> list[bool]:
        drawn: list[Any] = [ctx.random.random(), str(ctx.uuid4()), ctx.now().timestamp()]
        if not self.log:
            self.log.append(drawn)
        await ctx.sleep(HOUR)
        return [self.log == [drawn], ctx.now().timestamp() > drawn[2]]

    @handler
    async def changes_back(self, ctx: Context) -> list[Any]:
        seen: list[Any] = [self.count]
        self.count = 5
        await ctx.run("one", act, "changes one")
        seen.append(self.count)
        self.count = 6
        self.log.append("changed")
        await ctx.run("two", act, "changes two")
        await ctx.sleep(HOUR)
        seen += [self.count, list(self.log)]
        self.count += 1
        return seen

    @shared
    async def look_twice(self, ctx: Context) -> list[int]:
        first = self.count
        await ctx.run("look", act, "look")
        await ctx.sleep(HOUR)
        return [first, self.count]

    @handler
    async def fails(self, ctx: Context) -> None:
        await ctx.run("before", act, "before the end")
        message = "no such order"
        raise TerminalError(message, status_code=404, metadata={"order": "7"})


class Mailer(Service):
    """Without a key."""

    @handler
    async def mail(self, ctx: Context, to: str) -> str:
        sent = await ctx.run("mail", act, f"mail {to}")
        await ctx.sleep(HOUR)
        return sent


CLASSES: list[type] = [Desk, Mailer]

Story = tuple[str, str | None, str, Any]
"""Class, key, handler and argument."""

STORIES: dict[str, Story] = {
    "steps": ("Desk", "steps", "steps", None),
    "question": ("Desk", "question", "question_then_step", None),
    "nap": ("Desk", "nap", "nap", None),
    "chain": ("Desk", "outer", "call_inner", None),
    "send later": ("Desk", "sender", "send_later", None),
    "holder": ("Desk", "queue", "hold", None),
    "queued 1": ("Desk", "queue", "add", "first"),
    "queued 2": ("Desk", "queue", "add", ["second", None, 1.5, {"a": True}]),
    "flaky step": ("Desk", "flaky step", "flaky_step", None),
    "flaky handler": ("Desk", "flaky handler", "flaky_handler", None),
    "paused": ("Desk", "paused", "paused", None),
    "hanging": ("Desk", "hanging", "hanging", None),
    "hanging once": ("Desk", "hanging once", "hanging_once", None),
    "hanging verified": ("Desk", "hanging verified", "hanging_verified", None),
    "side by side": ("Desk", "side by side", "side_by_side", None),
    "in time": ("Desk", "in time", "in_time", None),
    "draws": ("Desk", "draws", "draws", None),
    "changes back": ("Desk", "changes", "changes_back", None),
    "look before": ("Desk", "looked at", "add", "before"),
    "look twice": ("Desk", "looked at", "look_twice", None),
    "look after": ("Desk", "looked at", "add", "after"),
    "fails": ("Desk", "fails", "fails", None),
    "fill": ("Desk", "full", "fill", 2_000),
    "mail": ("Mailer", None, "mail", "sam"),
}
"""In the order in which they are begun, each with its name as its idempotency key."""

EXPECTED: dict[str, Any] = {
    "steps": ["steps one", "steps two"],
    "question": ["before the question", "yes", "after the question"],
    "nap": "slept 1",
    "chain": "inner slept 1",
    "holder": "held",
    "queued 1": 1,
    "queued 2": 2,
    "flaky step": "flaky step",
    "flaky handler": "before the failure",
    "paused": "before the pause",
    "hanging": "hanging",
    "hanging once": "unknown",
    "hanging verified": "found outside",
    "side by side": ["side a", "side b", "slow"],
    "in time": "not in time",
    "draws": [True, True],
    "changes back": [0, 5, 6, ["changed"]],
    "look before": 1,
    "look twice": [1, 2],
    "look after": 2,
    "fails": {"status": 404, "message": "no such order", "metadata": {"order": "7"}},
    "fill": 2_000,
    "mail": "mail sam",
}

STATUSES: dict[str, int] = {}

UNCHECKED = frozenset({"send later"})
"""Stories that come to what differs each time."""

READ: dict[str, tuple[Story, Any]] = {
    "queue in order": (
        ("Desk", "queue", "read", None),
        ["held", "first", ["second", None, 1.5, {"a": True}], 2],
    ),
    "sent once": (("Desk", "sent", "read", None), ["sent", 1]),
    "long values": (("Desk", "full", "sizes", None), [2_000, 2_000]),
    "changed": (("Desk", "changes", "read", None), ["changed", 7]),
    "inner": (("Desk", "inner", "read", None), [1]),
}
"""What shared handlers tell when all has ended."""

RUN_AGAIN = frozenset({"flaky step", "hanging", "side b"})
"""Actions that had begun without an end that anybody saw; no other may begin twice."""


async def answer(runtime: Any, seen: dict[str, Any]) -> None:
    """What those outside do afterwards."""
    await runtime.invocation(seen["paused"]["id"]).resume()
    question = await runtime.finish(runtime.object(Desk, "question").asked())
    assert await runtime.resolve_awakeable(question, "yes")
