"""A play: the kit's stage, with clients that follow a script, and a close look at what is left.

What happened outside is kept in ``Outside``, which no crash touches. Two plays are compared row by
row, and not by what the rows say.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast import (
    HoldfastError,
    RuntimeConfig,
    TerminalError,
    UnknownTargetError,
    step_info,
)
from holdfast.journal import keys
from holdfast.journal.entry import Cancel, Completion, Entry, Failure, Issued, Run
from holdfast.journal.records import decode_outcome
from holdfast.objects.identity import InvocationId, Target, parse_awakeable_id
from holdfast.runtime.requests import Answer, CallRequest
from holdfast.runtime.testing import ManualClock
from holdfast.testing.dying_store import DyingStore
from holdfast.testing.journals import read_entries
from holdfast.testing.stage import Death, Stage

from ..runtime.agreement import assert_agree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from holdfast.journal.memory import MemoryStore
    from holdfast.objects.call_options import Mode
    from holdfast.testing.clients import Asked


TABLES_OF_THE_OPEN = (
    keys.LIVE,
    keys.TURN,
    keys.INBOX,
    keys.LANE,
    keys.TIMER,
    keys.AWAKEABLE,
    keys.WAITING,
    keys.STEP,
    keys.MESSAGE,
    keys.ATTACHED,
)
"""Rows that only an invocation that is not completed has."""


class Outside:
    """What the world outside of every runtime saw. One per test process, cleared by each play."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.lines: list[tuple[str, str, int]] = []
        """``(invocation, lane, position)`` of each start of an action; -1 is an answer."""
        self.counts: dict[str, int] = {}
        self.promises: dict[str, str] = {}

    def clear(self, clock: ManualClock) -> None:
        self.__init__()  # type: ignore[misc]
        self.clock = clock

    def count(self, name: str) -> int:
        """How often this was called with ``name``, this time included."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]

    async def pause(self, ms: int) -> None:
        """Let ``ms`` milliseconds of the play's time pass."""
        await self.clock.sleep(ms / 1000)


OUTSIDE = Outside()


async def act(lane: str, position: int, value: Any = None, ms: int = 0) -> Any:
    """An action: leaves a line outside, takes its time, gives ``value``."""
    OUTSIDE.lines.append((step_info().invocation_id, lane, position))
    if ms:
        await OUTSIDE.pause(ms)
    return value


class WatchedStore(DyingStore):
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


@dataclass(frozen=True, slots=True)
class Ending:
    """All that a play left behind, without ids and times."""

    answers: dict[str, Any]
    state: dict[bytes, bytes]
    steps: list[Any]


class Play(Stage):
    """One run of a script of clients against runtimes that come and go."""

    def __init__(
        self,
        classes: list[type],
        config: RuntimeConfig | None = None,
        *,
        death: Death | None = None,
        suspends: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            classes, config or RuntimeConfig(), death=death, suspends=suspends, seed=seed
        )
        self.on_move: Callable[[Play], None] | None = None
        """Called whenever everything is at rest."""
        self.on_crash: Callable[[Play], None] | None = None
        """Called when a process has died, with what survived of its store."""
        OUTSIDE.clear(self.clock)
        self.answers: dict[str, Any] = {}
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
        mode: Mode = "queue",
    ) -> asyncio.Future[Any]:
        """Call ``Service/key/handler``; the future has the value or a text that tells the error."""
        key = idempotency_key or name
        request = self.request_of(key, path, argument, delay_ms=delay_ms, mode=mode)
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def tell(answer: asyncio.Future[Answer]) -> None:
            if not told.done():
                self.answers[name] = said_by(answer.result())
                told.set_result(self.answers[name])

        self.request(request, waits=waits).add_done_callback(tell)
        return told

    def request_of(
        self,
        idempotency_key: str,
        path: str,
        argument: Any = None,
        *,
        delay_ms: int = 0,
        mode: Mode = "queue",
    ) -> CallRequest:
        """What ``ask`` asks."""
        parts = path.split("/")
        return CallRequest(
            target=Target(parts[0], "/".join(parts[1:-1]) or None, parts[-1]),
            argument=b"" if argument is None else json.dumps(argument).encode(),
            idempotency_key=idempotency_key,
            delay_ms=delay_ms,
            mode=mode,
        )

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
        task = await self.play(lambda _: script(self))
        assert task.done(), "the script waits for what never comes"
        await task
        assert not self.has_open(), self.world.runtime.describe_open()
        assert self.witness.faults == []
        assert self._left_over() == []
        self.writes = self.disks[0].writes
        ending = Ending(self.answers, self._state(), self._recorded_steps())
        self.store_rows = dict(self.store.scan(b"", None))
        await self.world.crash()
        return ending

    def at_rest(self) -> None:
        assert_agree(self.world.runtime)
        if self.on_move is not None:
            self.on_move(self)

    def crashed(self) -> None:
        if self.on_crash is not None:
            self.on_crash(self)

    def answered(self, asked: Asked, answer: Answer) -> None:
        if asked.waits:
            OUTSIDE.lines.append((answer.invocation_id, "", -1))

    def make_disk(self, inner: MemoryStore, die_at: int | None, *, applied: bool) -> DyingStore:
        disk = WatchedStore(inner, die_at=die_at, applied=applied)
        disk.begun_rows = self.begun_rows
        return disk

    # -- What is left ------------------------------------------------------------------------

    def _state(self) -> dict[bytes, bytes]:
        start, end = keys.prefix_range(keys.STATE)
        # Each row begins with the turn that wrote it, which a lost call shifts.
        return {key: row[8:] for key, row in self.store.scan(start, end)}

    def _left_over(self) -> list[tuple[bytes, bytes]]:
        """Rows that nothing needs once every invocation is completed."""
        return [row for table in TABLES_OF_THE_OPEN for row in self._scan(table)]

    def _scan(self, table: bytes) -> Iterable[tuple[bytes, bytes]]:
        return self.store.scan(*keys.prefix_range(table))

    def _recorded_steps(self) -> list[Any]:
        """For each completed invocation its target and the results of its steps, by name."""
        found: list[Any] = []
        start, end = keys.prefix_range(keys.OUTCOME)
        for key, row in self.store.scan(start, end):
            target = decode_outcome(row).target
            entries = read_entries(self.store, InvocationId(key[1:]))
            found.append((str(target), results_of_steps(entries)))
        return sorted(found, key=repr)


def said_by(answer: Answer) -> Any:
    """The value of an answer, or a text that tells its error."""
    outcome = answer.outcome
    if isinstance(outcome, TerminalError):
        kind = type(outcome).__name__
        said = f"{kind} {outcome.status_code} {outcome.type_name}: {outcome.message}"
        return re.sub("inv_[0-9a-f]{32}", "inv_", said)
    return json.loads(outcome) if outcome else None


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
