"""The objects of a simulated world: they do what their orders say, and hide nothing.

    order      := {"tag": text, "ops": [op...]}
    op         := ["note", n]                           write n lines into the object's log
                | ["step", {"ms", "fails", "unknown", "plain"}]
                | ["sleep", ms]
                | ["call", key, order] | ["send", key, order, ms]
                | ["attach", key, order]                a send whose outcome is awaited
                | ["part", key, order, ms]              a send that is cancelled a while later
                | ["awake", ms, timeout ms or 0]        an awakeable, resolved from outside
                | ["hear", count, ms, ms, ms or 0]      so many signals, sent from outside every so
                                                        often; awaited a while later; with patience
                | ["promise", ms]                       a workflow's promise, kept from outside
                | ["inbox", ms]                         a message for this turn, if one comes
                | ["peek", key]                         a shared handler's look at a log
                | ["both", [op...]]                     side by side
                | ["within", ms, op]                    under a timeout
                | ["trip", times, ms]                   fail so often, after a while, then go on
                | ["fail"]                              a terminal error
                | ["bad"]                               return what cannot be written down

A line of a log is the tag of whoever wrote it, the place in the order and a number. What a handler
sees is added to its trace, in the order in which it sees it; each action of a step is given the
trace so far, so that the ledger outside knows what the handler has seen when it acts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from holdfast import (
    Context,
    Happened,
    Intent,
    NeverHappened,
    RetryableError,
    RetryPolicy,
    StepFailedError,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
    step_info,
)

from .ledger import Ledger

Order = dict[str, Any]
Trace = list[list[Any]]

STEP_RETRY = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=50))
GIVEN_UP_MAX = 4
HANDLER_RETRY = RetryPolicy(max_attempts=4, initial_interval=timedelta(milliseconds=20))


class Outside:
    """Whose ledger the actions of the moment write to: that of the one world that runs."""

    ledger: Ledger


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


CLASSES: list[type] = [Cell, Flow]


class Actor:
    """One attempt to follow one order."""

    def __init__(self, me: Cell | Flow, ctx: Context, order: Order) -> None:
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
        self.me.log.extend(f"{self.tag} {path} {number}" for number in range(count))
        self.me.count += count
        return count

    async def do_step(self, path: str, options: dict[str, Any]) -> Any:
        unknown = options.get("unknown", "retry")
        step = self.ctx.step(
            retry=STEP_RETRY, on_unknown=look_up if unknown == "verify" else unknown
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

    async def do_send(self, path: str, key: str, order: Order, ms: int) -> str:
        delay = timedelta(milliseconds=ms)
        return await self.ctx.object(Cell, key).run.send(order, delay=delay)

    async def do_attach(self, path: str, key: str, order: Order) -> Any:
        id_ = await self.ctx.object(Cell, key).run.send(order)
        return [id_, await self.ctx.attach(id_)]

    async def do_part(self, path: str, key: str, order: Order, ms: int) -> str:
        id_ = await self.ctx.object(Cell, key).run.send(order)
        await self.ctx.sleep(timedelta(milliseconds=ms))
        self.ctx.cancel(id_, "no longer wanted")
        return id_

    async def do_awake(self, path: str, ms: int, timeout_ms: int) -> Any:
        timeout = timedelta(milliseconds=timeout_ms) if timeout_ms else None
        awakeable = self.ctx.awakeable(str, timeout=timeout)
        value = f"{self.tag} {path}"
        await self.ctx.run("tell", ask, "awakeable", awakeable.id, [value], ms)
        return await awakeable

    async def do_hear(
        self, path: str, count: int, every_ms: int, pause_ms: int, patience_ms: int
    ) -> list[Any]:
        name = f"s{path}"
        values = [f"{self.tag} {path} {number}" for number in range(count)]
        await self.ctx.run("tell", ask, "signal", name, values, every_ms)
        if pause_ms:
            await self.ctx.sleep(timedelta(milliseconds=pause_ms))
        return [await self._hear(name, patience_ms) for _ in range(count)]

    async def _hear(self, name: str, patience_ms: int) -> Any:
        """The next signal, by a wait that is given up a few times first."""
        for _ in range(GIVEN_UP_MAX if patience_ms else 0):
            try:
                async with asyncio.timeout(patience_ms / 1000):
                    return await self.ctx.signal(name)
            except TimeoutError:
                continue
        return await self.ctx.signal(name)

    async def do_promise(self, path: str, ms: int) -> Any:
        await self.ctx.run("tell", ask, "promise", self.ctx.key, [f"{self.tag} {path}"], ms)
        return await self.ctx.promise("outside", str)

    async def do_inbox(self, path: str, ms: int) -> Any:
        if isinstance(self.me, Flow):
            return None
        async with asyncio.timeout(ms / 1000):
            message = await self.ctx.inbox(dict[str, Any]).get()
        return message["tag"]

    async def do_peek(self, path: str, key: str) -> int:
        found: list[Any] = await self.ctx.object(Cell, key).peek()
        assert len(found[0]) == found[1], "a look at an object in the middle of a change"
        return len(found[0])

    async def do_both(self, path: str, ops: list[list[Any]]) -> None:
        await asyncio.gather(*(self.do(f"{path}.{n}", op) for n, op in enumerate(ops)))

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


# -- What happens outside ----------------------------------------------------------------------


async def act(tag: str, path: str, options: dict[str, Any], seen: Trace) -> str:
    """The action of a step: its effect comes after a while, and its answer another while later."""
    ledger = Outside.ledger
    effect = ledger.begin(step_info(), tag, path, seen, options)
    await asyncio.sleep(options["ms"] / 2000)
    result = ledger.happen(effect)
    await asyncio.sleep(options["ms"] / 2000)
    return ledger.end(effect, result)


def act_plainly(tag: str, path: str, options: dict[str, Any], seen: Trace) -> str:
    """The same in a thread, all at once."""
    ledger = Outside.ledger
    effect = ledger.begin(step_info(), tag, path, seen, options)
    return ledger.end(effect, ledger.happen(effect))


async def look_up(intent: Intent) -> Happened | NeverHappened:
    """Whether a step of unknown outcome has happened, as the world outside knows."""
    result = Outside.ledger.look_up(intent.idempotency_key)
    return NeverHappened() if result is None else Happened(result)


async def ask(kind: str, name: str, values: list[str], ms: int) -> None:
    """The action that asks the outside to complete something, after so many milliseconds."""
    Outside.ledger.ask(kind, step_info().invocation_id, name, values, ms)
