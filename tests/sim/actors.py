"""The objects of a simulated world: they do what their orders say, and hide nothing.

    order      := {"tag": text, "ops": [op...]}
    op         := ["note", n]                           write n lines into the object's log
                | ["step", {"ms", "fails", "unknown", "plain"}]
                | ["sleep", ms]
                | ["call", key, order] | ["send", key, order, ms, url]   its outcome is told to the
                                                        desk, or to a URL
                | ["attach", key, order]                a send whose outcome is awaited
                | ["part", key, order, ms]              a send that is cancelled a while later
                | ["urge", key, order, mode, ms]        a send that interrupts, or is a message
                | ["seize", key, order]                 a call that interrupts
                | ["set", name] | ["grow", name]        state by name: a text, or a longer list
                | ["get", name] | ["clear", name] | ["keys", ""]
                | ["serve", order]                      a call of a service
                | ["join", number, ms]                  wait for the outcome of somebody else's call
                | ["saga", how, n, ms, fails]           n effects that stand, or are taken back
                | ["awake", ms, timeout ms or 0, how]   an awakeable, resolved or rejected from
                                                        outside, by its id, a link, or a handler
                | ["hear", count, ms, ms, ms or 0, by]  so many signals, sent from outside or by a
                                                        handler every so often; awaited a while
                                                        later; with patience
                | ["promise", ms, no]                   a workflow's promise, kept or broken
                | ["inbox", ms]                         a message for this turn, if one comes
                | ["drain", ms]                         those that have come after a while
                | ["patch"]                             what later code does otherwise
                | ["peek", key]                         a shared handler's look at a log
                | ["keep", key, order]                  a call that `asyncio.shield` was given
                | ["guard", n, ms, key, order or null]  n effects, and a call, in a section
                | ["tidy", ms, op]                      with effects at its end where it is told to
                | ["both", [op...]]                     side by side
                | ["group", [op...]]                    in a task group, that one may bring down
                | ["within", ms, op]                    under a timeout
                | ["trip", times, ms]                   fail so often, after a while, then go on
                | ["fail"]                              a terminal error
                | ["bad"]                               return what cannot be written down

A line of a log is the tag of whoever wrote it, the place in the order and a number. What a handler
sees is added to its trace, in the order in which it sees it; each action of a step is given the
trace so far, so that the ledger outside knows what the handler has seen when it acts.
"""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal

from holdfast import (
    Completed,
    Context,
    RetryableError,
    RetryPolicy,
    Service,
    StandardWebhooks,
    StepFailedError,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.objects.call_options import Mode
from holdfast.runtime.callbacks import DELIVER

from .actions import Outside, Trace, act, act_plainly, ask, find_somebody, look_up, undo
from .naming import OPS as NAMING
from .naming import use
from .sections import CLEANING

Order = dict[str, Any]

STEP_RETRY = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=50))
GIVEN_UP_MAX = 4
DESK = "desk"
BY_HANDLER = "by handler"
OF_STUMBLING = "stumbles for good at "
HANDLER_RETRY = RetryPolicy(max_attempts=4, initial_interval=timedelta(milliseconds=20))
SHORT_RETRY = RetryPolicy(
    max_attempts=3, initial_interval=timedelta(milliseconds=20), on_max_attempts="fail"
)
OF_ERRANDS = timedelta(seconds=12)
"""So long an errand is kept; its journal and its idempotency key for less."""
KEY_OF_ERRANDS = timedelta(seconds=3)
LINK_LIFETIME = timedelta(days=3650)
HOOKS = "hooks"
SECRET = b"the secret of a provider"
OF_DELIVERIES = timedelta(days=30)


class Cell(VirtualObject):
    """An object with a log."""

    log: list[str] = state(default_factory=list)
    count: int = state(0)

    @handler(retry=HANDLER_RETRY)
    async def run(self, ctx: Context, order: Order) -> Any:
        return await Actor(self, ctx, order).play()

    @shared
    async def peek(self, ctx: Context) -> list[Any]:
        return [list(self.log), self.count]


class Flow(Workflow):
    """The same, once per key."""

    log: list[str] = state(default_factory=list)
    count: int = state(0)

    @handler(retry=HANDLER_RETRY)
    async def run(self, ctx: Context, order: Order) -> Any:
        return await Actor(self, ctx, order).play()

    @shared
    async def peek(self, ctx: Context) -> list[Any]:
        return [list(self.log), self.count]

    @shared
    async def keep(self, ctx: Context, value: str) -> None:
        ctx.promise("outside", str).resolve(value)


