"""Objects that the kit's tests put through crashes, and what their actions do outside."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

from holdfast import (
    Context,
    Happened,
    Intent,
    NeverHappened,
    OutcomeUnknownError,
    TerminalError,
    VirtualObject,
    handler,
    state,
    step_info,
)
from holdfast.testing import Effects

EFFECTS = Effects()
ATTEMPTS = itertools.count()
BANK: dict[str, int] = {}
"""A fake that remembers payments by idempotency key."""


async def pay(cents: int) -> str:
    EFFECTS.add("paid", cents)
    await asyncio.sleep(0)
    return "paid"


def post(letter: str) -> None:
    EFFECTS.add(letter)


async def pay_at_bank(cents: int) -> str:
    BANK[step_info().idempotency_key] = cents
    EFFECTS.add("transfer", cents)
    await asyncio.sleep(0)
    return "paid"


async def wait_in_vain() -> str:
    await asyncio.Event().wait()
    return "never"


async def find_payment(intent: Intent) -> Happened | NeverHappened:
    return Happened("paid") if intent.idempotency_key in BANK else NeverHappened()


class Shop(VirtualObject):
    """A sale with everything: steps beside each other, a timer, a call, a send."""

    sold: list[str] = state(default_factory=list)

    @handler
    async def sell(self, ctx: Context, item: str) -> str:
        paid, _ = await asyncio.gather(ctx.run("pay", pay, 1200), ctx.run("post", post, item))
        await asyncio.sleep(3600)
        left = await ctx.object(Stock, item).take()
        await ctx.object(Stock, item).note.send(f"sold by {ctx.key}")
        self.sold.append(item)
        return f"{paid}, {left} left"

    @handler
    async def careful(self, ctx: Context) -> str:
        try:
            return await ctx.step(on_unknown="fail").run("pay", pay, 1200)
        except OutcomeUnknownError:
            return "nobody knows"

    @handler
    async def held(self, ctx: Context) -> str:
        return await ctx.step(on_unknown="pause").run("pay", pay, 1200)

    @handler
    async def held_twice(self, ctx: Context) -> tuple[str, str]:
        step = ctx.step(on_unknown="pause")
        return await asyncio.gather(step.run("pay", pay, 1200), step.run("pay again", pay, 300))

    @handler
    async def loses_its_way(self, ctx: Context) -> str:
        """Names its step otherwise in each attempt."""
        return await ctx.run(f"pay {next(ATTEMPTS)}", pay, 1200)

    @handler
    async def never_knows(self, ctx: Context) -> str:
        """Its step comes to no end, in no attempt."""
        step = ctx.step(on_unknown="pause", timeout=timedelta(seconds=1))
        return await step.run("wait", wait_in_vain)

    @handler
    async def verified(self, ctx: Context) -> str:
        return await ctx.step(on_unknown=find_payment).run("pay", pay_at_bank, 1200)

    @handler
    async def offer(self, ctx: Context) -> str:
        promise = ctx.awakeable(str)
        self.sold.append(promise.id)
        return await promise

    @handler
    async def refuse(self, ctx: Context) -> None:
        await ctx.run("post", post, "sorry")
        message = "sold out"
        raise TerminalError(message, status_code=409)


class Stock(VirtualObject):
    left: int = state(10)
    notes: list[str] = state(default_factory=list)

    @handler
    async def take(self, ctx: Context) -> int:
        self.left -= 1
        return self.left

    @handler
    async def note(self, ctx: Context, text: str) -> None:
        self.notes.append(text)


SHOPS: list[type] = [Shop, Stock]
