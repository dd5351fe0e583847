"""How fast a recorded session is taken up again, and whether a long one costs more per step.

A session does its steps and then waits for an awakeable, again and again. While it waits it leaves
memory; resolving the awakeable brings it back by replay. The time is from the resolve until the
handler has passed all that is recorded and its next action starts, one fsync included.

The journals are written without fsync, in another runtime, because nobody measures that part.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What one replay took; the loop's own time leaves out the disk and other processes."""

    seconds: float
    loop_seconds: float


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


async def _replay(directory: Path, awakeable_id: str, replays: int) -> list[Replay]:
    waits = _listen()
    measured: list[Replay] = []
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
            started, thread_started = time.perf_counter(), time.thread_time()
            runtime.complete_awakeable(parse_awakeable_id(awakeable_id), b"1")
            awakeable_id, at = await waits.get()
            loop_seconds = time.thread_time() - thread_started
            measured.append(Replay(seconds=at - started, loop_seconds=loop_seconds))
    return measured


def _run(options: Options) -> Iterable[Figure]:
    lengths = [100, 1_000, 10_000] if options.is_short else [100, 1_000, 10_000, 100_000]
    seconds: dict[int, float] = {}
    loop_seconds: dict[int, float] = {}
    with scratch(options) as directory:
        for steps in [0, *lengths]:
            replays = 30 if steps <= 1_000 else 5
            place = directory / str(steps)
            awakeable_id = run_embedded(_record(place, steps, replays))
            measured = run_embedded(_replay(place, awakeable_id, replays))
            seconds[steps] = median(each.seconds for each in measured)
            loop_seconds[steps] = median(each.loop_seconds for each in measured)
    per_step = {steps: (seconds[steps] - seconds[0]) / steps for steps in lengths}
    loop_per_step = {steps: (loop_seconds[steps] - loop_seconds[0]) / steps for steps in lengths}
    yield Figure(what="no steps", value=seconds[0] * 1e3, unit="ms", note="subtracted per step")
    for steps in lengths:
        yield Figure(
            what=f"{steps:,} steps",
            value=seconds[steps] * 1e3,
            unit="ms",
            at_most=_SECONDS_MAX * 1e3 if steps == _STEPS_OF_TARGET else None,
            note=f"{per_step[steps] * 1e6:.1f} us per step, "
            f"{loop_per_step[steps] * 1e6:.1f} us of the loop's own time",
        )
    # By the loop's own time: a hundred steps take less than an fsync takes more or less.
    yield Figure(
        what="dearest step by cheapest",
        value=max(loop_per_step.values()) / min(loop_per_step.values()),
        unit="",
        at_most=_SPREAD_MAX,
        note=f"own time, over lengths {lengths[0]:,} to {lengths[-1]:,}",
    )


REPLAY = Scenario(name="replay", title="Replay of recorded steps", run=_run)