class Errand(
    Service,
    retention=OF_ERRANDS,
    journal_retention=timedelta(seconds=7),
    idempotency_retention=KEY_OF_ERRANDS,
):
    """What has no key: any number at the same time, given up after a few attempts."""

    @handler(retry=SHORT_RETRY)
    async def run(self, ctx: Context, order: Order) -> Any:
        return await Actor(None, ctx, order).play()

    @handler
    async def speak(self, ctx: Context, to: str, name: str, values: list[str], ms: int) -> None:
        """Send signals of a name; without one, resolve or reject an awakeable."""
        for value in values:
            await ctx.sleep(timedelta(milliseconds=ms))
            is_no = value.startswith("no ")
            match name, is_no:
                case "", True:
                    await ctx.reject_awakeable(to, value)
                case "", False:
                    await ctx.resolve_awakeable(to, value)
                case _, True:
                    ctx.reject_signal(to, name, value)
                case _:
                    ctx.send_signal(to, name, value)

    @handler
    async def undo(self, ctx: Context, place: list[str], number: int, fails: int) -> None:
        await ctx.step(retry=STEP_RETRY).run("undo", undo, place, number, fails)


def read_secret() -> str:
    """The secret of the provider, as it shows it."""
    return f"whsec_{b64encode(SECRET).decode()}"


class Desk(VirtualObject):
    """Is told how invocations have ended, and what has happened at a provider."""

    heard: list[str] = state(default_factory=list)
    hooked: list[str] = state(default_factory=list)

    @handler
    async def told(self, ctx: Context, completed: Completed) -> None:
        self.heard.append(completed.invocation_id)

    @handler(webhook=StandardWebhooks(secret=read_secret), idempotency_retention=OF_DELIVERIES)
    async def hooked_by(self, ctx: Context, event: dict[str, Any]) -> str:
        self.hooked.append(event["id"])
        return str(event["id"])


HELPERS = frozenset({"undo", "told", "hooked_by", "speak", DELIVER.handler})
"""Handlers that are called for others, and that nobody meddles with."""

CLASSES: list[type] = [Cell, Flow, Errand, Desk]


