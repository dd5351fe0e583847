"""The rows beside the journal: invocations, outcomes, steps, timers.

invocation  := version [state, service, key | nil, handler, sequence, is_exclusive,
                begun_ms,
                caller id | nil, caller index, idempotency key | nil, failures,
                next_attempt_ms, last_failure]
                then, where there is anything: details, see ``InvocationDetails``
outcome     := version [service, key | nil, handler, sequence, completed_ms, kept,
                is_listed, result]
                kept: see ``Kept``; result: bytes | nil (not kept) | failure
                then, where there is an idempotency key: key | nil, expires_ms
                then, where there is anything: details, see ``OutcomeDetails``
step        := version [state, attempt, failures, next_attempt_ms, last_failure]
                then, where there is anything: began_ms, details | nil
                then, where it has failed: failed_ms
timer       := one byte, see ``TimerKind``
awakeable   := empty, or version [message | nil, schema | nil, due_ms, created_ms]
promise     := version [completed_ms, bytes | failure]
signal      := version [bytes | failure]
remains     := version [service, key | nil, handler, sequence, entries, may_have_undo, is_whole]
link keys   := version [[created_ms, key, is_revoked], ...]
                oldest first; the meta row "link keys"
debris      := version [size, id | no bytes, has_workflows]; the meta row "debris"
details     := {name: value}, without what is as it mostly is; names are for ever
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from ..objects.identity import InvocationId, Target
from .codec import decode_failure, encode_failure, pack, unpack
from .entry import Failure


class InvocationState(IntEnum):
    """Where an invocation that is not completed stands. The numbers are on disk."""

    SCHEDULED = 0
    """A delayed send that is not due."""
    INBOXED = 1
    """Waits for the turn at its object."""
    BEGUN = 2
    """An attempt has begun: it runs, is suspended, or will be tried again."""
    PAUSED = 3
    """Waits for a person to resume it."""


class CallMode(IntEnum):
    """What a call does to the turn under way at its key. The numbers are on disk."""

    QUEUE = 0
    """It waits for its own turn."""
    INTERRUPT = 1
    """The turn under way is cancelled, and this one goes next."""
    STEER = 2
    """It is a message that the turn under way may take; unread, it waits for its own turn."""


class InvocationDetails(Struct, kw_only=True):
    """What few invocations have; a plain call has no details at all."""

    mode: CallMode = CallMode.QUEUE
    is_canceled: bool = False
    """Whether a cancellation is in its journal, or was the reason it never began."""
    is_attached: bool = False
    """Whether other invocations may await its outcome by attaching."""
    callback: str | list[str | None] | None = None
    """Who is told the outcome: a URL, or service, key and handler."""
    progress_index: int = 0
    """How long the journal was when an attempt failed last; further entries are progress."""
    failing_since_ms: int = 0
    """When the first of the failed attempts that count ended."""
    has_signals: bool = False
    """Whether signals have come that were not awaited, so that its end has rows to look for."""
    restarted_from: bytes | None = None
    """The invocation that this one was made from."""
    restarted_at: int = 0
    """How many entries of that journal this one began with."""

    def pack(self) -> dict[str, Any]:
        """The fields that say anything, by name."""
        return _pack_details(self)


class InvocationRecord(Struct, kw_only=True):
    """An invocation that is not completed. The runtime changes it and writes it again."""

    target: Target
    state: InvocationState
    sequence: int
    """Its place among all invocations; at one key, the place in the mailbox."""
    is_exclusive: bool = False
    """Whether it needs the turn at its object; recorded, for the class may be gone later."""
    begun_ms: int = 0
    """When the first attempt began; the handler's first ``now``."""
    caller: InvocationId | None = None
    caller_index: int = 0
    """The command of the caller that this invocation's outcome completes."""
    idempotency_key: str | None = None
    failures: int = 0
    """Failed attempts so far, for the retry policy."""
    next_attempt_ms: int = 0
    """When the next attempt is due after a failed one, or a delayed send; 0 when none is."""
    last_failure: str = ""
    """What the last failed attempt said, or why the invocation is paused."""
    details: InvocationDetails | None = None

    def need_details(self) -> InvocationDetails:
        """The details, made now if there were none."""
        if self.details is None:
            self.details = InvocationDetails()
        return self.details

    def encode(self) -> bytes:
        """The row."""
        target = self.target
        details = () if self.details is None else (self.details.pack(),)
        return pack(
            [
                int(self.state),
                target.service,
                target.key,
                target.handler,
                self.sequence,
                self.is_exclusive,
                self.begun_ms,
                self.caller,
                self.caller_index,
                self.idempotency_key,
                self.failures,
                self.next_attempt_ms,
                self.last_failure,
                *details,
            ]
        )


