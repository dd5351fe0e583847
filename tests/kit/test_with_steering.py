"""A turn that is steered and one that is interrupted, wherever the process dies."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import CanceledError, Context, VirtualObject, handler, state
from holdfast.testing import Client, Effects, crash_everywhere

OUTSIDE = Effects()


class Writer(VirtualObject):
    lines: list[str] = state(default_factory=list)

    @handler
    async def write(self, ctx: Context, title: str) -> list[str]:
        inbox = ctx.inbox(str)
        self.lines.append(title)
        try:
            while (said := await inbox.get()) != "enough":
                self.lines.append(await ctx.run("write", write, said))
            self.lines += await inbox.drain()
        except asyncio.CancelledError:
            self.lines.append(await ctx.run("tear up", tear_up, title))
            raise
        return self.lines


async def write(said: str) -> str:
    OUTSIDE.add("wrote", said)
    return said


async def tear_up(title: str) -> str:
    OUTSIDE.add("tore up", title)
    return f"no {title}"


@pytest.mark.parametrize("suspending", [False, True])
async def test_every_word_is_heard_once_and_the_next_one_goes_first(*, suspending: bool) -> None:
    async def tell(client: Client) -> str:
        writer = client.object(Writer, "w")
        steering = client.object(Writer, "w", mode="steer")
        poem = await writer.write.send("poem")
        await client.sleep(1)
        for said in ("sea", "rain", "enough"):
            await steering.write.send(said)
        assert await client.invocation(poem).attach() == ["poem", "sea", "rain"]

        novel = await writer.write.send("novel")
        last = await writer.write.send("last")
        await client.sleep(1)
        first = await client.object(Writer, "w", mode="interrupt").write.send("letter")
        await client.sleep(1)
        with pytest.raises(CanceledError):
            await client.invocation(novel).attach()
        await steering.write.send("enough")
        await client.invocation(first).attach()
        await client.sleep(1)
        await steering.write.send("enough")
        await client.invocation(last).attach()
        return "told"

    report = await crash_everywhere(
        tell, [Writer], effects=OUTSIDE, crash_again=True, suspending=suspending
    )

    assert report.ending.state["Writer/w"]["lines"] == [
        *("poem", "sea", "rain"),
        *("novel", "no novel"),
        *("letter", "last"),
    ]
