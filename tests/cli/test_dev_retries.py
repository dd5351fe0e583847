"""What ``dev`` tries again as it starts, and what it leaves to a person."""

import asyncio
from datetime import timedelta
from typing import ClassVar

from holdfast import Context, MemoryStore, RetryPolicy, Runtime, VirtualObject, handler
from holdfast.dev_retries import try_again

HOURS = RetryPolicy(initial_interval=timedelta(hours=1), max_interval=timedelta(hours=1))


class Worker(VirtualObject, retry=HOURS):
    is_mended: ClassVar[bool] = False
    charged: ClassVar[list[str]] = []

    @handler
    async def mistaken(self, ctx: Context) -> str:
        return "done" if self.is_mended else await asyncio.to_thread(str)

    @handler
    async def failing(self, ctx: Context) -> str:
        if not self.is_mended:
            raise ValueError
        return "done"

    @handler
    async def failing_step(self, ctx: Context) -> str:
        return await ctx.run("work", self._work)

    @handler
    async def unknown(self, ctx: Context) -> str:
        step = ctx.step(timeout=0.01, on_unknown="pause")
        return await step.run("charge", self._charge)

    @handler
    async def waiting(self, ctx: Context) -> str:
        return await ctx.awakeable(str)

    @staticmethod
    async def _work() -> str:
        if not Worker.is_mended:
            raise ValueError
        return "done"

    @staticmethod
    async def _charge() -> str:
        Worker.charged.append("charged")
        await asyncio.sleep(0 if Worker.is_mended else 3600)
        return "done"


async def test_it_tries_again_what_failed_and_leaves_what_waits_for_a_person() -> None:
    Worker.is_mended, Worker.charged = False, []
    async with Runtime([Worker], store=MemoryStore()) as runtime:

        async def status_of(id_: str) -> str:
            return (await runtime.invocation(id_).describe()).status

        async def has(statuses: dict[str, str]) -> None:
            found: dict[str, str] = {}
            async with asyncio.timeout(10):
                while found != statuses:
                    await asyncio.sleep(0.01)
                    found = {how: await status_of(ids[how]) for how in statuses}

        hows = ("mistaken", "failing", "failing_step", "unknown", "waiting")
        ids = {how: await runtime.send_by_name("Worker", how, how) for how in hows}
        ids["by hand"] = await runtime.send_by_name("Worker", "by hand", "waiting")
        failed = {"mistaken": "paused", "failing": "backing-off", "failing_step": "backing-off"}
        left = {"unknown": "paused", "waiting": "suspended", "by hand": "suspended"}
        await has(failed | left)
        await runtime.invocation(ids["by hand"]).pause()
        left["by hand"] = "paused"
        await has(failed | left)

        Worker.is_mended = True
        assert await try_again(runtime) == len(failed)
        await has(dict.fromkeys(failed, "completed") | left)
        assert Worker.charged == ["charged"]
        assert await try_again(runtime) == 0
