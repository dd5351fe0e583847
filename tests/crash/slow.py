"""Objects whose steps take long, for stopping in the middle. They report by lines in a file."""

import asyncio
import os
from pathlib import Path

from holdfast import Context, VirtualObject, handler, step_info

REPORT = Path(os.environ["HOLDFAST_SLOW_REPORT"])


class Slow(VirtualObject):
    """Two steps side by side: one that ends soon, and one that ends at its second attempt."""

    @handler
    async def toil(self, ctx: Context) -> list[int]:
        async with asyncio.TaskGroup() as group:
            soon = group.create_task(self._run(ctx, "soon"))
            never = group.create_task(self._run(ctx, "hanging"))
        return [soon.result(), never.result()]

    @handler
    async def steps(self, ctx: Context, count: int) -> int:
        return sum([await self._run(ctx, f"step {number}") for number in range(count)])

    async def _run(self, ctx: Context, name: str) -> int:
        return await ctx.run(name, act)


async def act() -> int:
    info = step_info()
    report(f"{info.name} {info.attempt}")
    if info.name == "hanging" and info.attempt == 1:
        await asyncio.Event().wait()
    await asyncio.sleep(0.2)
    return info.attempt


def report(line: str) -> None:
    with REPORT.open("a") as file:
        file.write(f"{line}\n")