def decode_invocation(row: bytes) -> InvocationRecord:
    """The record that ``InvocationRecord.encode`` wrote."""
    fields = unpack(row, "an invocation row")
    return InvocationRecord(
        state=InvocationState(fields[0]),
        target=Target(fields[1], fields[2], fields[3]),
        sequence=fields[4],
        is_exclusive=fields[5],
        begun_ms=fields[6],
        caller=None if fields[7] is None else InvocationId(fields[7]),
        caller_index=fields[8],
        idempotency_key=fields[9],
        failures=fields[10],
        next_attempt_ms=fields[11],
        last_failure=fields[12],
        details=_unpack_invocation_details(fields[13]) if len(fields) > 13 else None,
    )


def _unpack_invocation_details(packed: dict[str, Any]) -> InvocationDetails:
    details = InvocationDetails(**packed)
    details.mode = CallMode(details.mode)
    return details


class Kept(IntEnum):
    """What is kept of a completed invocation beside its outcome row. The numbers are on disk."""

    OUTCOME = 0
    JOURNAL = 1
    """Its journal and its undo rows too."""


class OutcomeDetails(Struct, frozen=True, kw_only=True):
    """What is kept beside an outcome where there is more to be kept."""

    begun_ms: int = 0
    """When the first attempt began, for a restart that brings the start time with it."""
    journal_expires_ms: int = 0
    """When the journal goes, where that is before the outcome; 0 when it is not."""
    kept_until_ms: int = 0
    """When the outcome goes, where its handler or class says so; 0: as the runtime says."""
    entries: int = 0
    """How many entries the journal has, so that it can go without being read; 0: not known."""
    stored_bytes: int = 0
    """Of its journal and its undo rows, as they were counted."""
    has_no_undo: bool = False
    """It certainly left no undo rows."""
    restarted_from: bytes | None = None
    restarted_at: int = 0
    """As in ``InvocationDetails``."""
    callback: str | list[str | None] | None = None
    """Who was told the outcome, and is told that of a restart."""

    def pack(self) -> dict[str, Any]:
        """The fields that say anything, by name."""
        return _pack_details(self)


class OutcomeRecord(Struct, frozen=True, kw_only=True):
    """A completed invocation."""

    target: Target
    sequence: int
    completed_ms: int
    kept: Kept
    result: bytes | Failure | None
    """``None``: the result of a call without steps was too large to be kept."""
    is_listed: bool = False
    """Whether the expiry table says when it goes; else its place among the outcomes does."""
    idempotency_key: str | None = None
    expires_ms: int = 0
    """When an idempotency record stops to count; 0 without an idempotency key."""
    details: OutcomeDetails | None = None

    def encode(self) -> bytes:
        """The row."""
        target = self.target
        result: Any = self.result
        if isinstance(result, Failure):
            result = encode_failure(result)
        fields = [
            target.service,
            target.key,
            target.handler,
            self.sequence,
            self.completed_ms,
            int(self.kept),
            self.is_listed,
            result,
        ]
        if self.idempotency_key is not None or self.details is not None:
            fields += [self.idempotency_key, self.expires_ms]
        if self.details is not None:
            fields.append(self.details.pack())
        return pack(fields)


