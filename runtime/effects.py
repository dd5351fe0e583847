"""What is known of the effects of one invocation: each step of its journal, and where it stands.

Read from rows alone, so it is the same for one that runs, is suspended or is completed. What the
rows do not say is ``None`` and never guessed: the counters of a step go when it has its result.

A journal may be long, so it is read a slice at a time. What is said of steps without a result is
read together with the journal's last slice.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Literal

from ..journal import keys
from ..journal.entry import Cancel, Completion, Entry, Failure, Issued, Run
from ..journal.records import (
    InvocationDetails,
    OutcomeDetails,
    StepRecord,
    StepState,
    decode_step,
)
from ..objects.errors import HoldfastError, OutcomeUnknownError
from ..objects.identity import InvocationId
from ..objects.moments import moment_of
from .core import Core
from .journal_slices import check_page, read_journal
from .step_plan import idempotency_key_of

EFFECTS_MAX: Final = 1_000
"""On one page."""

Details = InvocationDetails | OutcomeDetails
EffectStatus = Literal["not started", "unknown", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectInfo:
    """One step of an invocation at a moment.

    Attributes:
        name: as given to ``ctx.run``.
        index: of its entry in the journal.
        status: what is known of what it did outside.

            * ``not started``: its action certainly did not run;
            * ``unknown``: its action may have run, and no result of it is recorded: it runs now,
              was interrupted, or is no longer wanted;
            * ``done``: its result is recorded;
            * ``failed``: its last attempt raised, or took longer than it may. With
              ``next_attempt_at`` it is tried again; with ``completed_at`` the handler has been
              told. Where ``attempts`` is more than ``failures``, others were interrupted.

        is_canceled: the handler gave it up before it had a result.
        attempts: how many have begun.
        failures: attempts that count against its policy.
        began_at: when the first attempt began.
        last_failed_at: when an attempt failed last.
        next_attempt_at: when the next one is due.
        completed_at: when its result, or its last failure, was recorded.
        last_failure: what the last failed attempt said.
        idempotency_key: what its action got from ``step_info()``, the same in every attempt.
        source: the line that asks for it, ``"assistant.py:12"``.

    What is not recorded, or not any more, is ``None``.
    """

    name: str
    index: int
    status: EffectStatus
    is_canceled: bool = False
    attempts: int | None = None
    failures: int | None = None
    began_at: datetime | None = None
    last_failed_at: datetime | None = None
    next_attempt_at: datetime | None = None
    completed_at: datetime | None = None
    last_failure: str | None = None
    idempotency_key: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class EffectPage:
    """Some of the steps of an invocation, in the order in which it asked for them.

    Attributes:
        effects: what is on this page.
        next: what to pass as ``after`` for the next page; ``None``: this is the last one.
    """

    effects: tuple[EffectInfo, ...]
    next: int | None

    def __iter__(self) -> Iterator[EffectInfo]:
        """Walk what is on this page."""
        return iter(self.effects)

    def __len__(self) -> int:
        """How many are on this page."""
        return len(self.effects)


@dataclass(slots=True)
class FoundStep:
    """A step in the journal, and what its later entries say of it."""

    index: int
    name: str
    source: str
    ended_at: int | None = None
    """The index of what ended it: its completion, or its cancellation."""
    completion: Completion | None = None

    @property
    def is_canceled(self) -> bool:
        """Whether the handler gave it up before it had a result."""
        return self.ended_at is not None and self.completion is None


@dataclass(slots=True)
class FoundSteps:
    """The steps of one page while the journal is read; of the whole journal without a limit."""

    limit: float = math.inf
    steps: dict[int, FoundStep] = field(default_factory=dict[int, FoundStep])
    open_count: int = 0
    has_more: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing further in the journal could change it."""
        return self.has_more and self.open_count == 0

    def add(self, index: int, entry: Entry) -> None:
        """Take the next entry of the journal."""
        match entry:
            case Issued(Run(name), _, source) if len(self.steps) < self.limit:
                self.steps[index] = FoundStep(index, name, source.partition("#")[0])
                self.open_count += 1
            case Issued(Run()):
                self.has_more = True
            case Completion(of):
                self._end(of, index, entry)
            case Issued(Cancel(of)):
                self._end(of, index, None)
            case _:
                pass

    def _end(self, of: int, index: int, completion: Completion | None) -> None:
        step = self.steps.get(of)
        if step is not None and step.ended_at is None:
            step.ended_at, step.completion = index, completion
            self.open_count -= 1


