"""Whether a long session is dearer than a young one: turns that append to a plain list.

Time and bytes written are medians over windows of turns. The time holds one fsync, which hides
growth, so the time of the loop's thread alone stands beside it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from holdfast import Runtime

from .harness import Figure, Options, Scenario, median, run_embedded, scratch
from .objects import Diary

_TURNS = 10_000
_YOUNG = slice(10, 60)
_OLD = slice(_TURNS - 50, _TURNS)
_CONTENT = "What did we say about that the last time we spoke?"
_RATIO_MAX = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn cost."""

    seconds: float
    loop_seconds: float
    bytes_written: int


async def _take_turns(directory: Path, count: int) -> list[Turn]:
    """Take ``count`` turns in a fresh runtime."""
    turns: list[Turn] = []
    async with Runtime([Diary], data_dir=directory, durability="fsync") as runtime:
        for _ in range(count):
            before = runtime.statistics().bytes_written
            started, thread_started = time.perf_counter(), time.thread_time()
            await runtime.object(Diary, "sam").turn(_CONTENT)
            turn = Turn(
                seconds=time.perf_counter() - started,
                loop_seconds=time.thread_time() - thread_started,
                bytes_written=runtime.statistics().bytes_written - before,
            )
            turns.append(turn)
    return turns


def _run(options: Options) -> Iterable[Figure]:
    with scratch(options) as directory:
        turns = run_embedded(_take_turns(directory, _TURNS))
        after_restart = run_embedded(_take_turns(directory, 51))
    young, old = turns[_YOUNG], turns[_OLD]
    ratio_of = {
        "time": (_seconds(young), _seconds(old), 1e6, "us"),
        "bytes written": (_bytes(young), _bytes(old), 1, "bytes"),
    }
    for what, (early, late, scale, unit) in ratio_of.items():
        yield Figure(
            what=f"{what}, turn 10,000 by turn 10",
            value=late / early,
            unit="",
            at_most=_RATIO_MAX,
            note=f"{early * scale:,.0f} and {late * scale:,.0f} {unit}",
        )
    early, late = _loop_seconds(young), _loop_seconds(old)
    yield Figure(
        what="loop's own time, turn 10,000 by turn 10",
        value=late / early,
        unit="",
        note=f"{early * 1e6:.0f} and {late * 1e6:.0f} us, without the disk",
    )
    first, later = after_restart[0], after_restart[1:]
    yield Figure(
        what="first turn after a restart",
        value=first.seconds * 1e6,
        unit="us",
        note=f"loop {first.loop_seconds * 1e6:.0f} us, {first.bytes_written:,} bytes",
    )
    yield Figure(
        what="later turns after a restart",
        value=_seconds(later) * 1e6,
        unit="us",
        note=f"loop {_loop_seconds(later) * 1e6:.0f} us, {_bytes(later):,.0f} bytes",
    )


def _seconds(turns: list[Turn]) -> float:
    return median(turn.seconds for turn in turns)


def _loop_seconds(turns: list[Turn]) -> float:
    return median(turn.loop_seconds for turn in turns)


def _bytes(turns: list[Turn]) -> float:
    return median(turn.bytes_written for turn in turns)


GROWTH = Scenario(
    name="growth", title="A session that appends to a plain list, 10,000 turns, fsync", run=_run
)
