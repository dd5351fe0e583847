"""What is served while the disk fails: an object, a step, a message and a timer in every call."""

import asyncio
from datetime import timedelta

from holdfast import Context, VirtualObject, handler, shared, state


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


class Account(VirtualObject):
    """Every call leaves its token here once, and once at the mirror."""

    tokens: list[str] = state(default_factory=list)

    @handler
    async def put(self, ctx: Context, token: str) -> int:
        self.tokens.append(token)
        doubled = await ctx.run("double", _double, len(self.tokens))
        ctx.object(Mirror, ctx.key).put.send(token)
        ctx.object(Mirror, f"{ctx.key} later").put.send(token, delay=timedelta(milliseconds=5))
        return doubled

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.tokens


class Mirror(VirtualObject):
    """What was sent here."""

    tokens: list[str] = state(default_factory=list)

    @handler
    async def put(self, ctx: Context, token: str) -> None:
        self.tokens.append(token)

    @shared
    async def read(self, ctx: Context) -> list[str]:
        return self.tokens
