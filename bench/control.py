"""From a cancel to the exception in the action that runs for the handler, which no disk delays."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from holdfast import Context, Runtime, VirtualObject, handler

from .harness import Figure, Options, Scenario, run_embedded, scratch


class Model(VirtualObject):
    """An agent in the middle of a long answer."""

    @handler
    async def answer(self, ctx: Context) -> str:
        """Wait for a model that never answers."""
        return await ctx.run("model", think)


_began: asyncio.Event
_ended: "asyncio.Future[float]"


async def think() -> str:
    """Tell that it has begun, and when it is cancelled."""
    _began.set()
    try:
        await asyncio.Event().wait()
    finally:
        _ended.set_result(time.perf_counter())
    return "never"


async def _measure(directory: Path, count: int) -> list[float]:
    """Seconds from the cancel to the ``CancelledError``, of each."""
    global _began, _ended  # noqa: PLW0603  # an action gets nothing but its arguments
    seconds: list[float] = []
    async with Runtime([Model], data_dir=directory / "data", durability="fsync") as runtime:
        for number in range(count):
            _began = asyncio.Event()
            _ended = asyncio.get_running_loop().create_future()
            id_ = await runtime.object(Model, f"k{number}").answer.send()
            await _began.wait()
            started = time.perf_counter()
            canceled = runtime.invocation(id_).cancel("measured")
            seconds.append(await _ended - started)
            await canceled
    return seconds


def _run(options: Options) -> Iterable[Figure]:
    count = 1_000 if options.is_short else 10_000
    with scratch(options) as directory:
        seconds = sorted(run_embedded(_measure(directory, count)))
    yield Figure(
        what="cancel to the action's exception, median",
        value=seconds[len(seconds) // 2] * 1e6,
        unit="us",
        at_most=1_000,
        note=f"{count:,} of them; nothing of it waits for the disk",
    )
    yield Figure(
        what="the same, 99 of 100",
        value=seconds[len(seconds) * 99 // 100] * 1e6,
        unit="us",
        at_most=5_000,
        note=f"the slowest {seconds[-1] * 1e6:,.0f} us",
    )


CONTROL = Scenario(name="control", title="From a cancel to the action that runs, fsync", run=_run)
