"""What came with workflows: promises, signals, sagas, interrupts, messages, attaching, cancelling.

As ``first``: it may use nothing that the first release with all of this lacks, and must stay as it
is.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from holdfast import (
    AwakeableExpiredError,
    Context,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
    step_info,
)
from holdfast.objects.identity import Target

from .outside import OUTSIDE, act, hang_now

if TYPE_CHECKING:
    from holdfast import ManualClock, Runtime

HOUR = timedelta(hours=1)


async def report(name: str) -> str:
    """An action that says how far it has come, and then hangs while recording."""
    OUTSIDE.actions.append(name)
    info = step_info()
    before = info.details
    info.heartbeat({"page": 7})
    if OUTSIDE.is_recording:
        await asyncio.Event().wait()
    return f"went on after {before}"


class Room(VirtualObject):
    """One of each thing that came with the second."""

    log: list[Any] = state(default_factory=list)

    @handler
    async def note(self, ctx: Context, item: Any) -> int:
        del ctx
        self.log.append(item)
        return len(self.log)

    @handler
    async def told(self, ctx: Context, outcome: dict[str, Any]) -> None:
        del ctx
        self.log.append(outcome.get("result"))

    @shared
    async def read(self, ctx: Context) -> list[Any]:
        del ctx
        return self.log

    @handler
    async def nap(self, ctx: Context) -> str:
        await ctx.sleep(HOUR)
        return "slept"

    @handler
    async def hear(self, ctx: Context) -> list[str]:
        return [await ctx.signal("go", str), await ctx.signal("go", str)]

    @handler
    async def hear_later(self, ctx: Context) -> list[str]:
        await ctx.sleep(HOUR)
        return [await ctx.signal("go", str), await ctx.signal("go", str)]

    @handler
    async def attach_to(self, ctx: Context) -> str:
        id_ = await ctx.object(Room, "attached").nap.send()
        return "attached " + await ctx.attach(id_, str)

    @handler
    async def saga_succeeds(self, ctx: Context) -> str:
        async with ctx.saga() as saga:
            saga.add("undo", act, "never undone")
            await ctx.run("do", act, "saga did")
            await ctx.sleep(HOUR)
        return "kept"

    @handler
    async def saga_fails(self, ctx: Context) -> str:
        async with ctx.saga() as saga:
            saga.add("undo one", act, "undo one")
            await ctx.run("one", act, "saga one")
            saga.add("undo two", hang_now, "undo two")
            await ctx.run("two", act, "saga two")
            message = "sold out"
            raise TerminalError(message, status_code=410)

    @handler
    async def give_way(self, ctx: Context) -> str:
        try:
            async with ctx.shield():
                await ctx.sleep(HOUR)
            await ctx.sleep(HOUR)
        finally:
            self.log.append("gave way")
        return "undisturbed"

    @handler
    async def clean_up(self, ctx: Context) -> str:
        try:
            await ctx.signal("never")
        except asyncio.CancelledError:
            await ctx.run("clean", act, "cleaned")
            await ctx.sleep(HOUR)
            self.log.append("cleaned up")
            raise
        return "not cancelled"

    @handler
    async def converse(self, ctx: Context) -> list[str]:
        inbox = ctx.inbox(str)
        return [await inbox.get(), await inbox.get()]

    @handler
    async def ask_in_time(self, ctx: Context) -> list[Any]:
        asked = ctx.awakeable(int, message={"how": "many"}, timeout=30 * 24 * HOUR)
        late = ctx.awakeable(str, message="too late", timeout=HOUR)
        try:
            await late
        except AwakeableExpiredError:
            return ["expired", await asked]
        return ["answered", await asked]

    @handler
    async def slow(self, ctx: Context) -> str:
        return await ctx.step(heartbeat_timeout=HOUR).run("slow", report, "slow")

    @handler
    async def patched(self, ctx: Context) -> list[Any]:
        seen = [ctx.patched("new way")]
        await ctx.sleep(HOUR)
        return [*seen, ctx.patched("new way"), ctx.patched("later way")]

    @handler
    async def call_each(self, ctx: Context) -> str:
        first = ctx.object(Room, "callee one").nap()
        second = ctx.object(Room, "callee two").nap()
        return "".join(await asyncio.gather(first, second))


class Deal(Workflow):
    """Waits to be signed."""

    signed: str = state("not yet")

    @handler
    async def run(self, ctx: Context) -> str:
        self.signed = await ctx.promise("signed", str)
        await ctx.promise("counted", int).resolve(len(self.signed))
        return self.signed

    @shared
    async def look(self, ctx: Context) -> str:
        return "looked at " + await ctx.promise("signed", str)

    @shared
    async def how_long(self, ctx: Context) -> int:
        return await ctx.promise("counted", int)

    @shared
    async def early(self, ctx: Context) -> str:
        await ctx.promise("early", str).resolve("early")
        await ctx.sleep(HOUR)
        return await ctx.promise("early", str)

    @shared
    async def read(self, ctx: Context) -> str:
        del ctx
        return self.signed


CLASSES: list[type] = [Room, Deal]

STORIES: dict[str, tuple[Any, ...]] = {
    "hear": ("Room", "hear", "hear", None),
    "hear later": ("Room", "hear later", "hear_later", None),
    "attach": ("Room", "attach", "attach_to", None),
    "saga succeeds": ("Room", "saga succeeds", "saga_succeeds", None),
    "saga fails": ("Room", "saga fails", "saga_fails", None),
    "gives way": ("Room", "interrupted", "give_way", None),
    "waits": ("Room", "interrupted", "note", "waits"),
    "interrupts": ("Room", "interrupted", "note", "interrupts", {"mode": "interrupt"}),
    "cleans up": ("Room", "cleans up", "clean_up", None),
    "converses": ("Room", "converses", "converse", None),
    "says": ("Room", "converses", "note", "one", {"mode": "steer"}),
    "says a number": ("Room", "converses", "note", 1, {"mode": "steer"}),
    "asks in time": ("Room", "asks", "ask_in_time", None),
    "slow": ("Room", "slow", "slow", None),
    "patched": ("Room", "patched", "patched", None),
    "calls each": ("Room", "calls each", "call_each", None),
    "looks": ("Deal", "d", "look", None),
    "how long": ("Deal", "d", "how_long", None),
    "early": ("Deal", "never started", "early", None),
    "calls back": (
        "Room",
        "calls back",
        "nap",
        None,
        {"callback": Target("Room", "called back", "told")},
    ),
    "killed": ("Room", "killed", "nap", None),
}

EXPECTED: dict[str, Any] = {
    "hear": ["first", "second"],
    "hear later": ["early one", "early two"],
    "attach": "attached slept",
    "saga succeeds": "kept",
    "waits": 3,
    "interrupts": 2,
    "converses": ["one", "two"],
    "says": None,
    "says a number": 1,
    "asks in time": ["expired", 3],
    "slow": "went on after {'page': 7}",
    "patched": [True, True, True],
    "calls each": "sleptslept",
    "looks": "looked at signed",
    "how long": 6,
    "early": "early",
    "calls back": "slept",
}

STATUSES = {"saga fails": 410, "gives way": 409, "cleans up": 409, "killed": 409}
"""Of those that fail, with ids in what they say."""

UNCHECKED = frozenset[str]()
"""Stories that come to what differs each time."""

READ: dict[str, tuple[tuple[Any, ...], Any]] = {
    "interrupted in order": (
        ("Room", "interrupted", "read", None),
        ["gave way", "interrupts", "waits"],
    ),
    "called back": (("Room", "called back", "read", None), ["slept"]),
    "cleaned up": (("Room", "cleans up", "read", None), ["cleaned up"]),
    "not read as text": (("Room", "converses", "read", None), [1]),
    "signed": (("Deal", "d", "read", None), "signed"),
}

RUN_AGAIN = frozenset({"undo two", "slow"})


async def begin(runtime: Runtime, clock: ManualClock, seen: dict[str, Any]) -> None:
    """What is done to invocations before the process dies."""
    await runtime.workflow(Deal, "d").run.send()
    await runtime.invocation(seen["hear"]["id"]).signal("go", "first")
    for text in ("early one", "early two"):
        await runtime.invocation(seen["hear later"]["id"]).signal("go", text)
    await runtime.invocation(seen["cleans up"]["id"]).cancel("not needed")
    await runtime.invocation(seen["killed"]["id"]).kill("a test")
    await clock.advance(1)


async def answer(runtime: Any, seen: dict[str, Any]) -> None:
    """What those outside do afterwards."""
    await runtime.invocation(seen["hear"]["id"]).signal("go", "second")
    await runtime.promise(Deal, "d", "signed").resolve("signed")
    await runtime.object(Room, "converses", mode="steer").note.send("two")
    page = await runtime.awakeables(Room, "asks")
    asked = [each for each in page.awakeables if each.message == {"how": "many"}]
    assert await runtime.resolve_awakeable(asked[0].id, 3)
