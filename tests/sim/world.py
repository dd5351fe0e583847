"""One world: a server that dies again and again, its clients, and what the outside makes of it.

Everything is drawn from the seed: ``run_world("7")`` is the same world each time, on any machine
and under any hash seed. It ends when the clients are done, faults are off, the server has died once
more and all that was accepted has come to its end, or has not within days of virtual time.
"""

import atexit
import gc
import logging
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Final

from holdfast import RetryPolicy, RuntimeConfig
from holdfast.journal import keys
from holdfast.journal.memory import MemoryStore

from .actions import Outside
from .clients import Clients
from .deliveries import Deliveries
from .hooks import Hooks
from .ledger import Ledger
from .nemesis import Nemesis
from .network import Network
from .operators import Operator
from .otherwise import Otherwise
from .outsiders import Outsiders
from .patching import Patching
from .process import Process
from .readers import Readers
from .restoring import Backup, Restoring, take_up
from .rivals import Rivals
from .seams import WallClock
from .strangers import Strangers
from .universe import SimLoop, Universe
from .verdict import judge
from .watching import Watching

FAULTS: Final = (
    "kill",
    "power",
    "disk",
    "slow",
    "full",
    "network",
    "clock",
    "operator",
    "suspend",
    "stop",
    "nag",
    "backup",
)

WORLDS_KEPT_MAX = 25
_EXPECTED: Final = re.compile(
    " is paused: (step .* is unknown|the last of .* stumbled)"
    "|will not be told the outcome of .* nobody wants to hear it"
)
EVENTS_MAX = 400_000
LONG_SHARE = 0.3
"""How many worlds have delays of hours; in the others maintenance comes every second."""

FORGETFUL_SHARE = 0.12
"""How many worlds keep what is completed for seconds only."""

CALLBACK_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    max_interval=timedelta(seconds=30),
    jitter=0.2,
    max_attempts=None,
)
URGENT_SHARE = 0.12
"""How many worlds have many calls that interrupt or are messages."""

STRICT_SHARE = 0.4
"""How many worlds refuse another request with the same key."""

CROWDED_SHARE = 0.1
"""How many worlds keep no more than a few completed calls."""

CROWDED_BYTES = 1 << 20

LAST_SECONDS = 7_200
LAST_SECONDS_OF_LONG = 4 * 86_400
"""So long may the end take: longer than the longest delay there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a world is made of; less of it makes a story shorter."""

    faults: frozenset[str] = frozenset(FAULTS)
    clients: int = 3
    requests: int = 8
    """Of each client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a world came out."""

    seed: str
    violations: tuple[str, ...]
    fingerprint: str
    counters: Counter[str] = field(repr=False)
    story: tuple[str, ...] = field(repr=False)


