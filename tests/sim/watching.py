"""Those who wait for another state, or for a promise, and never ask again by themselves.

A watcher is told each time of another state than it knew, of no state that never was, and of the
last one in the end; and of a promise what it is completed with, by whomever it is told. What it has
seen before a crash it names after it.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from holdfast import RuntimeClosedError, StoreFailedError, TerminalError
from holdfast.journal import keys

from .actors import Cell, Flow
from .workload import KEYS

if TYPE_CHECKING:
    from .process import Process
    from .world import World

SHARE: Final = 0.12
"""How many worlds are watched."""

_LOOK_SECONDS: Final = 0.5
_MISSED_MAX: Final = 3


@dataclass(slots=True)
class Watcher:
    """One who waits for an object's state to change."""

    key: str
    tag: str | None = None
    log: list[str] = field(default_factory=list[str])
    waits_in: "Process | None" = None
    compares_in: "Process | None" = None
    missed: tuple[str, int] = ("", 0)
    """A state that it was not told of yet, and how often that was so in a row."""


class Watching:
    """Who watches in one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody does yet."""
        self._world = world
        self._random = random
        self._watchers: list[Watcher] = []
        self._promises: dict[str, str] = {}
        """What a promise is completed with, as somebody was told, by the key of its workflow."""
        self._waiting: dict[str, Process] = {}
        """In which process somebody waits for a promise."""

    def begin(self) -> None:
        """Have some begin, in some worlds."""
        random = self._random
        if random.random() < SHARE:
            self._watchers = [Watcher(random.choice(KEYS)) for _ in range(random.randrange(1, 4))]
            self._world.clients_loop.spawn(self._go_on())

    async def _go_on(self) -> None:
        """Begin anew in each process."""
        while True:
            process = self._world.process
            if process.is_serving:
                for watcher in self._watchers:
                    if watcher.waits_in is process:
                        # A slow disk answers several questions in the same moment.
                        if watcher.compares_in is process:
                            continue
                        watcher.compares_in = process
                        process.spawn(self._compare(process, watcher))
                    else:
                        watcher.waits_in, watcher.missed = process, ("", 0)
                        process.spawn(self._watch(process, watcher))
                for key in self._find_promises(process):
                    self._waiting[key] = process
                    process.spawn(self._wait(process, key))
            is_over = self._world.clients.are_done
            await asyncio.sleep(5 if is_over else _LOOK_SECONDS)

    async def _compare(self, process: "Process", watcher: Watcher) -> None:
        """Whether a watcher knows what has been known outside for a while."""
        try:
            seen = await process.runtime.wait_state(Cell, watcher.key)
        except (RuntimeClosedError, StoreFailedError):
            return
        watcher.compares_in = None
        tag, times = watcher.missed
        is_missed = seen.tag != watcher.tag
        watcher.missed = (seen.tag, times + 1 if tag == seen.tag else 1) if is_missed else ("", 0)
        if watcher.missed[1] > _MISSED_MAX:
            self._world.ledger.violate(f"I19 a watcher of {watcher.key} is not told of what is new")

    def _find_promises(self, process: "Process") -> list[str]:
        """Workflows whose promise nobody waits for."""
        orders = self._world.ledger.orders.values()
        return [
            order.key
            for order in orders
            if order.kind == "Flow"
            and order.acked_us
            and self._waiting.get(order.key) is not process
        ]

    async def _watch(self, process: "Process", watcher: Watcher) -> None:
        ledger, random = self._world.ledger, self._random
        while True:
            timeout = (
                timedelta(milliseconds=random.randrange(500)) if random.random() < 0.1 else None
            )
            try:
                seen = await process.runtime.wait_state(
                    Cell, watcher.key, since=watcher.tag, timeout=timeout
                )
            except (RuntimeClosedError, StoreFailedError):
                return
            if seen.tag == watcher.tag:
                if timeout is None:
                    ledger.violate(f"I19 a watcher of {watcher.key} is told of what it knew")
                continue
            ledger.count("a watcher was told")
            self._look(watcher, seen.values)
            watcher.tag = seen.tag

    def _look(self, watcher: Watcher, values: Mapping[str, Any]) -> None:
        ledger, object_ = self._world.ledger, f"Cell/{watcher.key}"
        log = list(values.get("log", []))
        if len(log) != values.get("count", 0):
            ledger.violate(f"I19 a watcher of {watcher.key} sees the middle of a change")
        if log[: len(watcher.log)] != watcher.log and object_ not in ledger.put_back:
            ledger.violate(f"I19 a watcher of {watcher.key} saw {len(watcher.log)} lines before")
        watcher.log = log
        ledger.reads.setdefault(object_, []).append((self._world.universe.now_us, log))

    async def _wait(self, process: "Process", key: str) -> None:
        promise = process.runtime.promise(Flow, key, "outside", str)
        with suppress(RuntimeClosedError, StoreFailedError):
            try:
                peeked = await promise.peek()
                if peeked is not None:
                    self._hear(key, peeked)
                self._hear(key, await promise.wait())
            except TerminalError as error:
                self._hear(key, error.message)

    def _hear(self, key: str, value: str) -> None:
        ledger = self._world.ledger
        ledger.count("somebody was told of a promise")
        known = self._promises.setdefault(key, value)
        is_again = any(
            order.kind == "Flow" and order.key == key and ledger.is_repeated(order.tag)
            for order in ledger.orders.values()
        )
        if known != value and not is_again:
            ledger.violate(f"I18 the promise of {key} is {value!r}, and was {known!r}")

    def judge(self, states: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """What is wrong in the end, given what objects hold."""
        process = self._world.process
        for watcher in self._watchers:
            log = list(states[f"Cell/{watcher.key}"].get("log", []))
            if watcher.waits_in is process and watcher.log != log:
                yield f"I19 a watcher of {watcher.key} was told of {len(watcher.log)} of {len(log)}"
        for key, waits_in in self._waiting.items():
            row = self._world.rows.get(keys.promise(keys.object_key("Flow", key), "outside"))
            if waits_in is process and row is not None and key not in self._promises:
                yield f"I18 the promise of {key} is completed, and whoever waits was not told"
