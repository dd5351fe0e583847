"""What must hold of one journal: its own order, and that what it waits for can still come.

A command of an open invocation that has no completion and was not cancelled is *open*. Whatever
brings its completion about is a row, so an open command without that row is lost: nobody will ever
move who waits for it. The other way round, a row that is to complete a command needs that command
to be open.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..journal import keys
from ..journal.any_row import describe_object
from ..journal.entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    Cancellation,
    Command,
    Compensation,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    DrainMessages,
    Entry,
    GiveUp,
    Input,
    Issued,
    MakeAwakeable,
    PeekPromise,
    Reads,
    Run,
    Send,
    Sleep,
    TakeMessage,
    Told,
)
from ..journal.records import (
    AwakeableRecord,
    InvocationRecord,
    InvocationState,
    StepRecord,
    TimerKind,
)
from ..objects.identity import InvocationId
from .verify_reading import Name, Reader, object_of

Problems = Iterator[str]

_ANSWERED_AT_ONCE = (PeekPromise, CompletePromise)
_AWAITED = (
    Run,
    Sleep,
    Call,
    MakeAwakeable,
    AwaitPromise,
    PeekPromise,
    CompletePromise,
    AwaitSignal,
    Attach,
    TakeMessage,
    DrainMessages,
)


@dataclass(slots=True)
class Journal:
    """One journal, as it is read entry by entry."""

    id: InvocationId
    first: int = -1
    """The index of the first entry that is there."""
    next: int = 0
    commands: dict[int, Command] = field(default_factory=dict[int, Command])
    completed: set[int] = field(default_factory=set[int])
    cancelled: set[int] = field(default_factory=set[int])
    given_up_at: int = 0
    """Where its handler was given up: what that had asked for may have been taken back since,
    without a word, or be a compensation that goes on."""
    deliverable: int = 0
    """Completions and cancellations so far."""
    deliveries: int = 0
    """How many of them the last command had seen."""

    def is_open(self, index: int) -> bool:
        """Whether a command waits for its completion."""
        return index not in self.completed and index not in self.cancelled

    def find_open(self) -> dict[int, Command]:
        """The commands that wait for a completion."""
        return {
            index: command
            for index, command in self.commands.items()
            if isinstance(command, _AWAITED) and self.is_open(index)
        }

    def add(self, read: Reader, index: int, entry: Entry) -> Problems:
        """The next entry."""
        name = read.name(self.id, index)
        if self.first < 0:
            self.first = self.next = index
        if index != self.next:
            yield f"{name} follows entry {self.next - 1}: what was between is lost"
        self.next = index + 1
        if isinstance(entry, Input) != (index == 0):
            yield f"{name} is {'no' if index == 0 else 'an'} input"
        match entry:
            case Issued(command, deliveries):
                yield from self._add_deliveries(name, deliveries)
                yield from self._add_command(name, index, command)
            case Reads(deliveries) | Told(deliveries):
                yield from self._add_deliveries(name, deliveries)
            case Completion(answered):
                self.deliverable += 1
                yield from self._add_completion(name, answered)
            case Cancellation():
                self.deliverable += 1
            case Input():
                pass

    def _add_deliveries(self, name: Name, deliveries: int) -> Problems:
        if not self.first and not self.deliveries <= deliveries <= self.deliverable:
            yield (
                f"{name} had seen {deliveries} completions, of {self.deliverable} that came before"
                f" it and {self.deliveries} that the one before it had seen"
            )
        self.deliveries = deliveries

    def _add_command(self, name: Name, index: int, command: Command) -> Problems:
        self.commands[index] = command
        match command:
            case Cancel(given_up):
                if given_up in self.cancelled:
                    yield f"{name} cancels entry {given_up}, which was cancelled before"
                if not self.first and not isinstance(self.commands.get(given_up), _AWAITED):
                    yield f"{name} cancels entry {given_up}, which waits for nothing"
                self.cancelled.add(given_up)
            case GiveUp(_, owed):
                self.given_up_at = index
                for registered in owed:
                    if not (self.first or isinstance(self.commands.get(registered), Compensation)):
                        yield f"{name} owes entry {registered}, which is no compensation"
            case _:
                pass

    def _add_completion(self, name: Name, answered: int) -> Problems:
        if self.first:
            return  # The rest of a journal that is being deleted.
        command = self.commands.get(answered)
        if not isinstance(command, (*_AWAITED, CompleteAwakeable, Send)):
            yield f"{name} completes entry {answered}, which waits for nothing"
        elif answered in self.completed:
            yield f"{name} completes entry {answered}, which was completed before"
        elif answered in self.cancelled and not isinstance(command, Call):
            yield f"{name} completes entry {answered}, which was cancelled before"
        self.completed.add(answered)


def check_journal(
    read: Reader, journal: Journal, rows: Mapping[bytes, Mapping[int, Any]]
) -> Problems:
    """A whole journal, with the rows that its commands have: by table, then by index.

    ``rows`` has those of the tables whose keys begin with the invocation's id.
    """
    record = read.find_invocation(journal.id)
    if record is None:
        yield from _check_closed(read, journal)
    elif journal.first > 0:
        yield f"the first entries of {read.name(journal.id)} are lost, and it is open"
    else:
        yield from _check_rows(read, journal, record, rows)
        yield from _check_open_commands(read, journal, record)


def _check_open_commands(read: Reader, journal: Journal, record: InvocationRecord) -> Problems:
    open_commands, name = journal.find_open(), read.name(journal.id)
    is_live = read.has(keys.live(journal.id))
    missing: dict[int, str] = {}
    found = 0
    for index, command in open_commands.items():
        if isinstance(command, _ANSWERED_AT_ONCE):
            yield f"entry {index} of {name} is answered at once, and was not"
        elif index > journal.given_up_at:
            wanted = _find_missing(read, journal.id, record, index, command)
            found += wanted is None and not isinstance(command, Call)
            if wanted:
                missing[index] = wanted
    # Its handler may be over, and only an action of it still run: then the rows of all that it had
    # not awaited are gone, and its journal does not say so.
    may_be_over = (
        is_live
        and not found
        and any(
            isinstance(command, Run) and index not in journal.completed
            for index, command in journal.commands.items()
        )
    )
    if not may_be_over:
        for index, wanted in missing.items():
            yield f"entry {index} of {name} waits for {wanted}, and nothing will bring it"
    if not (is_live or record.next_attempt_ms) and record.state is InvocationState.BEGUN:
        yield from _check_at_rest(read, journal, open_commands)


def _check_at_rest(
    read: Reader, journal: Journal, open_commands: Mapping[int, Command]
) -> Problems:
    """One that nothing but its commands can move has one that will."""
    name = read.name(journal.id)
    if not open_commands:
        yield f"{name} is not to be run at a start, and waits for nothing"
    for index, command in open_commands.items():
        if isinstance(command, DrainMessages):
            yield f"{name} waits for messages that entry {index} does not wait for"
        elif isinstance(command, Run) and index > journal.given_up_at:
            step = read.find(keys.step(journal.id, index))
            if step is None or not step.next_attempt_ms:
                yield f"{name} is not to be run at a start, and its step {index} has no end"


def _check_closed(read: Reader, journal: Journal) -> Problems:
    name = read.name(journal.id)
    if read.find_remains(journal.id) is not None:
        return
    if read.find_outcome(journal.id) is None:
        if not read.has(keys.invocation(journal.id)) and not read.has(keys.outcome(journal.id)):
            yield f"there is a journal of {name}, which is neither open nor completed"
    elif journal.first > 0:
        yield f"the first entries of the journal of {name} are lost"


def _find_missing(
    read: Reader, id_: InvocationId, record: InvocationRecord, index: int, command: Command
) -> str | None:
    """What an open command waits for, where no row will complete it; empty: it needs none."""
    object_ = object_of(record.target) or b""
    match command:
        case Sleep(due_ms):
            has = read.find(keys.timer(due_ms, id_, index)) is TimerKind.SLEEP
            missing = "a timer"
        case Call():
            return _find_missing_call(read, id_, index, command)
        case MakeAwakeable():
            has, missing = read.has(keys.awakeable(id_, index)), "an awakeable"
        case AwaitPromise(name):
            has = read.has(keys.promised(object_, name, id_, index))
            missing = f"the promise {name!r}"
        case AwaitSignal(name):
            has = read.rows.get(keys.signalled(id_, name, index)) == b""
            missing = f"the signal {name!r}"
        case Attach(awaited):
            has = read.has(keys.attached(awaited, id_, index))
            missing = f"the outcome of {read.name(awaited)}"
        case TakeMessage():
            has, missing = read.has(keys.message(id_, index)), "a message"
        case _:
            return ""
    return None if has else missing


def _find_missing_call(read: Reader, id_: InvocationId, index: int, command: Call) -> str | None:
    callee = read.find_invocation(command.callee)
    if callee is None:
        is_again = read.has(keys.reissue(id_, index))
        return None if is_again else f"{command.target}, which is not open"
    if (callee.caller, callee.caller_index) != (id_, index):
        return f"{read.name(command.callee)}, which does not know that it was called"
    if callee.target != command.target:
        return f"{command.target}, and has called {read.name(command.callee)}"
    return None


def _check_rows(
    read: Reader,
    journal: Journal,
    record: InvocationRecord,
    rows: Mapping[bytes, Mapping[int, Any]],
) -> Problems:
    """A row of a command has an open command of its kind."""
    for table, kind in _KINDS.items():
        for index in rows.get(table, {}):
            command = journal.commands.get(index)
            fits = isinstance(command, kind) and journal.is_open(index)
            if not fits:
                yield (
                    f"{read.name(journal.id)} has a row for entry {index}, which is no open"
                    f" {kind.__name__}"
                )
    for index in rows.get(keys.REISSUE, {}):
        command = journal.commands.get(index)
        if isinstance(command, Call) and read.has(keys.invocation(command.callee)):
            yield f"entry {index} of {read.name(journal.id)} is to be called again, and was called"
    waiting = read.find(keys.waiting(journal.id))
    if waiting is not None:
        open_commands = journal.find_open().values()
        callees = {each.callee for each in open_commands if isinstance(each, Call)}
        callees |= {each.invocation_id for each in open_commands if isinstance(each, Attach)}
        if not callees.issuperset(waiting):
            yield f"{read.name(journal.id)} counts as waiting for others than it called"
    if record.details is None or not record.details.has_signals:
        for _ in read.rows.scan(*keys.prefix_range(keys.SIGNAL + journal.id)):
            yield f"{read.name(journal.id)} has signals, and does not know it"
            break


_KINDS: Mapping[bytes, type] = {
    keys.AWAKEABLE: MakeAwakeable,
    keys.STEP: Run,
    keys.MESSAGE: TakeMessage,
    keys.REISSUE: Call,
}
"""Tables whose rows belong to one command of the invocation that their keys begin with."""


def check_of_command(read: Reader, id_: InvocationId, index: int, value: Any) -> Problems:
    """A row of an open command: the invocation is open, and what it is to be told in time will be.

    Whether the command is open is looked at with its journal.
    """
    if not read.has(keys.invocation(id_)):
        yield f"entry {index} of {read.name(id_)} has a row, and the invocation is not open"
    match value:
        case StepRecord(next_attempt_ms=due_ms):
            kind = TimerKind.STEP_RETRY
        case AwakeableRecord(due_ms=due_ms):
            kind = TimerKind.AWAKEABLE
        case _:
            return
    if due_ms and read.find(keys.timer(due_ms, id_, index)) is not kind:
        yield f"entry {index} of {read.name(id_)} is to go on at {due_ms}, and no timer is there"


def check_promised(
    read: Reader, object_: bytes, name: str, id_: InvocationId, index: int
) -> Problems:
    """Someone who awaits a promise that is not completed."""
    what = f"entry {index} of {read.name(id_)} awaits the promise {name!r}"
    if read.has(keys.promise(object_, name)):
        yield f"{what} of {describe_object(object_)}, which is completed"
    entry = read.find(keys.journal(id_, index))
    if not isinstance(entry, Issued) or entry.command != AwaitPromise(name):
        yield f"{what}, and its journal does not say so"
    elif not read.has(keys.invocation(id_)):
        yield f"{what}, and the invocation is not open"


def check_signal(read: Reader, id_: InvocationId, name: str) -> Problems:
    """A signal that nobody awaits: its invocation is open, and no command of it awaits one."""
    if not read.has(keys.invocation(id_)):
        yield f"there is a signal {name!r} for {read.name(id_)}, which is not open"
    prefix = keys.SIGNALLED + id_ + keys.text(name)
    for _, row in read.rows.scan(*keys.prefix_range(prefix)):
        if not row:
            yield f"{read.name(id_)} awaits the signal {name!r}, which has come"
            return


def check_signalled(read: Reader, id_: InvocationId, name: str, index: int) -> Problems:
    """A command that awaits a signal, or has taken one that came before."""
    entry = read.find(keys.journal(id_, index))
    if not isinstance(entry, Issued) or entry.command != AwaitSignal(name):
        yield f"entry {index} of {read.name(id_)} awaits the signal {name!r}, and does not say so"
    elif not read.has(keys.invocation(id_)):
        yield f"{read.name(id_)} awaits the signal {name!r}, and is not open"


def check_attached(
    read: Reader, awaited: InvocationId, waiter: InvocationId, index: int
) -> Problems:
    """A command that awaits an outcome: it is to come, and will be told."""
    what = f"entry {index} of {read.name(waiter)} awaits the outcome of {read.name(awaited)}"
    record = read.find_invocation(awaited)
    if record is None:
        yield f"{what}, which is not open"
    elif record.details is None or not record.details.is_attached:
        yield f"{what}, which does not know that"
    entry = read.find(keys.journal(waiter, index))
    if not isinstance(entry, Issued) or entry.command != Attach(awaited):
        yield f"{what}, and its journal does not say so"
    elif not read.has(keys.invocation(waiter)):
        yield f"{what}, and is not open"
