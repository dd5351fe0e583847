"""Whether what is large is dearer than what is small: in turns, in steps, in keys.

Turns append to a plain list of one session; steps are of one call; keys are those that have state.
Time and bytes written are medians over windows, and the least of those of several repeats. The time
holds an fsync, which hides growth, so the time of the loop's thread alone stands beside it.
"""

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from holdfast import Runtime

from .harness import Figure, Options, Scenario, median, run_embedded, scratch
from .objects import Counter, Diary, Walk

_TURNS = 10_000
_YOUNG = slice(10, 60)
_OLD = slice(_TURNS - 50, _TURNS)
_CONTENT = "What did we say about that the last time we spoke?"
_RATIO_MAX = 1.3

_STEPS = 10_000
_FILLERS = 128
_CALLERS = 8
"""Fewer than the fewest keys, so that no call waits for another."""
_CALLS_PER_ROUND = 2_000
_STRIDE = 7_919
"""A prime: walking by it visits all keys, and neighbours in time are none in the order of keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn cost."""

    seconds: float
    loop_seconds: float
    bytes_written: int


async def _take_turns(directory: Path, key: str, count: int) -> list[Turn]:
    """Take ``count`` turns of one session."""
    turns: list[Turn] = []
    async with Runtime([Diary], data_dir=directory, durability="fsync") as runtime:
        for _ in range(count):
            before = runtime.statistics().bytes_written
            started, thread_started = time.perf_counter(), time.thread_time()
            await runtime.object(Diary, key).turn(_CONTENT)
            turn = Turn(
                seconds=time.perf_counter() - started,
                loop_seconds=time.thread_time() - thread_started,
                bytes_written=runtime.statistics().bytes_written - before,
            )
            turns.append(turn)
    return turns


def _run(options: Options) -> Iterable[Figure]:
    yield from _turns(options)
    yield from _steps(options)
    yield from _keys(options)


def _repeats(options: Options) -> int:
    """How often a session is made long: its young end is short, and a neighbour disturbs it."""
    return 3 if options.is_short else 10


def _turns(options: Options) -> Iterable[Figure]:
    with scratch(options) as directory:
        sessions = [
            run_embedded(_take_turns(directory, f"sam {number}", _TURNS))
            for number in range(_repeats(options))
        ]
        after_restart = run_embedded(_take_turns(directory, "sam 0", 51))
    measures: tuple[tuple[str, Callable[[Turn], float], float, str], ...] = (
        ("time", lambda turn: turn.seconds, 1e6, "us"),
        ("loop's own time", lambda turn: turn.loop_seconds, 1e6, "us"),
        ("bytes written", lambda turn: turn.bytes_written, 1, "bytes"),
    )
    for what, measure, scale, unit in measures:
        pairs = [
            (
                median(measure(turn) for turn in turns[_YOUNG]),
                median(measure(turn) for turn in turns[_OLD]),
            )
            for turns in sessions
        ]
        yield _ratio_figure(f"{what}, turn 10,000 by turn 10", pairs, scale, unit)
    first, later = after_restart[0], after_restart[1:]
    yield Figure(
        what="first turn after a restart",
        value=first.seconds * 1e6,
        unit="us",
        note=f"loop {first.loop_seconds * 1e6:.0f} us, {first.bytes_written:,} bytes",
    )
    yield Figure(
        what="later turns after a restart",
        value=median(turn.seconds for turn in later) * 1e6,
        unit="us",
        note=f"loop {median(turn.loop_seconds for turn in later) * 1e6:.0f} us, "
        f"{median(turn.bytes_written for turn in later):,.0f} bytes",
    )


def _ratio_figure(
    what: str, pairs: Sequence[tuple[float, float]], scale: float, unit: str
) -> Figure:
    """The least late cost by the least early one: what a neighbour does can only add to them."""
    early, late = (min(values) * scale for values in zip(*pairs, strict=True))
    return Figure(
        what=what,
        value=late / early,
        unit="",
        at_most=_RATIO_MAX,
        note=f"{early:,.0f} and {late:,.0f} {unit}, the least of {len(pairs)}",
    )


@dataclass(frozen=True, slots=True)
class _Stamp:
    """When a step had ended, by the clock and by the loop's own time."""

    wall: float
    loop: float


async def _walk(directory: Path, count: int) -> list[list[_Stamp]]:
    """Make so many calls, one after the other."""
    walks: list[list[_Stamp]] = []
    async with Runtime([Walk], data_dir=directory, durability="fsync") as runtime:
        for number in range(count):
            stamps: list[_Stamp] = []
            Walk.on_step = _stamper(stamps)
            await runtime.object(Walk, f"walk {number}").walk(_STEPS)
            walks.append(stamps)
    return walks


