"""What actions did to the world outside: recorded where no crash reaches.

The actions of a test write to an ``Effects``. A ``Witness`` knows besides which step each line
belongs to, whether that step's outcome was unknown when a process died, and so whether it may have
run again.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from ..journal import keys
from ..journal.entry import Cancel, Completion, Issued
from ..journal.records import InvocationState, StepState, decode_step
from ..journal.store import Store
from ..objects.identity import InvocationId
from ..objects.step_info import current_step
from ..runtime.step_plan import Step
from .journals import read_entries
from .rows import find_target, open_invocations

NO_STEP: Final = "outside of any step"

_MAY_NOT_REPEAT: Final = {"fail", "pause"}


class Effects:
    """What a test's actions did outside. One for a test module is usual; each run clears it.

    ``effects.add("charged", 1200)`` in an action takes the place of the real charge.
    """

    def __init__(self) -> None:
        """Begin with nothing done."""
        self._lines: list[Any] = []
        self._witness: Witness | None = None

    def __repr__(self) -> str:
        """For messages: the lines."""
        return f"Effects({self._lines!r})"

    @property
    def lines(self) -> list[Any]:
        """All that was added, in order: one value as it is, several as a tuple."""
        return list(self._lines)

    def add(self, *what: Any) -> None:
        """Record an effect of the step whose action calls this."""
        line = what[0] if len(what) == 1 else what
        if self._witness is None or self._witness.saw(line):
            self._lines.append(line)

    def count(self, *what: Any) -> int:
        """How often this was added."""
        return self._lines.count(what[0] if len(what) == 1 else what)

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()

    def begin(self, witness: "Witness") -> None:
        """Forget everything, and tell ``witness`` from now on."""
        self.clear()
        self._witness = witness

    def end(self) -> None:
        """Tell nobody any more."""
        self._witness = None


@dataclass(frozen=True, slots=True)
class StepEffects:
    """One step that ran, and what it did outside, each thing once however often it was tried."""

    step: str
    """``Order/42/place: notify``."""
    lines: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """For messages."""
        return f"{self.step} {list(self.lines)}" if self.lines else self.step


@dataclass(slots=True, kw_only=True, eq=False)
class Execution:
    """One time that an action ran."""

    step: str
    invocation_id: InvocationId
    index: int
    attempt: int
    on_unknown: str
    lines: list[Any] = field(default_factory=list[Any])
    has_ended: bool = False
    """What survived a crash has its result, or that nobody wants it."""
    is_unknown: bool = False
    """A crash cut it off: what survived does not say how it ended."""


class Witness:
    """Sees every action of the runtimes of one run, and remembers across crashes."""

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        """``is_alive`` tells whether the process that runs now has not died yet."""
        self._is_alive = is_alive
        self._executions: dict[str, list[Execution]] = {}
        # Those of the process that runs now.
        self._current: list[Execution] = []
        self._outside: list[Any] = []
        self.repeated: list[str] = []
        """Steps that ran again because their outcome was unknown, a sentence each."""
        self.faults: list[str] = []
        """What must never happen and did, a sentence each."""
        # Invocations that were paused at some rest: only a person can have had them go on.
        self._paused: set[InvocationId] = set()

    def launched(self, step: Step, store: Store) -> None:
        """An action is about to run."""
        if step.is_verifying:
            return
        on_unknown = step.plan.options.on_unknown
        target = find_target(store, step.invocation_id)
        execution = Execution(
            step=f"{target}: {step.plan.name}",
            invocation_id=step.invocation_id,
            index=step.index,
            attempt=step.attempt,
            on_unknown=on_unknown if isinstance(on_unknown, str) else "verify",
        )
        earlier = self._executions.setdefault(step.idempotency_key, [])
        if earlier and earlier[-1].has_ended:
            self.faults.append(f"{execution.step} ran again although its end was on disk")
        elif earlier and earlier[-1].is_unknown:
            self._repeat(execution, earlier[-1])
        earlier.append(execution)
        self._current.append(execution)

    def _repeat(self, execution: Execution, earlier: Execution) -> None:
        is_resumed = execution.on_unknown == "pause" and execution.invocation_id in self._paused
        if execution.on_unknown in _MAY_NOT_REPEAT and not is_resumed:
            policy = f'on_unknown="{execution.on_unknown}"'
            self.faults.append(f"{execution.step} ran again although it says {policy}")
            return
        why = "the crash cut it off, and its outcome was unknown"
        if earlier.on_unknown == "verify":
            why = "the crash cut it off, and its verify said that it had never happened"
        self.repeated.append(f"{execution.step} ran again: {why}")

    def rested(self, store: Store) -> None:
        """Nothing can go on without time passing."""
        for id_, record in open_invocations(store):
            if record.state is InvocationState.PAUSED:
                self._paused.add(id_)

    def saw(self, line: Any) -> bool:
        """An effect; ``False`` when the process that runs it is dead, and cannot have done it."""
        if not self._is_alive():
            return False
        info = current_step.get(None)
        executions = None if info is None else self._executions.get(info.idempotency_key)
        (executions[-1].lines if executions else self._outside).append(line)
        return True

    def died(self, survivor: Store) -> None:
        """The process has died: what survived says how its executions ended, or nothing does."""
        for execution in self._current:
            if _has_ended(survivor, execution):
                execution.has_ended = True
            else:
                execution.is_unknown = not _has_failed(survivor, execution)
        self._current.clear()

    def effects(self) -> tuple[StepEffects, ...]:
        """What was done outside, by step, without what an unknown outcome let happen twice."""
        found = [
            StepEffects(executions[0].step, tuple(_lines_of(executions)))
            for executions in self._executions.values()
        ]
        if self._outside:
            found.append(StepEffects(NO_STEP, tuple(self._outside)))
        return tuple(sorted(found, key=repr))


def _has_ended(store: Store, execution: Execution) -> bool:
    if store.get(keys.outcome(execution.invocation_id)) is not None:
        return True
    for entry in read_entries(store, execution.invocation_id):
        match entry:
            case Completion(index=index) | Issued(command=Cancel(index=index)):
                if index == execution.index:
                    return True
            case _:
                pass
    return False


def _has_failed(store: Store, execution: Execution) -> bool:
    """Whether this very attempt is on disk as one that failed and will be followed by another."""
    row = store.get(keys.step(execution.invocation_id, execution.index))
    if row is None:
        return False
    record = decode_step(row)
    is_last = record.attempt == execution.attempt and record.state is StepState.FAILED
    return record.attempt > execution.attempt or is_last


def _lines_of(executions: Iterable[Execution]) -> list[Any]:
    """The lines of a step; those that one cut off has left count once with the next one's."""
    lines: list[Any] = []
    cut_off: list[Any] = []
    for execution in executions:
        merged = [*cut_off, *_beyond(execution.lines, cut_off)]
        if execution.is_unknown:
            cut_off = merged
        else:
            lines += merged
            cut_off = []
    return lines + cut_off


def _beyond(lines: list[Any], known: list[Any]) -> list[Any]:
    """Those of ``lines`` that ``known`` does not hold, each as often as it is more there."""
    counts = Counter(repr(line) for line in known)
    beyond: list[Any] = []
    for line in lines:
        if counts[repr(line)]:
            counts[repr(line)] -= 1
        else:
            beyond.append(line)
    return beyond