def decode_outcome(row: bytes) -> OutcomeRecord:
    """The record that ``OutcomeRecord.encode`` wrote."""
    fields = unpack(row, "an outcome row")
    result = fields[7]
    return OutcomeRecord(
        target=Target(fields[0], fields[1], fields[2]),
        sequence=fields[3],
        completed_ms=fields[4],
        kept=Kept(fields[5]),
        result=decode_failure(result) if isinstance(result, list) else result,
        is_listed=fields[6],
        idempotency_key=fields[8] if len(fields) > 8 else None,
        expires_ms=fields[9] if len(fields) > 9 else 0,
        details=OutcomeDetails(**fields[10]) if len(fields) > 10 else None,
    )


@dataclass(frozen=True, slots=True)
class RemainsRecord:
    """Whose rows are being deleted: nobody finds them by an outcome any more."""

    target: Target
    sequence: int
    entries: int
    may_have_undo: bool
    """Both as in ``OutcomeDetails``."""
    is_whole: bool
    """Whether the outcome is gone too, and so what a workflow leaves beside its ``run``."""

    def encode(self) -> bytes:
        """The row."""
        target = self.target
        return pack(
            [
                target.service,
                target.key,
                target.handler,
                self.sequence,
                self.entries,
                self.may_have_undo,
                self.is_whole,
            ]
        )


def decode_remains(row: bytes) -> RemainsRecord:
    """The record that ``RemainsRecord.encode`` wrote."""
    service, key, handler, *rest = unpack(row, "a row of remains")
    return RemainsRecord(Target(service, key, handler), *rest)


class DebrisRecord(Struct, kw_only=True):
    """What was deleted and not compacted away yet. Whoever deletes changes it."""

    size: int = 0
    """Bytes of keys and values."""
    latest: bytes = b""
    """The latest invocation of which rows were deleted."""
    has_workflows: bool = False
    """Whether state and promises of workflows are among it."""

    def encode(self) -> bytes:
        """The row."""
        return pack([self.size, self.latest, self.has_workflows])


def decode_debris(row: bytes) -> DebrisRecord:
    """The record that ``DebrisRecord.encode`` wrote."""
    size, latest, has_workflows = unpack(row, "the row of debris")
    return DebrisRecord(size=size, latest=latest, has_workflows=has_workflows)


class StepState(IntEnum):
    """What is known of a step's current attempt. The numbers are on disk."""

    STARTED = 0
    """The intent is durable; without a result the outcome is unknown."""
    FAILED = 1
    """The action raised; another attempt is due at ``next_attempt_ms``."""
    NOT_STARTED = 2
    """A stop came between the intent and the action: nothing happened."""
    HELD = 3
    """Unknown, and a person decides: resuming the invocation runs it again."""


class StepRecord(Struct, frozen=True, kw_only=True):
    """A step beyond its first intent. Without a row, the command itself is attempt 1's intent."""

    state: StepState = StepState.STARTED
    attempt: int = 1
    failures: int = 0
    """Attempts that counted against the retry policy."""
    next_attempt_ms: int = 0
    last_failure: str = ""
    began_ms: int = 0
    """When the first attempt began, as far as that is known."""
    details: bytes | None = None
    """What the action said last of how far it has come, as MessagePack."""
    failed_ms: int = 0
    """When ``last_failure`` was."""

    @property
    def attempts_begun(self) -> int:
        """How many attempts have begun, or may have."""
        return self.attempt - (self.state is StepState.NOT_STARTED)

    def encode(self) -> bytes:
        """The row."""
        fields: list[Any] = [
            int(self.state),
            self.attempt,
            self.failures,
            self.next_attempt_ms,
            self.last_failure,
        ]
        if self.began_ms or self.details is not None or self.failed_ms:
            fields += [self.began_ms, self.details]
        if self.failed_ms:
            fields.append(self.failed_ms)
        return pack(fields)


def decode_step(row: bytes) -> StepRecord:
    """The record that ``StepRecord.encode`` wrote."""
    fields = unpack(row, "a step row")
    return StepRecord(
        state=StepState(fields[0]),
        attempt=fields[1],
        failures=fields[2],
        next_attempt_ms=fields[3],
        last_failure=fields[4],
        began_ms=fields[5] if len(fields) > 5 else 0,
        details=fields[6] if len(fields) > 6 else None,
        failed_ms=fields[7] if len(fields) > 7 else 0,
    )


