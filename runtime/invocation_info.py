"""What is known of one invocation at a moment, for people and programs that look at it.

Built from rows alone, but for whether it is in memory: the same for one that runs, is suspended or
waits somewhere. It reads the whole journal of one that is not completed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from ..journal import codec, keys
from ..journal.entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    Command,
    Completion,
    Failure,
    Issued,
    MakeAwakeable,
    Run,
    Sleep,
    TakeMessage,
)
from ..journal.records import (
    CallMode,
    InvocationDetails,
    InvocationState,
    OutcomeRecord,
    StepRecord,
    decode_step,
)
from ..objects.errors import TerminalError
from ..objects.identity import (
    AwakeableId,
    InvocationId,
    Target,
    accepted_ms,
    format_invocation_id,
)
from ..objects.moments import moment_of
from .failures import error_of
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation, journal_length

PAUSED_BY_HAND = "somebody paused it"
"""Of whom nobody but a person knows why it is paused."""

Status = Literal[
    "scheduled", "pending", "ready", "running", "suspended", "backing-off", "paused", "completed"
]
AwaitedKind = Literal[
    "turn", "step", "timer", "call", "awakeable", "promise", "signal", "message", "outcome"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedInfo:
    """One thing that an invocation has asked for and not got.

    Attributes:
        kind: what it is. ``turn``: whoever holds it is ``invocation_id``. ``call``: of
            ``invocation_id``. ``outcome``: of ``invocation_id``, which somebody else made.
        name: of a step, promise or signal; the target of a call; the id of an awakeable.
        index: of the journal entry that asks for it; -1 for a turn.
        source: the line that asks for it, ``"assistant.py:12"``.
        until: when a timer is due, an awakeable is rejected, or a step is tried again.
        invocation_id: see ``kind``.
        failures: failed attempts of a step that count against its policy.
        last_failure: what the last of them said, or why it waits for a person.
    """

    kind: AwaitedKind
    name: str = ""
    index: int = -1
    source: str = ""
    until: datetime | None = None
    invocation_id: str | None = None
    failures: int = 0
    last_failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationInfo:
    """One invocation at a moment; ``runtime.invocation(id).describe()`` gives it.

    Attributes:
        id: ``inv_`` and 32 hex digits.
        target: whom it calls: ``service``, ``key`` (``None`` for a service), ``handler``.
        status: where it stands.

            * ``scheduled``: a delayed send that is not due;
            * ``pending``: waits for its turn at its key;
            * ``ready``: is to run, but no class with its handler is served;
            * ``running``: its handler runs, or a step of it;
            * ``suspended``: waits for others, in memory or not;
            * ``backing-off``: it, or the step it waits for, failed and is tried again later;
            * ``paused``: waits for a person;
            * ``completed``: has its outcome.

        accepted_at: when it was accepted.
        scheduled_for: when a delayed send is due; ``None`` once it was.
        begun_at: when its handler first ran; not known of every completed one.
        completed_at: when it had its outcome.
        is_canceled: it was told to end, and has not ended.
        idempotency_key: the one it came with.
        caller: the invocation that awaits its outcome; ``None`` of a completed one.
        mode: how it was called, see ``CallOptions``; not kept, so ``"queue"`` of a completed one.
        failures: failed attempts of its handler that count against the policy; not kept, so 0 of a
            completed one.
        next_attempt_at: when the next attempt, of it or of a step, is due.
        last_failure: what the last failed attempt said, or why it is paused.
        awaiting: what it has asked for and not got, in the order of asking.
        entries: how many its journal has.
        restarted_from: the invocation that it was made from.
        outcome: how it is completed; the result itself is what ``output`` gives.
        error: the failure that it is completed with.
    """

    id: str
    target: Target
    status: Status
    accepted_at: datetime
    scheduled_for: datetime | None = None
    begun_at: datetime | None = None
    completed_at: datetime | None = None
    is_canceled: bool = False
    idempotency_key: str | None = None
    caller: str | None = None
    mode: Literal["queue", "interrupt", "steer"] = "queue"
    failures: int = 0
    next_attempt_at: datetime | None = None
    last_failure: str = ""
    awaiting: tuple[AwaitedInfo, ...] = ()
    entries: int = 0
    restarted_from: str | None = None
    outcome: Literal["success", "failure"] | None = None
    error: TerminalError | None = None


def describe_invocation(lifecycle: Lifecycle, id_: InvocationId) -> InvocationInfo | None:
    """What is known of an invocation, or ``None``: there is none, or it was kept long enough."""
    invocation = lifecycle.find(id_)
    if invocation is not None:
        return _describe_open(lifecycle, invocation)
    outcome = lifecycle.outcomes.find(id_)
    return None if outcome is None else _describe_completed(lifecycle, id_, outcome)


def _describe_open(lifecycle: Lifecycle, invocation: OpenInvocation) -> InvocationInfo:
    record = invocation.record
    details = record.details or InvocationDetails()
    awaiting = tuple(_find_awaited(lifecycle, invocation))
    is_scheduled = record.state is InvocationState.SCHEDULED
    due = _moment(record.next_attempt_ms)
    next_attempts = [each.until for each in awaiting if each.kind == "step" and each.until]
    if due is not None and not is_scheduled:
        next_attempts.append(due)
    status = find_status(
        record.state,
        is_live=invocation.is_live,
        is_served=invocation.handler is not None,
        is_backing_off=bool(next_attempts),
    )
    failing = [each for each in awaiting if each.kind == "step" and each.last_failure]
    return InvocationInfo(
        id=format_invocation_id(invocation.id),
        target=record.target,
        status=status,
        accepted_at=moment_of(accepted_ms(invocation.id)),
        scheduled_for=due if is_scheduled else None,
        begun_at=_moment(record.begun_ms),
        is_canceled=details.is_canceled,
        idempotency_key=record.idempotency_key,
        caller=None if record.caller is None else format_invocation_id(record.caller),
        mode=_mode(details.mode),
        failures=record.failures,
        next_attempt_at=min(next_attempts, default=None),
        last_failure=record.last_failure or (failing[-1].last_failure if failing else ""),
        awaiting=awaiting,
        entries=invocation.next_index,
        restarted_from=_id_or_none(details.restarted_from),
    )


def _describe_completed(
    lifecycle: Lifecycle, id_: InvocationId, outcome: OutcomeRecord
) -> InvocationInfo:
    details = outcome.details
    failure = outcome.result if isinstance(outcome.result, Failure) else None
    return InvocationInfo(
        id=format_invocation_id(id_),
        target=outcome.target,
        status="completed",
        accepted_at=moment_of(accepted_ms(id_)),
        begun_at=None if details is None else _moment(details.begun_ms),
        completed_at=moment_of(outcome.completed_ms),
        idempotency_key=outcome.idempotency_key,
        entries=journal_length(lifecycle.commits, id_),
        restarted_from=None if details is None else _id_or_none(details.restarted_from),
        outcome="success" if failure is None else "failure",
        error=None if failure is None else error_of(failure),
    )


def find_status(
    state: InvocationState, *, is_live: bool, is_served: bool, is_backing_off: bool
) -> Status:
    """The word for where an invocation stands that is not completed.

    Args:
        state: as recorded.
        is_live: whether it must be taken up at the next start: it does not only wait.
        is_served: whether there is code that runs it.
        is_backing_off: whether it, or the step it waits for, is to be tried again later.
    """
    match state:
        case InvocationState.SCHEDULED:
            return "scheduled"
        case InvocationState.INBOXED:
            return "pending"
        case InvocationState.PAUSED:
            return "paused"
        case InvocationState.BEGUN:
            if is_live:
                return "running" if is_served else "ready"
            return "backing-off" if is_backing_off else "suspended"


def _find_awaited(lifecycle: Lifecycle, invocation: OpenInvocation) -> Iterator[AwaitedInfo]:
    if invocation.record.state is InvocationState.INBOXED:
        assert invocation.object_ is not None, "a service with a mailbox"
        holder = lifecycle.mailboxes.find_holder(invocation.object_)
        yield AwaitedInfo(kind="turn", invocation_id=_id_or_none(holder))
        return
    open_: dict[int, Issued] = {}
    start, end = keys.prefix_range(keys.JOURNAL + invocation.id)
    for key, row in lifecycle.commits.scan(start, end):
        match codec.decode_entry(row):
            case Issued(Cancel(index)) | Completion(index):
                open_.pop(index, None)
            case Issued() as issued:
                open_[int.from_bytes(key[-4:], "big")] = issued
            case _:
                pass
    for index, issued in open_.items():
        awaited = _describe_command(invocation.id, index, issued.command)
        if awaited is None:
            continue
        awaited = replace(awaited, index=index, source=issued.source.partition("#")[0])
        if awaited.kind == "step":
            awaited = _with_attempts(lifecycle, invocation.id, awaited)
        yield awaited


def _describe_command(id_: InvocationId, index: int, command: Command) -> AwaitedInfo | None:
    match command:
        case Run(name):
            return AwaitedInfo(kind="step", name=name)
        case Sleep(due_ms):
            return AwaitedInfo(kind="timer", until=moment_of(due_ms))
        case Call(target, _, callee):
            called = format_invocation_id(callee)
            return AwaitedInfo(kind="call", name=str(target), invocation_id=called)
        case MakeAwakeable(_, _, due_ms):
            name = str(AwakeableId(id_, index))
            return AwaitedInfo(kind="awakeable", name=name, until=_moment(due_ms))
        case AwaitPromise(name):
            return AwaitedInfo(kind="promise", name=name)
        case AwaitSignal(name):
            return AwaitedInfo(kind="signal", name=name)
        case TakeMessage():
            return AwaitedInfo(kind="message")
        case Attach(awaited):
            return AwaitedInfo(kind="outcome", invocation_id=format_invocation_id(awaited))
        case _:
            return None  # It asks for nothing that comes later.


def _with_attempts(lifecycle: Lifecycle, id_: InvocationId, awaited: AwaitedInfo) -> AwaitedInfo:
    row = lifecycle.commits.get(keys.step(id_, awaited.index))
    step = StepRecord() if row is None else decode_step(row)
    return replace(
        awaited,
        until=_moment(step.next_attempt_ms),
        failures=step.failures,
        last_failure=step.last_failure,
    )


def _mode(mode: CallMode) -> Literal["queue", "interrupt", "steer"]:
    match mode:
        case CallMode.QUEUE:
            return "queue"
        case CallMode.INTERRUPT:
            return "interrupt"
        case CallMode.STEER:
            return "steer"


def _id_or_none(id_: bytes | None) -> str | None:
    return None if id_ is None else format_invocation_id(id_)


def _moment(time_ms: int) -> datetime | None:
    return moment_of(time_ms) if time_ms else None
