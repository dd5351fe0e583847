"""A play: clients that call a runtime, a world that turns, and a death at a chosen commit.

Clients behave as they should: each call has an idempotency key, and whoever got no answer from a
runtime that died asks the next one again, in the order of the first asking. What happened outside
is kept in ``Outside``, which no crash touches.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from holdfast import (
    HoldfastError,
    RuntimeConfig,
    TerminalError,
    UnknownTargetError,
    step_info,
)
from holdfast.journal import codec, keys
from holdfast.journal.entry import Cancel, Completion, Entry, Failure, Issued, Run
from holdfast.journal.records import decode_outcome
from holdfast.objects.identity import InvocationId, Target, parse_awakeable_id
from holdfast.runtime.engine import Engine
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.testing import InlineThreads, ManualClock, SeededRandomness

from ..runtime.worlds import CountingStore, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from holdfast.journal.memory import MemoryStore

ROUNDS_MAX = 4_000
"""Moves of the clock before a play counts as one that never ends."""


class Outside:
    """What the world outside of every runtime saw. One per test process, cleared by each play."""

    def __init__(self) -> None:
        self.clock: StepClock = StepClock()
        self.lines: list[tuple[str, str, int]] = []
        """``(invocation, lane, position)`` of each start of an action; -1 is an answer."""
        self.counts: dict[str, int] = {}
        self.promises: dict[str, str] = {}

    def clear(self, clock: StepClock) -> None:
        self.__init__()  # type: ignore[misc]
        self.clock = clock

    def count(self, name: str) -> int:
        """How often this was called with ``name``, this time included."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]

    async def pause(self, ms: int) -> None:
        """Let ``ms`` milliseconds of the play's time pass."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ring() -> None:
            if not future.done():
                future.set_result(None)

        alarm = self.clock.call_later(ms / 1000, ring)
        try:
            await future
        finally:
            alarm.cancel()


class StepClock(ManualClock):
    """A clock that moves from one alarm to the next."""

    def step(self) -> bool:
        """Ring the next alarm; ``False`` when none is set."""
        while self._alarms:
            due_us, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                self._now_us = max(self._now_us, due_us)
                alarm.callback()
                return True
        return False


OUTSIDE = Outside()


async def act(lane: str, position: int, value: Any = None, ms: int = 0) -> Any:
    """An action: leaves a line outside, takes its time, gives ``value``."""
    OUTSIDE.lines.append((step_info().invocation_id, lane, position))
    if ms:
        await OUTSIDE.pause(ms)
    return value


async def quiesce() -> None:
    """Let the real loop run until only the clock or the test can move anything."""
    loop = cast("Any", asyncio.get_running_loop())
    calm = 0
    for _ in range(100_000):
        await asyncio.sleep(0)
        calm = 0 if loop._ready else calm + 1  # noqa: SLF001  # nothing else tells
        if calm == 2:
            return
    message = "the loop never came to rest"
    raise AssertionError(message)


class WatchedStore(CountingStore):
    """Remembers how invocations that are long completed were written down while they ran."""

    begun_rows: dict[bytes, dict[bytes, bytes]]
    """By invocation: its own row and that of its turn, as last written."""

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        for key, row in batch.items():
            if row is not None and key[:1] == keys.INVOCATION:
                self.begun_rows.setdefault(key[1:], {})[key] = row
            elif row is not None and key[:1] == keys.TURN:
                self.begun_rows.setdefault(row[8:], {})[key] = row
        return super().write(batch)


@dataclass(eq=False)
class Asked:
    """One call of a client."""

    request: CallRequest
    waits: bool
    answer: asyncio.Future[Any]


@dataclass(frozen=True)
class Ending:
    """All that a play left behind, without ids and times."""

    answers: dict[str, Any]
    state: dict[bytes, bytes]
    steps: list[Any]


@dataclass
class Death:
    """Where the process dies and what the disk keeps."""

    at_write: int
    is_applied: bool = False
    is_power_cut: bool = False
    again_at_write: int | None = None
    """Where the next process dies as well, in the same way."""


@dataclass
class Play:
    """One run of a script of clients against runtimes that come and go."""

    classes: list[type]
    config: RuntimeConfig = field(default_factory=RuntimeConfig)
    death: Death | None = None
    suspends: bool = False
    """Whether every idle attempt leaves memory after every turn."""
    seed: int = 0
    on_move: Callable[[Play], None] | None = None
    """Called whenever everything is at rest."""
    on_crash: Callable[[Play], None] | None = None
    """Called when a process has died, with what survived of its store."""

    def __post_init__(self) -> None:
        self.clock = StepClock()
        OUTSIDE.clear(self.clock)
        self.world = World(self.classes, self.config)
        self.world.clock = self.clock
        self.disk: CountingStore | None = None
        self.asked: list[Asked] = []
        self.answers: dict[str, Any] = {}
        self.crashes = 0
        self.writes = 0
        self.store_rows: dict[bytes, bytes] = {}
        self.begun_rows: dict[bytes, dict[bytes, bytes]] = {}

    # -- For scripts -------------------------------------------------------------------------

    def ask(  # noqa: PLR0913  # a request has these parts
        self,
        name: str,
        path: str,
        argument: Any = None,
        *,
        waits: bool = True,
        delay_ms: int = 0,
        idempotency_key: str | None = None,
    ) -> asyncio.Future[Any]:
        """Call ``Service/key/handler``; the future has the value or a text that tells the error."""
        parts = path.split("/")
        target = Target(parts[0], "/".join(parts[1:-1]) or None, parts[-1])
        body = b"" if argument is None else json.dumps(argument).encode()
        request = CallRequest(
            target=target,
            argument=body,
            idempotency_key=idempotency_key or name,
            delay_ms=delay_ms,
        )
        asked = Asked(request, waits, asyncio.get_running_loop().create_future())
        asked.answer.add_done_callback(lambda future: self._keep(name, future))
        self.asked.append(asked)
        self._submit(asked)
        return asked.answer

    async def promise(self, name: str) -> str:
        """The id of an awakeable, once an action has told it."""
        while name not in OUTSIDE.promises:
            await OUTSIDE.pause(100)
        return OUTSIDE.promises[name]

    async def resolve(self, awakeable_id: str, value: Any) -> None:
        """Keep a promise from outside, as often as it takes."""
        while not await self.resolve_once(awakeable_id, value):
            await OUTSIDE.pause(100)

    async def resolve_once(self, awakeable_id: str, value: Any) -> bool:
        """Keep a promise from outside; ``False`` when the runtime died over it."""
        try:
            await self.world.runtime.complete_awakeable(
                parse_awakeable_id(awakeable_id), json.dumps(value).encode()
            )
        except UnknownTargetError:
            return True  # Kept before, and collected with what awaited it.
        except HoldfastError:
            return False
        return True

    # -- The run -----------------------------------------------------------------------------

    async def run(self, script: Callable[[Play], Awaitable[Any]]) -> Ending:
        """Play to the end: every client has its answers and nothing is left to be done."""
        await self._start()
        task = asyncio.ensure_future(script(self))
        for _ in range(ROUNDS_MAX):
            await self._come_to_rest()
            if task.done() and not self._open_invocations():
                break
            self.clock.step()
        else:
            left = [str(codec.unpack(row, "?")) for row in self._open_invocations()]
            message = f"the play never ended; script done: {task.done()}; open: {left}"
            raise AssertionError(message)
        await task
        self.writes = self.disk.writes if self.disk is not None else 0
        ending = Ending(self.answers, self._state(), self._recorded_steps())
        self.store_rows = dict(self.store.scan(b"", None))
        await self.world.crash()
        return ending

    async def _come_to_rest(self) -> None:
        while True:
            await quiesce()
            if self.world.runtime.health == "failed":
                await self._crash()
                continue
            if self.on_move is not None:
                self.on_move(self)
            if self.suspends:
                before = self.world.runtime.statistics().batches_written
                self.world.runtime.suspend_idle()
                await quiesce()
                if self.world.runtime.statistics().batches_written != before:
                    continue
            return

    async def _start(self) -> None:
        store: Any = self.world.store
        death = self.death
        if self.crashes < 2:
            at_write = None
            if death is not None:
                at_write = death.at_write if self.crashes == 0 else death.again_at_write
            store = WatchedStore(
                self.world.store,
                die_at=at_write,
                applied=death is not None and death.is_applied,
            )
            store.begun_rows = self.begun_rows
            self.disk = self.disk or store
        self.world.runtime = Engine(
            self.classes,
            store=store,
            config=self.config,
            clock=self.clock,
            randomness=SeededRandomness(1000 * self.seed + self.crashes),
            threads=InlineThreads(),
        )
        await self.world.runtime.start()
        for asked in self.asked:
            if not asked.answer.done():
                self._submit(asked)

    async def _crash(self) -> None:
        assert self.death is not None, "the runtime failed by itself"
        deaths_max = 1 if self.death.again_at_write is None else 2
        assert self.crashes < deaths_max, "the runtime failed by itself after a crash"
        self.crashes += 1
        self.world.runtime.crash()
        self.world.store = self.world.store.crash(keep_written=not self.death.is_power_cut)
        if self.on_crash is not None:
            self.on_crash(self)
        await quiesce()
        await self._start()

    def _submit(self, asked: Asked) -> None:
        if self.world.runtime.health != "ok":
            return  # Asked again at the next start.
        future = self.world.runtime.submit(asked.request, wait=asked.waits)
        future.add_done_callback(lambda done: self._answered(asked, done))

    def _answered(self, asked: Asked, done: asyncio.Future[Answer]) -> None:
        if done.exception() is not None or asked.answer.done():
            return
        answer = done.result()
        if asked.waits:
            OUTSIDE.lines.append((answer.invocation_id, "", -1))
        outcome = answer.outcome
        if isinstance(outcome, TerminalError):
            kind = type(outcome).__name__
            asked.answer.set_result(
                f"{kind} {outcome.status_code} {outcome.type_name}: {outcome.message}"
            )
        else:
            asked.answer.set_result(json.loads(outcome) if outcome else None)

    def _keep(self, name: str, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            self.answers[name] = future.result()

    # -- What is left ------------------------------------------------------------------------

    @property
    def store(self) -> MemoryStore:
        return self.world.store

    def _open_invocations(self) -> list[bytes]:
        start, end = keys.prefix_range(keys.INVOCATION)
        return [row for _, row in self.store.scan(start, end)]

    def _state(self) -> dict[bytes, bytes]:
        start, end = keys.prefix_range(keys.STATE)
        # Each row begins with the turn that wrote it, which a lost call shifts.
        return {key: row[8:] for key, row in self.store.scan(start, end)}

    def _recorded_steps(self) -> list[Any]:
        """For each completed invocation its target and the results of its steps, by name."""
        found: list[Any] = []
        start, end = keys.prefix_range(keys.OUTCOME)
        for key, row in self.store.scan(start, end):
            target = decode_outcome(row).target
            entries = read_journal(self.store, InvocationId(key[1:]))
            found.append((str(target), results_of_steps(entries)))
        return sorted(found, key=repr)


def read_journal(store: MemoryStore, id_: InvocationId) -> list[Entry]:
    start, end = keys.prefix_range(keys.JOURNAL + id_)
    return [codec.decode_entry(row) for _, row in store.scan(start, end)]


def results_of_steps(entries: Iterable[Entry]) -> list[tuple[str, Any]]:
    """Name and result of each step that was not cancelled, in the order of asking."""
    names: dict[int, str] = {}
    results: dict[int, Any] = {}
    for index, entry in enumerate(entries):
        match entry:
            case Issued(Run(name)):
                names[index] = name
            case Issued(Cancel(cancelled)):
                names.pop(cancelled, None)
            case Completion(answered, _, result):
                results[answered] = result.message if isinstance(result, Failure) else result
            case _:
                pass
    return [(name, results.get(index)) for index, name in names.items()]


def check_lines(lines: Iterable[tuple[str, str, int]]) -> None:
    """No action ran again after a later one of its lane had begun or the answer had left."""
    reached: dict[tuple[str, str], int] = {}
    answered: set[str] = set()
    for invocation, lane, position in lines:
        if position == -1:
            answered.add(invocation)
            continue
        assert invocation not in answered, f"{lane} {position} ran after the answer had left"
        last = reached.get((invocation, lane), -1)
        assert position >= last, f"{lane} {position} ran again after {last} had begun"
        assert position <= last + 1, f"{lane} {position} ran although {last + 1} never did"
        reached[invocation, lane] = position