def _stamper(stamps: list[_Stamp]) -> Callable[[int], None]:
    return lambda _: stamps.append(_Stamp(time.perf_counter(), time.thread_time()))


def _steps(options: Options) -> Iterable[Figure]:
    with scratch(options) as directory:
        walks = run_embedded(_walk(directory, _repeats(options)))
    young, old = slice(10, 210), slice(_STEPS - 201, _STEPS - 1)
    measures: tuple[tuple[str, Callable[[_Stamp], float]], ...] = (
        ("time", lambda stamp: stamp.wall),
        ("loop's own time", lambda stamp: stamp.loop),
    )
    for what, measure in measures:
        pairs: list[tuple[float, float]] = []
        for stamps in walks:
            costs = [measure(after) - measure(before) for before, after in pairwise(stamps)]
            pairs.append((median(costs[young]), median(costs[old])))
        yield _ratio_figure(f"{what}, step 10,000 by step 10", pairs, 1e6, "us")


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one call cost, as a mean over a round."""

    seconds: float
    loop_seconds: float


async def _fill(directory: Path, keys: int) -> None:
    """Give each key its state; without fsync, because nobody measures it."""
    numbers = iter(range(keys))

    async def call_again_and_again(runtime: Runtime) -> None:
        for number in numbers:
            await runtime.object(Counter, f"k{number}").add(1)

    async with Runtime([Counter], data_dir=directory, durability="process") as runtime:
        await asyncio.gather(*(call_again_and_again(runtime) for _ in range(_FILLERS)))


def _make_keys(options: Options, directory: Path, keys: int) -> None:
    """Make ``directory`` one in which so many keys have state, or copy the one that is kept."""
    if options.keep is None:
        run_embedded(_fill(directory, keys))
        return
    kept = options.keep / f"keys-{keys}"
    if not kept.exists():
        # Under another name until it is whole: whoever is interrupted leaves none that looks so.
        making = options.keep / f"keys-{keys}.making"
        shutil.rmtree(making, ignore_errors=True)
        run_embedded(_fill(making, keys))
        making.rename(kept)
    shutil.copytree(kept, directory)


async def _call(runtime: Runtime, keys: int, numbers: Iterator[int]) -> _Cost:
    """One round of calls of several callers at once."""

    async def call_again_and_again() -> None:
        for _ in range(_CALLS_PER_ROUND // _CALLERS):
            await runtime.object(Counter, f"k{next(numbers) * _STRIDE % keys}").add(1)

    started, thread_started = time.perf_counter(), time.thread_time()
    await asyncio.gather(*(call_again_and_again() for _ in range(_CALLERS)))
    return _Cost(
        (time.perf_counter() - started) / _CALLS_PER_ROUND,
        (time.thread_time() - thread_started) / _CALLS_PER_ROUND,
    )


async def _compare(places: dict[int, Path], rounds: int) -> dict[int, list[_Cost]]:
    """Rounds of all sizes in turn, each in a runtime that has just been opened."""
    costs: dict[int, list[_Cost]] = {keys: [] for keys in places}
    numbers = itertools.count()
    async with AsyncExitStack() as stack:
        runtimes = {
            keys: await stack.enter_async_context(
                Runtime([Counter], data_dir=place, durability="fsync")
            )
            for keys, place in places.items()
        }
        for keys, runtime in runtimes.items():
            await _call(runtime, keys, numbers)
        for _ in range(rounds):
            for keys, runtime in runtimes.items():
                costs[keys].append(await _call(runtime, keys, numbers))
    return costs


def _keys(options: Options) -> Iterable[Figure]:
    sizes = (10, 10_000, 1_000_000 if options.is_large else 100_000)
    with scratch(options) as directory:
        places = {keys: directory / str(keys) for keys in sizes}
        for keys, place in places.items():
            _make_keys(options, place, keys)
        costs = run_embedded(_compare(places, 5 if options.is_short else 15))
    few = sizes[0]
    measures: tuple[tuple[str, Callable[[_Cost], float]], ...] = (
        ("time", lambda cost: cost.seconds),
        ("loop's own time", lambda cost: cost.loop_seconds),
    )
    for what, measure in measures:
        for keys in sizes[1:]:
            pairs = [
                (measure(small), measure(large))
                for small, large in zip(costs[few], costs[keys], strict=True)
            ]
            yield _ratio_figure(f"{what}, {keys:,} keys by {few}", pairs, 1e6, "us")


GROWTH = Scenario(
    name="growth",
    title="What is large beside what is small: turns, steps, keys; embedded, fsync",
    run=_run,
)