class Actor:
    """One attempt to follow one order."""

    def __init__(self, me: Cell | Flow | None, ctx: Context, order: Order) -> None:
        self.me = me
        self.ctx = ctx
        self.order = order
        self.tag: str = order["tag"]
        self.trace: Trace = []
        self.result: Any = None

    async def play(self) -> Any:
        for number, op in enumerate(self.order["ops"]):
            await self.do(f"{number}", op)
        if self.result is not None:
            return self.result
        return {"tag": self.tag, "trace": self.trace}

    async def do(self, path: str, op: list[Any]) -> None:
        kind = op[0]
        if kind in NAMING:
            got = None if self.me is None else use(self.ctx, kind, op[1], f"{self.tag} {path}")
            self.trace.append([path, kind, got])
            return
        run: Callable[..., Awaitable[Any]] = getattr(self, f"do_{kind}")
        try:
            got = await run(path, *op[1:])
        except (TerminalError, TimeoutError) as error:
            # What is caught has its name in the trace; what is not ends the attempt.
            if kind == "fail":
                raise
            got = [type(error).__name__]
        self.trace.append([path, kind, got])

    async def do_note(self, path: str, count: int) -> int:
        if self.me is not None:
            self.me.log.extend(f"{self.tag} {path} {number}" for number in range(count))
            self.me.count += count
        return count

    async def do_step(self, path: str, options: dict[str, Any]) -> Any:
        unknown = options.get("unknown", "retry")
        limit = timedelta(milliseconds=options["limit"]) if "limit" in options else None
        step = self.ctx.step(
            retry=STEP_RETRY,
            timeout=None if "beats" in options else limit,
            heartbeat_timeout=limit if "beats" in options else None,
            on_unknown=look_up if unknown == "verify" else unknown,
        )
        action = act_plainly if options.get("plain") else act
        seen = [*self.trace]
        try:
            return await step.run(f"step {path}", action, self.tag, path, options, seen)
        except StepFailedError as error:
            return ["failed", error.message[:40]]

    async def do_sleep(self, path: str, ms: int) -> list[float]:
        began = self.ctx.time()
        await self.ctx.sleep(timedelta(milliseconds=ms))
        return [began, self.ctx.time(), self.ctx.random.random()]

    async def do_call(self, path: str, key: str, order: Order) -> Any:
        return await self.ctx.object(Cell, key).run(order)

    async def do_urge(self, path: str, key: str, order: Order, mode: Mode, ms: int) -> str:
        delay = timedelta(milliseconds=ms)
        return await self.ctx.object(Cell, key, mode=mode).run.send(order, delay=delay)

    async def do_seize(self, path: str, key: str, order: Order) -> Any:
        return await self.ctx.object(Cell, key, mode="interrupt").run(order)

    async def do_serve(self, path: str, order: Order) -> Any:
        return (await self.ctx.service(Errand).run(order))["tag"]

    async def do_send(self, path: str, key: str, order: Order, ms: int, url: str) -> str:
        delay = timedelta(milliseconds=ms)
        told = url or self.ctx.object(Desk, DESK).told
        return await self.ctx.object(Cell, key, callback=told).run.send(order, delay=delay)

    async def do_attach(self, path: str, key: str, order: Order) -> Any:
        id_ = await self.ctx.object(Cell, key).run.send(order)
        return [id_, await self.ctx.attach(id_)]

    async def do_join(self, path: str, number: int, ms: int) -> Any:
        id_ = await self.ctx.run("find", find_somebody, number)
        if not id_:
            return []
        async with asyncio.timeout(ms / 1000):
            result = await self.ctx.attach(id_)
        return [id_, result["tag"]] if result is not None else []

    async def do_keep(self, path: str, key: str, order: Order) -> Any:
        return await asyncio.shield(self.ctx.object(Cell, key).run(order))

    async def do_guard(self, path: str, count: int, ms: int, key: str, order: Order | None) -> int:
        async with self.ctx.shield():
            await self._act(path, path, count, ms)
            if order is not None:
                await self.do(f"{path}.c", ["call", key, order])
        return count

    async def do_tidy(self, path: str, ms: int, op: list[Any]) -> None:
        try:
            await self.do(f"{path}.0", op)
        except asyncio.CancelledError:
            await self._act(path, path + CLEANING, 2, ms)
            raise

    async def _act(self, path: str, section: str, count: int, ms: int) -> None:
        """The steps of a section, or of a clean-up."""
        for number in range(count):
            options = {"ms": ms, "section": section, "number": number, "of": count}
            at = f"{section}/{number}"
            await self.ctx.run(f"step {at}", act, self.tag, at, options, [*self.trace])

    async def do_saga(self, path: str, how: str, count: int, ms: int, fails: int) -> int:
        place = [self.ctx.invocation_id, path]
        async with self.ctx.saga() as saga:
            for number in range(count):
                name = f"undo {path}.{number}"
                if how == "call":
                    saga.add(name, self.ctx.service(Errand).undo, place, number, fails)
                else:
                    saga.add(name, undo, place, number, fails)
                options = {"ms": ms, "saga": path, "number": number}
                seen = [*self.trace]
                await self.ctx.run(f"do {number}", act, self.tag, f"{path}/{number}", options, seen)
            if how == "trip":
                raise RetryableError(OF_STUMBLING + path)
            if how != "stand":
                message = "takes it all back"
                raise TerminalError(message)
        return count

    async def do_part(self, path: str, key: str, order: Order, ms: int) -> str:
        id_ = await self.ctx.object(Cell, key).run.send(order)
        await self.ctx.sleep(timedelta(milliseconds=ms))
        self.ctx.cancel(id_, "no longer wanted")
        return id_

    async def do_awake(self, path: str, ms: int, timeout_ms: int, how: str) -> Any:
        timeout = timedelta(milliseconds=timeout_ms) if timeout_ms else None
        awakeable = self.ctx.awakeable(str, timeout=timeout)
        is_no = how.startswith("no")
        value = f"{'no ' if is_no else ''}{self.tag} {path}"
        kind, name = "awakeable", awakeable.id
        if how.endswith("link"):
            verb: Literal["resolve", "reject"] = "reject" if is_no else "resolve"
            kind, name = "link", awakeable.link(verb, value, expires_in=LINK_LIFETIME)
        if how.endswith(BY_HANDLER):
            await self.ctx.service(Errand).speak.send(name, "", [value], ms)
        else:
            await self.ctx.run("tell", ask, kind, name, [value], ms)
        return await _or_no(awakeable)

    async def do_hear(  # noqa: PLR0913, PLR0917  # as it is drawn
        self, path: str, count: int, every_ms: int, pause_ms: int, patience_ms: int, by: str
    ) -> list[Any]:
        name = f"s{path}"
        values = wanted_signals(self.tag, path, count)
        if by == BY_HANDLER:
            id_ = self.ctx.invocation_id
            await self.ctx.service(Errand).speak.send(id_, name, values, every_ms)
        else:
            await self.ctx.run("tell", ask, "signal", name, values, every_ms)
        if pause_ms:
            await self.ctx.sleep(timedelta(milliseconds=pause_ms))
        return [await self._hear(name, patience_ms) for _ in range(count)]

    async def _hear(self, name: str, patience_ms: int) -> Any:
        """The next signal, by a wait that is given up a few times first."""
        for _ in range(GIVEN_UP_MAX if patience_ms else 0):
            try:
                async with asyncio.timeout(patience_ms / 1000):
                    return await _or_no(self.ctx.signal(name))
            except TimeoutError:
                continue
        return await _or_no(self.ctx.signal(name))

    async def do_promise(self, path: str, ms: int, is_no: bool) -> Any:  # noqa: FBT001  # JSON
        value = f"{'no ' if is_no else ''}{self.tag} {path}"
        await self.ctx.run("tell", ask, "promise", self.ctx.key, [value], ms)
        return await _or_no(self.ctx.promise("outside", str))

    async def do_inbox(self, path: str, ms: int) -> Any:
        if not isinstance(self.me, Cell):
            return None
        async with asyncio.timeout(ms / 1000):
            message = await self.ctx.inbox(dict[str, Any]).get()
        return message["tag"]

    async def do_drain(self, path: str, ms: int) -> dict[str, list[str]]:
        if not isinstance(self.me, Cell):
            return {"drained": []}
        await self.ctx.sleep(timedelta(milliseconds=ms))
        messages = await self.ctx.inbox(dict[str, Any]).drain()
        return {"drained": [message["tag"] for message in messages]}

    async def do_patch(self, path: str) -> bool:
        code = Outside.code
        is_new = code == "after" or (code == "patched" and self.ctx.patched(f"patch {path}"))
        if is_new:
            await self.ctx.sleep(timedelta(milliseconds=1))
        return is_new

    async def do_peek(self, path: str, key: str) -> int:
        found: list[Any] = await self.ctx.object(Cell, key).peek()
        assert len(found[0]) == found[1], "a look at an object in the middle of a change"
        return len(found[0])

    async def do_both(self, path: str, ops: list[list[Any]]) -> None:
        await asyncio.gather(*(self.do(f"{path}.{n}", op) for n, op in enumerate(ops)))

    async def do_group(self, path: str, ops: list[list[Any]]) -> None:
        async with asyncio.TaskGroup() as group:
            for number, op in enumerate(ops):
                group.create_task(self.do(f"{path}.{number}", op))

    async def do_within(self, path: str, ms: int, op: list[Any]) -> bool:
        async with asyncio.timeout(ms / 1000):
            await self.do(f"{path}.0", op)
        return True

    async def do_trip(self, path: str, times: int, ms: int) -> int:
        if ms:
            await self.ctx.sleep(timedelta(milliseconds=ms))
        if Outside.ledger.count_trips(self.ctx.invocation_id, path) <= times:
            message = "stumbled"
            raise RetryableError(message)
        return times

    async def do_fail(self, path: str) -> None:
        message = f"meant to fail at {path}"
        raise TerminalError(message, status_code=422)

    async def do_bad(self, path: str) -> int:
        self.result = {"bad": {1, 2, 3}, "object": object()}
        return 0


async def _or_no(awaited: Awaitable[Any]) -> Any:
    """What is awaited, or why somebody has rejected it."""
    try:
        return await awaited
    except TerminalError as error:
        if not error.message.startswith("no "):
            raise
        return error.message


def wanted_signals(tag: str, path: str, count: int) -> list[str]:
    """The signals of an op, in order; every third is a rejection."""
    no = ("", "", "no ")
    return [f"{no[number % 3]}{tag} {path} {number}" for number in range(count)]