class World:
    """A world while it runs."""

    def __init__(self, seed: str, options: Options, backup: Backup | None = None) -> None:
        self.seed = seed
        self.options = options
        self.backup = backup
        """What it begins with, if it does not begin with nothing."""
        self.universe = Universe(seed) if backup is None else backup.universe
        self.wall = WallClock(self.universe)
        self.ledger = Ledger(self.universe, lambda: self.process.disk, lambda: self.wall.highest_ms)
        if backup is not None:
            backup.settle(self.ledger, self.wall)
            self.ledger = backup.ledger
        self.faults = options.faults
        self.config = draw_config(Random(f"{seed}/config"), options)
        if backup is not None:
            self.config = backup.config
        self.clients_loop = SimLoop(self.universe, "clients", self._complain)
        self.memory = MemoryStore() if backup is None else backup.memory
        self.process: Process
        """The one that runs, or the last one that did."""
        self.lives = 0 if backup is None else backup.lives
        self.network = Network(
            self.universe,
            self.clients_loop,
            self.ledger,
            Random(f"{seed}/network"),
            lambda: self.process if self.process.is_alive else None,
        )
        self.ledger.is_forgetful = self.config.retention < timedelta(days=1)
        self.ledger.is_crowded = self.config.retained_bytes_max < CROWDED_BYTES
        self.is_long = self.config.maintenance_ms > 1_000
        self.is_urgent = Random(f"{seed}/urgent").random() < URGENT_SHARE
        self.clients = Clients(self, Random(f"{seed}/clients"))
        self.otherwise = Otherwise(self, Random(f"{seed}/otherwise"))
        self.outsiders = Outsiders(self, Random(f"{seed}/outsiders"))
        self.hooks = Hooks(self, Random(f"{seed}/hooks"))
        self.operator = Operator(self, Random(f"{seed}/operator"))
        self.patching = Patching(self, Random(f"{seed}/patched"))
        if backup is not None:
            self.patching.take_up(backup.patching)
        self.watching = Watching(self, Random(f"{seed}/watching"))
        self.rivals = Rivals(self, Random(f"{seed}/rivals"))
        self.readers = Readers(self, Random(f"{seed}/readers"))
        self.deliveries = Deliveries(self, Random(f"{seed}/deliveries"))
        self.strangers = Strangers(self, Random(f"{seed}/strangers"))
        self.restoring = Restoring(self, Random(f"{seed}/restoring"))
        self.nemesis = Nemesis(self, Random(f"{seed}/nemesis"))

    # -- Life and death of the server -----------------------------------------------------------

    def start(self) -> None:
        """A new process begins on what the last one left."""
        self.lives += 1
        Outside.code = self.patching.start(self.lives)
        self.ledger.tell(f"process {self.lives} starts")
        self.process = Process(
            self.universe,
            self.wall,
            self.memory,
            config=self.config,
            seed=f"{self.seed}/{self.lives}",
            ledger=self.ledger,
            on_exit=self.exited,
            post=self.hooks.post,
            tokens=self.strangers.tokens,
        )
        self.nemesis.started(self.process)

    def kill(self, *, is_power_cut: bool) -> None:
        """The process dies, now."""
        if self.process.is_alive:
            self.ledger.tell("power cut" if is_power_cut else "kill -9")
            self.process.kill()
            self.exited(self.process, is_power_cut=is_power_cut)

    def exited(self, process: Process, *, is_power_cut: bool = False) -> None:
        """A process is gone."""
        process.is_ready = False
        self.ledger.running.died()
        self.network.died(process)
        self.ledger.count("processes that died")
        if process.disk.written > process.disk.durable:
            self.ledger.count("died between write and sync")
        is_cut = is_power_cut or self.nemesis.takes_power()
        self.memory, lost = process.disk.crash(is_power_cut=is_cut)
        if lost:
            self.ledger.count("written batches were lost")
            self.ledger.tell(f"{lost} batches are lost")
        seconds = self.nemesis.draw_downtime()
        self.universe.after(seconds, self.start)

    # -- The run --------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Run it to its end."""
        Outside.ledger = self.ledger
        try:
            return self._run()
        finally:
            self.ledger.is_sealed = True
            del Outside.ledger, Outside.code

    def _run(self) -> Outcome:
        self.start()
        if self.backup is not None:
            take_up(self, self.backup)
        self.restoring.begin()
        self.watching.begin()
        self.clients.begin()
        self.operator.begin()
        self.outsiders.begin()
        for each in (self.rivals, self.readers, self.deliveries, self.strangers):
            each.begin()
        self.nemesis.begin()
        self._step_until(lambda: self.clients.are_done, "the clients never come to an end")
        self.nemesis.end()
        self.ledger.tell("faults are off")
        self._step_until(lambda: self.process.is_ready, "the server does not come up")
        self.kill(is_power_cut=False)
        seconds = LAST_SECONDS_OF_LONG if self.is_long else LAST_SECONDS
        end_us = self.universe.now_us + seconds * 1_000_000
        self._step_until(lambda: self.is_at_rest or self.universe.now_us > end_us, "no end")
        if not self.is_at_rest:
            self.ledger.violate("I15 not all comes to its end")
        judge(self)
        self.ledger.tell(f"{self.universe.events} events, {self.lives} lives")
        self.ledger.is_sealed = True
        ledger = self.ledger
        for loop in (self.clients_loop, self.process.loop):
            loop.kill()
        return Outcome(
            seed=self.seed,
            violations=tuple(ledger.violations),
            fingerprint=ledger.fingerprint,
            counters=ledger.counters,
            story=tuple(ledger.story),
        )

    @property
    def rows(self) -> MemoryStore:
        """What is on disk now."""
        return self.process.disk.memory if self.process.is_alive else self.memory

    @property
    def is_at_rest(self) -> bool:
        """Whether everything that was accepted has ended, and what is forgotten is gone."""
        if not self.process.is_serving or self.outsiders.is_busy:
            return False
        tables = keys.INVOCATION, keys.REMAINS
        scans = (self.process.disk.scan(*keys.prefix_range(table)) for table in tables)
        return all(next(iter(scan), None) is None for scan in scans)

    def _step_until(self, is_done: Callable[[], bool], otherwise: str) -> None:
        universe = self.universe
        for _ in range(EVENTS_MAX):
            # Looked at now and then only: it is asked more often than anything else.
            for _ in range(20):
                if not universe.step():
                    break
            if is_done() or self.ledger.violations:
                return
        self.ledger.violate(f"I15 {otherwise}")

    def _complain(self, what: str) -> None:
        self.ledger.violate(f"a client failed: {what:.300}")


