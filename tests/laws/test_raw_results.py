"""Results that are no JSON, wherever they are recorded: the process dies at every commit."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from holdfast import Completed, Context, Service, VirtualObject, handler, state
from holdfast.testing import crash_everywhere

if TYPE_CHECKING:
    from holdfast.testing import Client

EVERY_BYTE = bytes(range(256))


class Press(Service):
    @handler(accept="*/*", content_type="image/png")
    async def turn(self, ctx: Context, data: bytes) -> bytes:
        await ctx.run("note", str)
        return data[::-1]


class Album(VirtualObject):
    @handler
    async def fill(self, ctx: Context) -> bytes:
        """A picture by each way there is, one after the other."""
        inbox = ctx.object(Told, ctx.key)
        typed = await ctx.service(Press).turn(EVERY_BYTE)
        named = await ctx.call("Press", None, "turn", typed)
        sent = await ctx.service(Press, callback=inbox.done).turn.send(named)
        attached = await ctx.attach(sent, bytes)
        await ctx.run("note", str)
        late = await ctx.attach(sent, bytes)
        assert attached == late
        return attached


class Told(VirtualObject):
    what: list[Any] = state(default_factory=list)

    @handler
    async def done(self, ctx: Context, completed: Completed) -> None:
        self.what.append(completed.result)


async def fill(client: Client) -> bytes:
    return await client.object(Album, "a").fill()


async def test_bytes_are_the_same_by_every_way_whenever_the_process_dies() -> None:
    report = await crash_everywhere(fill, [Press, Album, Told], crash_again=True)
    assert report.commits > 3
    assert report.ending.outcome == EVERY_BYTE[::-1]
    told = [base64.b64encode(EVERY_BYTE[::-1]).decode()]
    assert report.ending.state["Told/a"] == {"what": told}
