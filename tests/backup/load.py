"""Calls of every kind on a runtime in this process, and what a copy of its directory must hold."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from holdfast import (
    Context,
    HoldfastError,
    RetryPolicy,
    Runtime,
    RuntimeConfig,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.journal.directory_view import DirectoryView
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.verify import verify_rows

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = timedelta(milliseconds=3)
QUICK = RetryPolicy(initial_interval=MOMENT, factor=1)


async def act(value: int) -> int:
    await asyncio.sleep(0.001)
    return value


async def fail_sometimes(value: int) -> int:
    if value % 3 == 0 and Random().random() < 0.5:
        message = "not now"
        raise OSError(message)
    return value


class Account(VirtualObject):
    """Counts, and asks others to."""

    total: int = state(0)
    log: list[int] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        del ctx
        self.total += amount
        self.log.append(amount)
        return self.total

    @handler
    async def work(self, ctx: Context, amount: int) -> int:
        first = await ctx.run("first", act, amount)
        self.log.append(first)
        await ctx.sleep(MOMENT)
        second = await ctx.step(retry=QUICK).run("second", fail_sometimes, amount)
        self.total += second
        return first + second

    @handler
    async def spread(self, ctx: Context, amount: int) -> int:
        calls = [ctx.object(Account, f"{ctx.key}.{at}").work(amount) for at in range(2)]
        await ctx.object(Account, f"{ctx.key}.2").add.send(amount, delay=MOMENT)
        return sum(await asyncio.gather(*calls))

    @handler
    async def hear(self, ctx: Context, amount: int) -> int:
        asked = ctx.signal("go", int)
        try:
            async with asyncio.timeout(0.02 * (1 + amount % 5)):
                return await asked
        except TimeoutError:
            return -1

    @handler
    async def refuse(self, ctx: Context, amount: int) -> int:
        async with ctx.saga() as saga:
            saga.add("undo", act, -amount)
            await ctx.run("do", act, amount)
            message = "no"
            raise TerminalError(message)

    @shared
    async def read(self, ctx: Context, amount: int) -> int:
        await ctx.run("look", act, amount)
        return amount


class Deal(Workflow):
    """Is signed by a shared handler."""

    @handler
    async def run(self, ctx: Context) -> int:
        return await ctx.promise("signed", int)

    @shared
    async def sign(self, ctx: Context, amount: int) -> int:
        await ctx.promise("signed", int).resolve(amount)
        return amount


CLASSES: list[type] = [Account, Deal]
KINDS = ("add", "work", "spread", "hear", "refuse", "read", "sign")
# Nothing may be collected while copies are compared with what was answered.
CONFIG = RuntimeConfig(idle_ms_max=5, maintenance_ms=50)


class Load:
    """Clients of one runtime, and what they were told."""

    def __init__(self, runtime: Runtime, seed: str) -> None:
        self._runtime = runtime
        self._random = Random(seed)
        self.asked: dict[str, tuple[Target, int]] = {}
        self.accepted: set[str] = set()
        """Calls that a caller knows to be accepted, answered or not."""
        self.answered: dict[str, Any] = {}
        self._is_over = False
        self._news = asyncio.Event()

    async def wait_answered(self, count: int) -> None:
        """Return once so many calls were answered."""
        while len(self.answered) < count:
            self._news.clear()
            await self._news.wait()

    async def run(self, clients: int) -> None:
        """Call until ``end``."""
        await asyncio.gather(*(self._client(number) for number in range(clients)))

    def end(self) -> None:
        """Have every client end with its call."""
        self._is_over = True

    async def _client(self, number: int) -> None:
        at = 0
        while not self._is_over:
            at += 1
            name = f"{number}.{at}"
            kind = self._random.choice(KINDS)
            key = str(self._random.randrange(5))
            target = Target("Account", key, kind)
            if kind == "sign":
                key = name
                target = Target("Deal", key, kind)
                await self._runtime.workflow(Deal, key).run.send()
            self.asked[name] = target, at
            sent = await submit(self._runtime, target, at, name, wait=False)
            self.accepted.add(name)
            if kind == "hear" and at % 2:
                try:
                    await self._runtime.invocation(sent.invocation_id).signal("go", at)
                except HoldfastError:
                    continue  # It was over before.
            answer = await submit(self._runtime, target, at, name, wait=True)
            self.answered[name] = told(answer.outcome)
            self._news.set()


def submit(runtime: Runtime, target: Target, amount: int, name: str, *, wait: bool) -> Any:
    """One call, by its name as its idempotency key."""
    request = CallRequest(target=target, argument=json.dumps(amount).encode(), idempotency_key=name)
    return runtime.submit(request, wait=wait)


def told(outcome: bytes | TerminalError) -> Any:
    """An outcome that can be compared."""
    return str(outcome) if isinstance(outcome, TerminalError) else json.loads(outcome)


async def find_lost(
    copy: Path, load: Load, accepted: set[str], answered: dict[str, Any]
) -> list[str]:
    """What a copy lacks of what was known before it was begun: all of it, finished."""
    view = DirectoryView(copy)
    problems = verify_rows(view, epoch=view.epoch)
    view.close()
    async with Runtime(CLASSES, data_dir=copy, config=CONFIG) as runtime:
        for name in sorted(accepted):
            target, amount = load.asked[name]
            answer = await submit(runtime, target, amount, name, wait=True)
            if not answer.is_duplicate:
                problems.append(f"call {name} of {target} was accepted, and is not in {copy}")
            elif name in answered and told(answer.outcome) != answered[name]:
                problems.append(f"call {name} of {target} had another outcome in {copy}")
    view = DirectoryView(copy)
    problems += verify_rows(view, epoch=view.epoch)
    view.close()
    return problems