class TimerKind(IntEnum):
    """What a timer does when it is due. The numbers are on disk, as one byte."""

    SLEEP = 0
    """Completes the Sleep command ``index`` of the invocation."""
    START = 1
    """A delayed send takes its place in the mailbox."""
    RETRY = 2
    """The next attempt of the invocation."""
    STEP_RETRY = 3
    """The next attempt of step ``index``."""
    AWAKEABLE = 4
    """The deadline of awakeable ``index``."""

    def encode(self) -> bytes:
        """The row."""
        return bytes((self,))


@dataclass(frozen=True, slots=True, kw_only=True)
class AwakeableRecord:
    """An open awakeable that says something of itself. Without any of it, the row is empty."""

    message: bytes | None = None
    """What whoever resolves it is told, as JSON."""
    schema: bytes | None = None
    """The JSON Schema that a value must fit, as JSON."""
    due_ms: int = 0
    """When it is rejected by itself; 0 for never."""
    created_ms: int = 0

    def encode(self) -> bytes:
        """The row."""
        return pack([self.message, self.schema, self.due_ms, self.created_ms])


def decode_awakeable(row: bytes) -> AwakeableRecord:
    """The record that ``AwakeableRecord.encode`` wrote, or one that says nothing."""
    if not row:
        return AwakeableRecord()
    message, schema, due_ms, created_ms = unpack(row, "an awakeable row")
    return AwakeableRecord(message=message, schema=schema, due_ms=due_ms, created_ms=created_ms)


@dataclass(frozen=True, slots=True)
class PromiseRecord:
    """A promise of a workflow that is resolved or rejected."""

    completed_ms: int
    result: bytes | Failure

    def encode(self) -> bytes:
        """The row."""
        return pack([self.completed_ms, _pack_result(self.result)])


def decode_promise(row: bytes) -> PromiseRecord:
    """The record that ``PromiseRecord.encode`` wrote."""
    completed_ms, result = unpack(row, "a promise row")
    return PromiseRecord(completed_ms, _unpack_result(result))


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """A signal that came before anybody awaited it."""

    result: bytes | Failure

    def encode(self) -> bytes:
        """The row."""
        return pack([_pack_result(self.result)])


def decode_signal(row: bytes) -> SignalRecord:
    """The record that ``SignalRecord.encode`` wrote."""
    return SignalRecord(_unpack_result(unpack(row, "a signal row")[0]))


def _pack_result(result: bytes | Failure) -> Any:
    return encode_failure(result) if isinstance(result, Failure) else result


def _unpack_result(packed: Any) -> bytes | Failure:
    return decode_failure(packed) if isinstance(packed, list) else packed


def _pack_details(details: InvocationDetails | OutcomeDetails) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for name, default in _DETAILS[type(details)]:
        value = getattr(details, name)
        if value != default:
            packed[name] = int(value) if isinstance(value, IntEnum) else value
    return packed


# Looked up once: every completion with a journal writes details.
_DETAILS = {
    kind: [(each.name, each.default) for each in fields(kind)]
    for kind in (InvocationDetails, OutcomeDetails)
}


@dataclass(frozen=True, slots=True)
class LinkKey:
    """A key that links are signed with. It is a secret, and shown nowhere."""

    created_ms: int
    key: bytes = field(repr=False)
    is_revoked: bool
    """Whether links that it has signed count no more."""


def encode_link_keys(found: Sequence[LinkKey]) -> bytes:
    """The row, oldest first."""
    return pack([[each.created_ms, each.key, each.is_revoked] for each in found])


def decode_link_keys(row: bytes) -> tuple[LinkKey, ...]:
    """The keys that ``encode_link_keys`` wrote."""
    return tuple(
        LinkKey(created_ms, key, is_revoked)
        for created_ms, key, is_revoked in unpack(row, "the row of link keys")
    )
