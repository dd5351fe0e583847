"""What callers choose, a key or what a failure quotes, adds no line to the log and no escapes."""

import logging

import pytest

from holdfast import Context, RetryPolicy, TerminalError, VirtualObject, handler

from .worlds import World

EVIL = "a\n12:00:00 CRITICAL all is lost\x1b[31m"
SHOWN = r"a\n12:00:00 CRITICAL all is lost\x1b[31m"
TWICE = RetryPolicy(max_attempts=2, on_max_attempts="fail")


def refuse(text: str) -> None:
    raise ValueError(text)


class Shop(VirtualObject):
    @handler
    async def ends(self, ctx: Context, text: str) -> None:
        raise TerminalError(text)

    @handler(retry=TWICE)
    async def fails(self, ctx: Context, text: str) -> None:
        raise ValueError(text)

    @handler
    async def steps(self, ctx: Context, text: str) -> None:
        await ctx.step(retry=TWICE).run("refuse", refuse, text)

    @handler
    async def works(self, ctx: Context, text: str) -> None:
        """As it should."""


@pytest.mark.parametrize("name", ["ends", "fails", "steps", "works"])
async def test_a_key_and_a_failure_stay_in_their_line(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World([Shop])
    await world.start()
    with caplog.at_level(logging.DEBUG, "holdfast"):
        calling = world.runtime.call_by_name("Shop", EVIL, name, EVIL)
        if name == "works":
            await world.finish(calling)
        else:
            with pytest.raises(TerminalError):
                await world.finish(calling)
    world.close()

    lines = [each for each in caplog.messages if "Shop" in each]
    assert lines
    assert [f"Shop/{SHOWN}/{name}" in each for each in lines] == [True] * len(lines)
    assert all(each.isprintable() for each in lines)