def draw_config(random: Random, options: Options) -> RuntimeConfig:
    """Limits and delays of a world's server; small ones, so that they are met."""
    is_long = random.random() < LONG_SHARE
    config = RuntimeConfig(
        maintenance_ms=600_000 if is_long else 1_000,
        retention=timedelta(seconds=5 if random.random() < FORGETFUL_SHARE else 864_000),
        callback_timeout=timedelta(seconds=5),
        callback_retry=CALLBACK_RETRY,
        callbacks_max=random.choice((1, 2, 32)),
    )
    if "suspend" in options.faults:
        config = replace(
            config,
            idle_ms_max=random.choice((0, 5, 60_000)),
            resident_attempts_max=random.choice((1, 3, 10_000)),
            always_replay=random.random() < 0.1,
        )
    if random.random() < CROWDED_SHARE:
        config = replace(config, retained_bytes_max=random.choice((0, 2_000, 20_000)))
    if random.random() < 0.3:
        # A journal is forgotten in several slices.
        config = replace(config, collect_rows_max=random.choice((1, 3, 10)))
    if random.random() < 0.1:
        config = replace(config, mailbox_invocations_max=2)
    if random.random() < 0.4:
        # What is woken in one turn runs in a later one, behind a commit.
        config = replace(config, turn_pumps_max=1)
    return replace(config, idempotency_strict=random.random() < STRICT_SHARE)


def run_world(seed: str, options: Options | None = None) -> Outcome:
    """Run the world of this seed to its end; see the module."""
    with quiet() as told:
        world = World(seed, options or Options())
        told.ledger = world.ledger
        outcome = world.run()
        _over.append(world)
        backup = world.restoring.backup
        if backup is not None and not outcome.violations:
            line = Options(faults=frozenset(), clients=0)
            restored = World(f"{seed}/restored", line, backup)
            told.ledger = restored.ledger
            outcome = _join(outcome, restored.run())
            _over.append(restored)
            del restored
        told.ledger = None
        del world
        if len(_over) >= WORLDS_KEPT_MAX:
            clear_away()
    return outcome


def _join(first: Outcome, second: Outcome) -> Outcome:
    """What came of a world and of what was restored of it."""
    return replace(
        first,
        violations=second.violations,
        fingerprint=f"{first.fingerprint[:16]}{second.fingerprint[:16]}",
        counters=first.counters + second.counters,
        story=(*first.story, "", "restored:", *second.story),
    )


def clear_away() -> None:
    """Let go of worlds that are over, and of all that their dead processes held."""
    with quiet():
        hook, sys.unraisablehook = sys.unraisablehook, _ignore
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _over.clear()
            gc.collect()
        sys.unraisablehook = hook


# Worlds that are over. Clearing one away takes as long as running it, and it takes as long to
# clear many; and what their dead coroutines do when they go must not be seen by a living world.
_over: list[World] = []
atexit.register(clear_away)


class _Log(logging.Handler):
    """What the runtime logs as an error is one, unless it is about a disk that was told to fail."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.ledger: Ledger | None = None

    def emit(self, record: logging.LogRecord) -> None:
        ledger = self.ledger
        if ledger is None or ledger.is_sealed or record.levelno >= logging.CRITICAL:
            return  # A runtime that fails is looked at by its process.
        said = record.getMessage()
        if _EXPECTED.search(said):
            return  # As the order wants it.
        ledger.violate(f"I21 the log says: {said:.300}")


@contextmanager
def quiet() -> Generator[_Log, None, None]:
    """Nothing is logged, and no garbage is collected at a moment of its own choice."""
    logger = logging.getLogger("holdfast")
    handler = _Log()
    before = logger.propagate, logger.handlers[:], gc.isenabled()
    logger.propagate = False
    logger.handlers = [handler]
    gc.disable()
    try:
        yield handler
    finally:
        logger.propagate, logger.handlers = before[0], before[1]
        if before[2]:
            gc.enable()


def _ignore(_: object) -> None:
    pass
