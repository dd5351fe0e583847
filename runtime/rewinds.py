"""Restarting a completed invocation from an entry: with its journal, and its object, as they were.

The new invocation begins with the entries before that one, so its handler is replayed up to there
and goes on from there. Of an exclusive handler the object is put back first: its rows become what
they were before that entry, and the undo rows of the old turn are copied, so that the replay begins
where the old turn began. What the object held when it was put back is kept as undo rows of index 0,
so that its past stays readable. All of it is one decision.

What had no answer at that entry is asked for again (``reissue``). A call is made when the replay
comes by it, since only the handler knows the argument: until then a row says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from msgspec.structs import replace

from ..journal import codec, keys, undo_rows
from ..journal.entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    CancelInvocation,
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
    Patched,
    PeekPromise,
    Run,
    Send,
    SendSignal,
    Sleep,
    TakeMessage,
)
from ..journal.records import (
    InvocationDetails,
    InvocationRecord,
    InvocationState,
    Kept,
    OutcomeRecord,
    TimerKind,
    decode_outcome,
)
from ..journal.undo_rows import SEQUENCE_BYTES, UndoRow
from ..objects.errors import (
    ConflictError,
    InvalidArgumentError,
    NotKeptError,
)
from ..objects.identity import (
    InvocationId,
    Target,
    accepted_ms,
    check_key,
    format_invocation_id,
    new_invocation_id,
)
from ..objects.whole_numbers import check_whole
from .attachments import attach
from .awakeables import open_awakeable
from .core import Core
from .disk_room import check_room
from .history import History, Moment
from .history_marks import HistoryMarks
from .open_invocation import OpenInvocation, Result, object_key
from .past import Past
from .promises import add_waiter, find_promise
from .restarts import callback_of, get_completed, refuse_run
from .signals import take_signal
from .state_table import RESTORED_INDEX

_NAMES_LOOKED_AT = 1_000
"""Completed invocations that are looked at for the name of one that is in the way."""

_NAMED_BEFORE_MS = 60_000
"""How much earlier than the one that is restarted its successor may have been accepted."""

_ANSWERED_AT_ONCE = (PeekPromise, CompletePromise, CompleteAwakeable, Send)


def restart_from(core: Core, id_: InvocationId, from_entry: int, fork: str | None) -> InvocationId:
    """Begin an invocation with the entries of a completed one before ``from_entry``.

    Args:
        core: the runtime.
        id_: the completed one.
        from_entry: the first entry that the new one does not begin with; 1 or more.
        fork: the key of a new object that is to hold the state, instead of the old one.

    Raises:
        UnknownTargetError: there is no such invocation, or no class with its handler.
        ConflictError: it is not completed, or the ``run`` of a workflow; or its key is in use, or
            its state was changed since; or the new key has been used.
        NotKeptError: its journal is not kept.
        InvalidArgumentError: there is no such entry, the journal cannot be cut there, the argument
            does not fit the handler any more, or there is nothing to fork.
        StoreFullError: nothing new is accepted now.
    """
    check_whole(from_entry, "from_entry")
    outcome = get_completed(core, id_)
    service, handler = core.registry.get_code(outcome.target)
    refuse_run(outcome.target, is_run=handler.is_run)
    rows = _read_journal(core, id_, outcome)
    entries = [codec.decode_entry(row) for row in rows[: max(from_entry, 0) + 1]]
    _check_cut(entries, rows, from_entry, f"{outcome.target} ({format_invocation_id(id_)})")
    input_ = entries[0]
    assert isinstance(input_, Input), "a journal without its input"
    prepared = handler.decode_argument(input_.argument)
    is_exclusive = service.keyed and not handler.shared
    target = _find_target(outcome.target, fork, is_exclusive=is_exclusive)
    rewind = None
    if is_exclusive:
        rewind = _Rewind(core, id_, outcome, from_entry, target)
        rewind.check()
    check_room(core.store)
    # From here on, nothing is refused.
    prefix = entries[:from_entry]
    invocation = OpenInvocation(
        id=core.lifecycle.new_id(),
        record=_make_record(core, id_, outcome, target, prefix, is_exclusive=is_exclusive),
        service=service,
        handler=handler,
        object_=object_key(target),
        next_index=from_entry,
        keeps_journal=True,
        prepared=prepared,
    )
    if rewind is not None:
        rewind.stage(invocation.record.sequence)
    _copy_journal(core, invocation, prefix, rows, seed=input_.seed or bytes(id_))
    core.lifecycle.take_up(invocation)
    return invocation.id


def _make_record(  # noqa: PLR0913  # a record has these parts
    core: Core,
    id_: InvocationId,
    outcome: OutcomeRecord,
    target: Target,
    prefix: Sequence[Entry],
    *,
    is_exclusive: bool,
) -> InvocationRecord:
    begun_ms = outcome.details.begun_ms if outcome.details is not None else 0
    return InvocationRecord(
        target=target,
        state=InvocationState.BEGUN,
        sequence=core.lifecycle.next_sequence(),
        is_exclusive=is_exclusive,
        begun_ms=begun_ms or accepted_ms(id_),
        details=InvocationDetails(
            restarted_from=id_,
            restarted_at=len(prefix),
            is_canceled=any(isinstance(entry, Cancellation) for entry in prefix),
            # A fork is another session, which nobody has asked about.
            callback=callback_of(outcome) if target == outcome.target else None,
        ),
    )


def _read_journal(core: Core, id_: InvocationId, outcome: OutcomeRecord) -> list[bytes]:
    rows: list[bytes] = []
    if outcome.kept is Kept.JOURNAL:
        rows = [row for _, row in core.commits.scan(*keys.prefix_range(keys.JOURNAL + id_))]
    if not rows:
        message = (
            f"the journal of {outcome.target} ({format_invocation_id(id_)}) is not kept, so there "
            f"is nothing to begin with; one that succeeded without steps leaves none, and others "
            f"are kept for their retention"
        )
        raise NotKeptError(message)
    return rows


def _check_cut(entries: Sequence[Entry], rows: Sequence[bytes], from_entry: int, name: str) -> None:
    length = len(rows)
    if not 1 <= from_entry <= length:
        message = (
            f"from_entry={from_entry}: the journal of {name} has {length} entries, so this is 1 to "
            f"{length}; entry 0 is its input, and restart() without from_entry begins anew"
        )
        raise InvalidArgumentError(message)
    asked = from_entry - 1
    # Who completes a promise that it awaits itself is told that first, in the same decision.
    while isinstance(entries[asked], Completion):
        asked -= 1
    command = entries[asked]
    if not isinstance(command, Issued) or not isinstance(command.command, _ANSWERED_AT_ONCE):
        return
    for index in range(from_entry, length):
        entry = codec.decode_entry(rows[index])
        if not isinstance(entry, Completion):
            return
        if entry.index == asked:
            message = (
                f"from_entry={from_entry}: entry {index} of {name} is the answer to entry {asked} "
                f"and was written with it; use {asked} or {index + 1}"
            )
            raise InvalidArgumentError(message)


def _find_target(target: Target, fork: str | None, *, is_exclusive: bool) -> Target:
    if fork is None:
        return target
    if not is_exclusive:
        message = f"{target} has no state of its own that could be forked; leave out fork="
        raise InvalidArgumentError(message)
    fork = check_key(fork)
    if fork == target.key:
        message = f"fork={fork!r} is the key that {target} had; name another one, or leave it out"
        raise InvalidArgumentError(message)
    return Target(target.service, fork, target.handler)


# -- The journal ---------------------------------------------------------------------------------


def _copy_journal(
    core: Core,
    invocation: OpenInvocation,
    prefix: Sequence[Entry],
    rows: Sequence[bytes],
    *,
    seed: bytes,
) -> None:
    """Stage the entries that the new invocation begins with, and ask again for what was open."""
    answers: list[tuple[int, Result]] = []
    closed = _find_closed(prefix)
    for index, entry in enumerate(prefix):
        row = rows[index]
        if isinstance(entry, Input):
            row = codec.InputRow(replace(entry, seed=seed)).encode()
        elif isinstance(entry, Issued) and index not in closed:
            command, answer = reissue(core, invocation, index, entry.command)
            if command is not entry.command:
                row = codec.encode_command(command, entry.deliveries, entry.source)
            if answer is not None:
                answers.append((index, answer))
        key = keys.journal(invocation.id, index)
        core.commits.put_new(key, row)
        invocation.stored_bytes += len(key) + len(row)
    for index, answer in answers:
        completion = Completion(index, core.clock.now_ms(), answer)
        core.lifecycle.append(invocation, codec.encode_completion(completion))


def _find_closed(prefix: Sequence[Entry]) -> set[int]:
    """Commands that have their answer, or that nobody wants one of."""
    closed: set[int] = set()
    for entry in prefix:
        match entry:
            case Completion(index) | Issued(Cancel(index)):
                closed.add(index)
            case _:
                pass
    return closed


def reissue(  # noqa: C901, PLR0912  # a table of all commands
    core: Core, invocation: OpenInvocation, index: int, command: Command
) -> tuple[Command, Result | None]:
    """Ask again for what a command had not got; gives its new form, and its answer if known."""
    commits, lifecycle, id_ = core.commits, core.lifecycle, invocation.id
    answer: Result | None = None
    match command:
        case Run():
            core.attempts.steps.never_began(id_, index)
        case Sleep(due_ms):
            lifecycle.timers.add(due_ms, id_, index, TimerKind.SLEEP)
        case Call():
            command = replace(command, callee=lifecycle.new_id())
            commits.put_new(keys.reissue(id_, index), b"")
        case MakeAwakeable():
            open_awakeable(lifecycle, id_, index, command, created_ms=core.clock.now_ms())
        case AwaitPromise(name):
            assert invocation.object_ is not None, "a promise of a service"
            answer = find_promise(commits, invocation.object_, name)
            if answer is None:
                add_waiter(commits, invocation, name, index)
        case AwaitSignal(name):
            answer = take_signal(lifecycle, invocation, name, index)
        case Attach(awaited):
            answer = attach(lifecycle, invocation, index, awaited)
        case TakeMessage():
            commits.put_new(keys.message(id_, index), b"")
        case PeekPromise() | CompletePromise():
            where = "a journal that was cut between a command and its own answer"
            raise AssertionError(where)
        case (
            Send()
            | SendSignal()
            | CompleteAwakeable()
            | Cancel()
            | CancelInvocation()
            | Patched()
            | Compensation()
            | GiveUp()
        ):
            pass  # Done when it was written; nothing comes of it later.
        case DrainMessages():
            pass  # Answered when the handler has come to rest.
        case _:
            assert_never(command)
    return command, answer


# -- The object ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rewind:
    """The state of an object as it was before an entry, at its own key or at a new one."""

    core: Core
    id: InvocationId
    outcome: OutcomeRecord
    from_entry: int
    target: Target

    def check(self) -> None:
        """See that the state can be put there.

        Raises:
            ConflictError: the key is in use, or the state was changed since.
            NotKeptError: the state is not known any more.
        """
        if self._is_fork:
            self._history().read_state(self._old_object, self._moment())
            assert self.target.key is not None, "a fork without a key"
            Past(self.core).check_unused(self.target.service, self.target.key)
            return
        place = f"{self.target.service}/{self.target.key}"
        holder = self.core.lifecycle.mailboxes.find_holder(self._old_object)
        if holder is not None:
            message = (
                f"{place} is in use: {format_invocation_id(holder)} has its turn, and what it "
                f"works with cannot be put back; wait, cancel() it, or name another key with fork="
            )
            raise ConflictError(message)
        later = self._find_later_change()
        if later is not None:
            message = (
                f"the state of {place} was changed since by {self._describe(later)}; restart that "
                f"one, or name another key with fork="
            )
            raise ConflictError(message)

    def stage(self, sequence: int) -> None:
        """Put the rows there, and what takes them back to the beginning of the turn."""
        commits, cut, old = self.core.commits, self._moment().index, self._old_object
        changes: dict[tuple[str, bytes], list[tuple[int, UndoRow]]] = {}
        prefix = keys.undo_of_turn(old, self.outcome.sequence)
        for key, row in commits.scan(*keys.prefix_range(prefix)):
            index = int.from_bytes(key[len(prefix) : len(prefix) + 4], "big")
            name, stop = keys.split_text(key, len(prefix) + 4)
            if index != RESTORED_INDEX:
                changed = changes.setdefault((name, key[stop:]), [])
                changed.append((index, undo_rows.decode(row)))
        new = keys.object_key(self.target.service, self.target.key or "")
        if self._is_fork:
            rows = self._history().read_state(old, self._moment())
            Past(self.core).write_new(new, sequence, rows)
        else:
            self.core.attempts.take_values(old)
        for (name, part), olds in changes.items():
            if not self._is_fork:
                self._put_back(sequence, name, part, olds, cut)
            for index, undo in olds:
                if index < cut:
                    writer = None if undo.row is None else sequence
                    copy = replace(undo, writer=writer).encode()
                    commits.put_new(keys.undo(new, sequence, index, name, part), copy)

    def _put_back(
        self,
        sequence: int,
        name: str,
        part: bytes,
        olds: list[tuple[int, UndoRow]],
        cut: int,
    ) -> None:
        commits, object_ = self.core.commits, self._old_object
        key = keys.state(object_, name, part)
        stored, begin = commits.get(key), olds[0][1].row
        now = None if stored is None else stored[SEQUENCE_BYTES:]
        then = next((undo.row for index, undo in olds if index >= cut), now)
        if stored is not None or begin is not None:
            undo_key = keys.undo(object_, sequence, RESTORED_INDEX, name, part)
            commits.put_new(undo_key, undo_rows.encode_old(stored, takes_away=begin is None))
        if then is None:
            commits.delete(key)
        else:
            commits.put(key, keys.u64(sequence) + then)

    @property
    def _is_fork(self) -> bool:
        return self.target.key != self.outcome.target.key

    @property
    def _old_object(self) -> bytes:
        return keys.object_key(self.outcome.target.service, self.outcome.target.key or "")

    def _history(self) -> History:
        return History(self.core.lifecycle)

    def _moment(self) -> Moment:
        moment = self._history().find_moment(self.outcome.target, self.id, self.from_entry)
        assert moment is not None, "an entry that is no moment"
        return moment

    def _find_later_change(self) -> int | None:
        """The turn of a later change of the state, if there is one that anything tells of."""
        commits, object_, turn = self.core.commits, self._old_object, self.outcome.sequence
        mark = HistoryMarks(commits, self.core.clock).find(object_)
        if mark > turn:
            return mark
        start = keys.undo_of_turn(object_, turn + 1)
        for key, _ in commits.scan(start, keys.prefix_range(keys.UNDO + object_)[1]):
            return int.from_bytes(key[len(keys.UNDO + object_) :][:SEQUENCE_BYTES], "big")
        for _, row in commits.scan(*keys.prefix_range(keys.STATE + object_)):
            writer = int.from_bytes(row[:SEQUENCE_BYTES], "big")
            if writer > turn:
                return writer
        return None

    def _describe(self, turn: int) -> str:
        """Who had a turn, where a short look finds it."""
        own, end = keys.outcome(self.id), keys.after(keys.OUTCOME)
        # A later turn may be that of a call that came before: it was queued, or delayed.
        begin_ms = max(0, accepted_ms(self.id) - _NAMED_BEFORE_MS)
        begin = keys.outcome(new_invocation_id(begin_ms, b""))
        for start, stop in ((own, end), (begin, own)):
            for key, row in islice(self.core.commits.scan(start, stop), _NAMES_LOOKED_AT):
                if decode_outcome(row).sequence == turn:
                    return format_invocation_id(key[1:])
        return "a later invocation"
