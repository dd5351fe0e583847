"""What came with HTTP: edits of a state, links that are signed, bodies that are not JSON.

As ``first``: it may use nothing that the first release with all of this lacks, and must stay as it
is.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from holdfast import Context, VirtualObject, handler, shared, state

if TYPE_CHECKING:
    from holdfast import ManualClock, Runtime

HOUR = timedelta(hours=1)
MONTH = timedelta(days=30)


class Till(VirtualObject):
    """One of each thing that came with the third."""

    total: int = state(0)
    picture: bytes = state(b"")

    @handler
    async def hold(self, ctx: Context) -> int:
        await ctx.sleep(HOUR)
        self.total += 1
        return self.total

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        del ctx
        self.total += amount
        return self.total

    @handler
    async def ask(self, ctx: Context) -> str:
        return await ctx.awakeable(str, message="asked by a link")

    @handler(accept="image/*")
    async def put(self, ctx: Context, data: bytes) -> int:
        await ctx.sleep(HOUR)
        self.picture = data
        return len(data)

    @shared
    async def sizes(self, ctx: Context) -> list[int]:
        del ctx
        return [self.total, len(self.picture)]


CLASSES: list[type] = [Till]

STORIES: dict[str, tuple[Any, ...]] = {
    "holds": ("Till", "edited", "hold", None),
    "asks": ("Till", "asks", "ask", None),
    "puts": ("Till", "picture", "put", "bytes"),
}

EXPECTED: dict[str, Any] = {"holds": 1, "asks": "by hand", "puts": len('"bytes"')}
STATUSES: dict[str, int] = {}

UNCHECKED = frozenset[str]()
"""Stories that come to what differs each time."""

READ: dict[str, tuple[tuple[Any, ...], Any]] = {
    "edited after its turn": (("Till", "edited", "sizes", None), [107, 0]),
    "picture": (("Till", "picture", "sizes", None), [0, len('"bytes"')]),
}

RUN_AGAIN: frozenset[str] = frozenset()

_EDITS: list[asyncio.Future[None]] = []


async def begin(runtime: Runtime, clock: ManualClock, seen: dict[str, Any]) -> None:
    """What is done to invocations before the process dies."""
    edit = asyncio.ensure_future(runtime.set_state(Till, "edited", {"total": 100}))
    _EDITS.append(edit)
    await clock.advance(1)
    await runtime.object(Till, "edited").add.send(7)
    page = await runtime.awakeables(Till, "asks")
    asked = page.awakeables[0].id
    link = await runtime.awakeable_link(asked, "resolve", "by link", expires_in=MONTH)
    seen["link"] = {"id": asked, "at_ms": clock.now_ms(), "url": link}


async def answer(runtime: Any, seen: dict[str, Any]) -> None:
    """What those outside do afterwards."""
    made = seen["link"]
    left = MONTH - timedelta(milliseconds=runtime.clock.now_ms() - made["at_ms"])
    again = await runtime.awakeable_link(made["id"], "resolve", "by link", expires_in=left)
    assert again == made["url"], "it is signed with another key"
    assert await runtime.resolve_awakeable(made["id"], "by hand")
