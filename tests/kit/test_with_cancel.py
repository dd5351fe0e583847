"""A cancellation is like everything else: it survives crashes, suspension and replay."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Context, RuntimeConfig, VirtualObject, handler, state
from holdfast.testing import Client, Effects, crash_everywhere

OUTSIDE = Effects()


class Booking(VirtualObject):
    log: list[str] = state(default_factory=list)

    @handler
    async def book(self, ctx: Context, city: str) -> str:
        try:
            self.log.append(await ctx.run("reserve", reserve, city))
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.log.append(await ctx.run("release", release, city))
            raise
        return city


async def reserve(city: str) -> str:
    OUTSIDE.add("reserved", city)
    return f"reserved {city}"


async def release(city: str) -> str:
    OUTSIDE.add("released", city)
    return f"released {city}"


@pytest.mark.parametrize("suspending", [False, True])
@pytest.mark.parametrize("always_replay", [False, True])
async def test_a_booking_is_taken_back_wherever_the_process_dies(
    *, suspending: bool, always_replay: bool
) -> None:
    async def change_mind(client: Client) -> str:
        id_ = await client.object(Booking, "b").book.send("Oslo")
        await client.sleep(60)
        await client.invocation(id_).cancel()
        return await client.object(Booking, "b").book("Rome")

    report = await crash_everywhere(
        change_mind,
        [Booking],
        effects=OUTSIDE,
        config=RuntimeConfig(always_replay=always_replay),
        crash_again=True,
        suspending=suspending,
    )

    assert report.ending.outcome == "Rome"
    assert report.ending.state == {
        "Booking/b": {"log": ["reserved Oslo", "released Oslo", "reserved Rome"]}
    }
