"""Whether a simulation finds a planted bug, and how soon.

    python -m tests.planted                     every bug, as `make prove` hunts them
    python -m tests.planted --bug "lost wake-up" --seed 3

A bug is hunted in a process of its own, forked from one that has imported everything: there it is
planted, and worlds are run from one seed after the other until one of them breaks a promise that
it keeps without the bug. A world that does not come to its end counts as found too.
"""

import logging
import math
import multiprocessing
import resource
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tests.planted.bugs import Bug
from tests.planted.planting import planted
from tests.planted.worlds import name_worlds, run

WORLD_SECONDS_MAX = 12
"""Of a core: a world takes a fraction of a second, so one that takes so long will not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of a hunt."""

    bug: Bug
    worlds: int
    """Until it was found, or in all."""
    seconds: float
    """Of one core."""
    seed: str
    """Of the world that found it."""
    caught: str
    """The first broken promise; empty if the bug was not found."""
    wrong: tuple[str, ...] = ()
    """What found nothing: worlds that are broken without the bug as well; a hunt that failed."""


@dataclass(slots=True)
class _Hunt:
    """One that is under way."""

    bug: Bug
    process: BaseProcess
    news: Connection
    world: str = ""
    worlds: int = 0
    """Begun."""
    seconds: float = 0.0
    """Of its core, when the last one began."""
    wrong: list[str] = field(default_factory=list[str])


def hunt_all(
    bugs: Iterable[Bug], seed: str, *, seconds_max: float, jobs: int = 2
) -> Iterator[Found]:
    """Hunt each bug for so many seconds of a core, some side by side; gives them as they end."""
    waiting = list(reversed(list(bugs)))
    running: list[_Hunt] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(), seed, seconds_max))
            for ended, found in _look(running):
                running.remove(ended)
                yield found
    finally:
        for each in running:
            each.process.kill()


def hunt(bug: Bug, seed: str, *, seconds_max: float = 60.0) -> Found:
    """Hunt one bug."""
    return next(iter(hunt_all([bug], seed, seconds_max=seconds_max)))


def _start(bug: Bug, seed: str, seconds_max: float) -> _Hunt:
    context = multiprocessing.get_context("fork")
    news, out = context.Pipe(duplex=False)
    process = context.Process(target=_hunt, args=(bug, seed, seconds_max, out), daemon=True)
    process.start()
    out.close()
    return _Hunt(bug, process, news)


def _hunt(bug: Bug, seed: str, seconds_max: float, out: Connection) -> None:
    """In the child: run worlds, telling of each before it begins, and of what was found."""
    logging.disable(logging.CRITICAL)
    began = time.process_time()
    worlds, world, caught = 0, "", ""
    for worlds, world in enumerate(name_worlds(seed), 1):  # told below
        seconds = time.process_time() - began
        if seconds > seconds_max:
            break
        limit = math.ceil(time.process_time()) + WORLD_SECONDS_MAX
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        out.send((world, worlds, seconds))
        with planted(bug.edits):
            caught = run(world)
        wrong = run(world) if caught else ""
        if caught and not wrong:
            break
        if wrong:
            out.send(f"{world} is broken without a bug, too: {wrong}")
            caught = ""
    seconds = time.process_time() - began
    out.send(Found(bug=bug, worlds=worlds, seconds=seconds, seed=world, caught=caught))


def _look(running: Sequence[_Hunt]) -> Iterator[tuple[_Hunt, Found]]:
    """Those hunts that have ended, after waiting for news."""
    ready = wait([each.news for each in running])
    for each in [each for each in running if each.news in ready]:
        try:
            told: Found | str | tuple[str, int, float] = each.news.recv()
        except EOFError:
            each.process.join()
            yield each, _died(each)
            continue
        if isinstance(told, Found):
            each.process.join()
            yield each, replace(told, wrong=tuple(each.wrong))
        elif isinstance(told, str):
            each.wrong.append(told)
        else:
            each.world, each.worlds, each.seconds = told


def _died(each: _Hunt) -> Found:
    """A hunt whose process has ended in the middle of a world."""
    code = each.process.exitcode
    caught = "I15 the world never ends" if code == -signal.SIGXCPU else ""
    return Found(
        bug=each.bug,
        worlds=each.worlds,
        seconds=each.seconds + WORLD_SECONDS_MAX,
        seed=each.world,
        caught=caught,
        # A hunt that ends by a mistake of its own has found nothing.
        wrong=(*each.wrong, *(() if caught else (f"the hunt ended with {code}",))),
    )
