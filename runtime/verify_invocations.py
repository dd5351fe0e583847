"""What must hold of the rows of one invocation: open, completed, or being forgotten.

Each function is given one row, taken apart, and yields a sentence for each thing that is not so.
What its commands wait for is ``verify_journals``'.
"""

from collections.abc import Iterator
from typing import Any

from ..journal import keys
from ..journal.any_row import describe_object
from ..journal.records import (
    CallMode,
    InvocationRecord,
    InvocationState,
    Kept,
    OutcomeRecord,
    RemainsRecord,
    TimerKind,
)
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId, format_invocation_id
from .timers import RETRY_INDEX
from .verify_reading import Reader, hash_of_turn, object_of

Problems = Iterator[str]

_BEGUN = frozenset({InvocationState.BEGUN, InvocationState.PAUSED})


def check_invocation(read: Reader, id_: InvocationId, record: InvocationRecord) -> Problems:
    """An invocation that is not completed."""
    name = read.name(id_)
    if read.has(keys.outcome(id_)):
        yield f"{name} is open, and has an outcome"
    if not read.has(keys.journal(id_, 0)):
        yield f"{name} is open, and its input is lost"
    is_live = read.has(keys.live(id_))
    if is_live and record.state is not InvocationState.BEGUN:
        yield f"{name} is {record.state.name}, and a start would run it"
    yield from _check_due(read, id_, record, is_live=is_live)
    object_ = object_of(record.target)
    yield from _check_place(read, id_, record, object_)
    if record.state not in _BEGUN and read.has(keys.journal(id_, 1)):
        yield f"{name} has not begun, and its journal has more than the input"
    key = record.idempotency_key
    if key is not None:
        row = read.rows.get(keys.idempotency(record.target, key))
        if row is None or not row.startswith(id_):
            yield f"{name} is open, and its idempotency key does not lead to it"
    read.tally.last_sequence = max(read.tally.last_sequence, record.sequence)
    if object_ is not None and record.state in _BEGUN:
        read.tally.turns_with_undo.add(hash_of_turn(object_, record.sequence))


def check_outcome(read: Reader, id_: InvocationId, outcome: OutcomeRecord) -> Problems:
    """A completed invocation that is kept."""
    name = read.name(id_)
    has_journal = read.has(keys.journal(id_, 0))
    remains = read.find_remains(id_)
    if outcome.kept is Kept.JOURNAL and not has_journal:
        yield f"{name} is completed with its journal, and the journal is lost"
    if outcome.kept is Kept.OUTCOME and has_journal and remains is None:
        yield f"{name} is completed without its journal, and rows of that are left"
    entries = 0 if outcome.details is None else outcome.details.entries
    if outcome.kept is Kept.JOURNAL and entries:
        if not read.has(keys.journal(id_, entries - 1)):
            yield f"{name} is completed with {entries} entries, and the last ones are lost"
        if read.has(keys.journal(id_, entries)):
            yield f"{name} is completed with {entries} entries, and its journal has more"
    tally, object_ = read.tally, object_of(outcome.target)
    tally.listed_outcomes += outcome.is_listed
    tally.last_sequence = max(tally.last_sequence, outcome.sequence)
    has_undo = outcome.details is None or not outcome.details.has_no_undo
    if object_ is not None and outcome.kept is Kept.JOURNAL and has_undo:
        tally.turns_with_undo.add(hash_of_turn(object_, outcome.sequence))


def check_remains(read: Reader, id_: InvocationId, remains: RemainsRecord) -> Problems:
    """An invocation whose rows are being deleted."""
    outcome = read.find_outcome(id_)
    if read.has(keys.invocation(id_)):
        yield f"{read.name(id_)} is open, and its rows are being deleted"
    if remains.is_whole and outcome is not None:
        yield f"{read.name(id_)} is being forgotten, and still has an outcome"
    if not remains.is_whole and outcome is not None and outcome.kept is not Kept.OUTCOME:
        yield f"the journal of {read.name(id_)} is being deleted, and its outcome says it is kept"


def check_live(read: Reader, id_: InvocationId) -> Problems:
    """A row that makes the next start run an invocation."""
    if not read.has(keys.invocation(id_)):
        yield f"a start would run {read.name(id_)}, which is not open"


def check_waiting(read: Reader, id_: InvocationId) -> Problems:
    """A row that says that nothing but certain invocations can move one."""
    record = read.find_invocation(id_)
    if record is None or record.state is not InvocationState.BEGUN or read.has(keys.live(id_)):
        yield f"{read.name(id_)} counts as waiting for others, and is not"