async def read_effects(core: Core, id_: InvocationId, after: int, limit: int) -> EffectPage:
    """The steps behind entry ``after`` of the journal, at most ``limit``; durable on return.

    Raises:
        InvalidArgumentError: a page cannot have that many, or there is no such entry.
        UnknownTargetError: there is no such invocation.
        NotKeptError: it is completed, and its journal is not kept.
    """
    check_page(after, limit, EFFECTS_MAX, "steps")
    page = FoundSteps(limit)
    try:
        is_open = await read_journal(core, id_, after, page)
    except HoldfastError as error:
        await core.answers.when_durable(error)
        raise
    steps = tuple(_describe(core, id_, step, is_open=is_open) for step in page.steps.values())
    last = steps[-1].index if page.has_more else None
    answer: EffectPage = await core.answers.when_durable(EffectPage(steps, last))
    return answer


def _describe(core: Core, id_: InvocationId, step: FoundStep, *, is_open: bool) -> EffectInfo:
    row = core.commits.get(keys.step(id_, step.index)) if step.ended_at is None else None
    record = None if row is None else decode_step(row)
    if record is None and step.ended_at is None and is_open:
        record = StepRecord()  # The command itself is the first attempt's intent.
    failure = failure_of_step(step)
    return EffectInfo(
        name=step.name,
        index=step.index,
        status=find_effect_status(step, record),
        is_canceled=step.is_canceled,
        attempts=None if record is None else record.attempts_begun,
        failures=None if record is None else record.failures,
        began_at=None if record is None else _moment(record.began_ms),
        last_failed_at=None if record is None else _moment(record.failed_ms),
        next_attempt_at=None if record is None else _moment(record.next_attempt_ms),
        completed_at=None if step.completion is None else _moment(step.completion.at_ms),
        last_failure=(record and record.last_failure) or (failure and failure.message) or None,
        idempotency_key=find_effect_key(id_, step, partial(_find_details, core)),
        source=step.source or None,
    )


def find_effect_status(step: FoundStep, record: StepRecord | None) -> EffectStatus:
    """The word for what is known of a step; ``record``: of its attempts, where it has no result."""
    if step.completion is not None:
        failure = failure_of_step(step)
        if failure is None:
            return "done"
        return "unknown" if failure.kind == OutcomeUnknownError.code else "failed"
    match None if record is None else record.state:
        case StepState.NOT_STARTED if record is not None and record.attempts_begun == 0:
            return "not started"
        case StepState.FAILED:
            return "failed"
        case _:
            return "unknown"


def failure_of_step(step: FoundStep) -> Failure | None:
    """What its recorded result is, where that is a failure."""
    completion = step.completion
    if completion is None or not isinstance(completion.result, Failure):
        return None
    return completion.result


def find_effect_key(
    id_: InvocationId, step: FoundStep, find_details: Callable[[InvocationId], Details | None]
) -> str | None:
    """The key that its action got: that of the invocation under which it was run.

    A restart from an entry copies what had ended there, so that was run by the one it was made
    from, which may itself have copied it. What had not ended runs anew, with a key of its own.
    """
    while True:  # A restart may have been restarted, any number of times.
        details = find_details(id_)
        if details is None:
            return None
        if step.ended_at is None or step.ended_at >= details.restarted_at:
            return idempotency_key_of(id_, step.index)
        assert details.restarted_from is not None, "restarted at an entry of nothing"
        id_ = InvocationId(details.restarted_from)


def _find_details(core: Core, id_: InvocationId) -> Details | None:
    invocation = core.lifecycle.find(id_)
    if invocation is not None:
        return invocation.record.details or InvocationDetails()
    outcome = core.lifecycle.outcomes.find(id_)
    return None if outcome is None else outcome.details or OutcomeDetails()


def _moment(time_ms: int) -> datetime | None:
    return moment_of(time_ms) if time_ms else None
