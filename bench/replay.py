"""How fast a recorded session is taken up again, and whether a long one costs more per step.

A session does its steps and then waits for an awakeable, again and again. While it waits it leaves
memory; resolving the awakeable brings it back by replay. The time is from the resolve until the
handler has passed all that is recorded and its next action starts, one fsync included.

The journals are written without fsync, in another runtime, because nobody measures that part.
"""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from holdfast import Runtime
from holdfast.objects.identity import parse_awakeable_id

from .harness import Figure, Options, Scenario, median, run_embedded, scratch
from .objects import Recorded

_STEPS_OF_TARGET = 10_000
_SECONDS_MAX = 0.25
_SPREAD_MAX = 1.5
"""What "flat" means: the dearest step of any length by the cheapest."""

Waits = asyncio.Queue[tuple[str, float]]


def _listen() -> Waits:
    waits = Waits()
    Recorded.on_wait = lambda awakeable_id, at: waits.put_nowait((awakeable_id, at))
    return waits


async def _record(directory: Path, steps: int, replays: int) -> str:
    """Write a journal of ``steps`` steps; gives the awakeable that its session waits for."""
    waits = _listen()
    async with Runtime([Recorded], data_dir=directory, durability="process") as runtime:
        await runtime.object(Recorded, f"{steps} steps").work.send(steps, replays + 1)
        return (await waits.get())[0]


async def _replay(directory: Path, awakeable_id: str, replays: int) -> list[float]:
    waits = _listen()
    seconds: list[float] = []
    async with Runtime([Recorded], data_dir=directory, durability="fsync") as runtime:
        # What the start itself takes up (the step that told us the id may have no result yet).
        await asyncio.sleep(0.2)
        for _ in range(replays):
            runtime.suspend_idle()
            while runtime.statistics().attempts_resident:
                await asyncio.sleep(0.01)
                runtime.suspend_idle()
            while not waits.empty():
                waits.get_nowait()
            started = time.perf_counter()
            runtime.complete_awakeable(parse_awakeable_id(awakeable_id), b"1")
            awakeable_id, at = await waits.get()
            seconds.append(at - started)
    return seconds


def _run(options: Options) -> Iterable[Figure]:
    lengths = [100, 1_000, 10_000] if options.is_short else [100, 1_000, 10_000, 100_000]
    seconds: dict[int, float] = {}
    with scratch(options) as directory:
        for steps in [0, *lengths]:
            replays = 30 if steps <= 1_000 else 5
            place = directory / str(steps)
            awakeable_id = run_embedded(_record(place, steps, replays))
            seconds[steps] = median(run_embedded(_replay(place, awakeable_id, replays)))
    per_step = {steps: (seconds[steps] - seconds[0]) / steps for steps in lengths}
    yield Figure(what="no steps", value=seconds[0] * 1e3, unit="ms", note="subtracted per step")
    for steps in lengths:
        yield Figure(
            what=f"{steps:,} steps",
            value=seconds[steps] * 1e3,
            unit="ms",
            at_most=_SECONDS_MAX * 1e3 if steps == _STEPS_OF_TARGET else None,
            note=f"{per_step[steps] * 1e6:.1f} us per step",
        )
    yield Figure(
        what="dearest step by cheapest",
        value=max(per_step.values()) / min(per_step.values()),
        unit="",
        at_most=_SPREAD_MAX,
        note=f"over lengths {lengths[0]:,} to {lengths[-1]:,}",
    )


REPLAY = Scenario(name="replay", title="Replay of recorded steps", run=_run)