def check_timer(
    read: Reader, due_ms: int, id_: InvocationId, index: int, kind: TimerKind
) -> Problems:
    """A timer; those of commands are looked at with their journal."""
    record = read.find_invocation(id_)
    name = f"the {kind.name} timer of {read.name(id_)} for {due_ms}"
    if record is None:
        # One that the first releases scheduled leaves its timer when it is taken back.
        if kind is not TimerKind.START or read.find_outcome(id_) is None:
            yield f"{name} is there, and the invocation is not open"
        return
    match kind:
        case TimerKind.START:
            fits = record.state is InvocationState.SCHEDULED and index == 0
            fits = fits and record.next_attempt_ms in {0, due_ms}
        case TimerKind.RETRY:
            fits = record.state in _BEGUN and index == RETRY_INDEX
            fits = fits and record.next_attempt_ms == due_ms
        case TimerKind.STEP_RETRY:
            step = read.find(keys.step(id_, index))
            fits = step is not None and step.next_attempt_ms == due_ms
        case TimerKind.AWAKEABLE:
            awakeable = read.find(keys.awakeable(id_, index))
            fits = awakeable is not None and awakeable.due_ms == due_ms
        case TimerKind.SLEEP:
            fits = True
    if not fits:
        yield f"{name} is there, and nothing waits for it"


def check_expiry(read: Reader, id_: InvocationId) -> Problems:
    """When retention is to look at an outcome; the row of one that is gone is no harm."""
    outcome = read.find_outcome(id_)
    if outcome is None:
        if read.has(keys.invocation(id_)):
            yield f"{read.name(id_)} is open, and retention is to look at it"
    elif outcome.is_listed:
        read.tally.expiries_of_listed += 1
    else:
        yield f"retention is to look at {read.name(id_)}, and its outcome does not know that"


def check_idempotency(read: Reader, fields: tuple[Any, ...], row: bytes) -> Problems:
    """A row that makes a call a duplicate of another one."""
    service, key, handler, idempotency_key = fields
    id_ = InvocationId(row[:INVOCATION_ID_BYTES])
    found = read.find_invocation(id_) or read.find_outcome(id_)
    what = f"the idempotency key {idempotency_key!r} of {service}/{key}/{handler}"
    if found is None:
        yield f"{what} leads to {format_invocation_id(id_)}, which there is not"
        return
    target = found.target
    is_same = (target.service, target.key or "", target.handler) == (service, key, handler)
    if not is_same or found.idempotency_key != idempotency_key:
        yield f"{what} leads to {read.name(id_)}, which was not called with it"


def _check_due(
    read: Reader, id_: InvocationId, record: InvocationRecord, *, is_live: bool
) -> Problems:
    name, due_ms = read.name(id_), record.next_attempt_ms
    is_scheduled = record.state is InvocationState.SCHEDULED
    # The first releases did not note for when one was scheduled; of theirs only the timer tells.
    if due_ms:
        index = 0 if is_scheduled else RETRY_INDEX
        expected = TimerKind.START if is_scheduled else TimerKind.RETRY
        if record.state is InvocationState.INBOXED:
            yield f"{name} waits in its mailbox, and for {due_ms} too"
        elif read.find(keys.timer(due_ms, id_, index)) is not expected:
            yield f"{name} is to go on at {due_ms}, and there is no timer for that"
        if is_live:
            yield f"{name} is to go on at {due_ms}, and a start would run it before"


def _check_place(
    read: Reader, id_: InvocationId, record: InvocationRecord, object_: bytes | None
) -> Problems:
    if not record.is_exclusive or object_ is None:
        if record.is_exclusive or record.state is InvocationState.INBOXED:
            yield f"{read.name(id_)} waits for a turn, and there is none that it could have"
        return
    name, place = read.name(id_), describe_object(object_)
    turn = read.rows.get(keys.turn(object_))
    holder = None if turn is None else turn[8:]
    if record.state is InvocationState.SCHEDULED:
        if holder == id_:
            yield f"{name} is SCHEDULED, and holds the turn at {place}"
    elif record.state is InvocationState.INBOXED:
        if turn is None:
            yield f"{name} waits for its turn at {place}, which nobody holds"
        mode = CallMode.QUEUE if record.details is None else record.details.mode
        table = keys.lane if mode is CallMode.INTERRUPT else keys.inbox
        row = read.rows.get(table(object_, record.sequence))
        expected = id_ + (b"\x01" if mode is CallMode.STEER else b"")
        if row != expected:
            yield f"{name} waits for its turn, and has no place in the mailbox of {place}"
    elif holder != id_:
        yield f"{name} is {record.state.name}, and does not hold the turn at {place}"
    elif turn is not None and int.from_bytes(turn[:8], "big") > record.sequence:
        yield f"{name} has its turn at {place} with an earlier number than its place had"
