"""Journals as rows tell of them, entry by entry."""

from collections.abc import Iterator
from functools import cached_property

from ...journal import codec, keys
from ...journal.entry import (
    Attach,
    AwaitPromise,
    Call,
    Cancel,
    CancelInvocation,
    Cancellation,
    Command,
    Compensation,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Entry,
    Failure,
    GiveUp,
    Input,
    Issued,
    Patched,
    PeekPromise,
    Reads,
    Send,
    SendSignal,
    Sleep,
    Told,
)
from ...objects.identity import InvocationId, Target
from .invocations import find_invocation
from .rows import ID_END, Rows

_UNANSWERED = (
    Cancel,
    CancelInvocation,
    CompleteAwakeable,
    Compensation,
    GiveUp,
    Patched,
    Send,
    SendSignal,
)
"""Commands that no completion answers."""


class EntryView:
    """One entry of a journal. Of one invocation, all share what is known of its answers."""

    def __init__(self, journal: "_Journal", index: int, raw: bytes) -> None:
        """Decode nothing yet."""
        self._journal = journal
        self.index = index
        self.raw = raw

    @property
    def invocation_id(self) -> InvocationId:
        """Whose journal it is in."""
        return self._journal.id

    @cached_property
    def entry(self) -> Entry:
        """What it is."""
        return codec.decode_entry(self.raw)

    @property
    def command(self) -> Command | None:
        """What the handler asked for with it; ``None`` where it is something else."""
        return self.entry.command if isinstance(self.entry, Issued) else None

    @cached_property
    def answers(self) -> "EntryView | None":
        """The command that this completion answers."""
        if not isinstance(self.entry, Completion):
            return None
        return self._journal.find(self.entry.index)

    @property
    def completes(self) -> int | None:
        """The index of that command."""
        return self.entry.index if isinstance(self.entry, Completion) else None

    @property
    def kind(self) -> str:
        """``Command: Run``, ``Notification: Run`` for what answers it, and so on."""
        entry = self.entry
        match entry:
            case Input():
                return "Command: Input"
            case Issued(command):
                return f"Command: {type(command).__name__}"
            case Completion():
                answered = None if self.answers is None else self.answers.command
                return f"Notification: {type(answered).__name__ if answered else 'Unknown'}"
            case Cancellation():
                return "Notification: Cancellation"
            case Reads():
                return "Event: Reads"
            case Told():
                return "Event: Told"

    @property
    def name(self) -> str | None:
        """Of a step, promise, signal, patch or compensation."""
        name: str | None = getattr(self.command, "name", None)
        return name

    @property
    def is_answered(self) -> bool | None:
        """Whether a command has its completion; ``None`` where none is to come."""
        command = self.command
        if command is None or isinstance(command, _UNANSWERED):
            return None
        return self.index in self._journal.answered

    @property
    def invoked(self) -> tuple[Target | None, InvocationId | None]:
        """Whom it concerns outside of this invocation."""
        match self.command:
            case Call(target, _, callee) | Send(target, _, _, callee):
                return target, callee
            case Attach(id_) | CancelInvocation(id_) | CompleteAwakeable(id_) | SendSignal(id_):
                return None, id_
            case _:
                return None, None

    @property
    def wakeup_ms(self) -> int | None:
        """When a sleep is due."""
        return self.command.due_ms if isinstance(self.command, Sleep) else None

    @property
    def promise(self) -> str | None:
        """The promise that it is about."""
        match self.command:
            case AwaitPromise(name) | PeekPromise(name) | CompletePromise(name, _):
                return name
            case _:
                return None

    @property
    def source(self) -> str | None:
        """The line that asked for it, ``"assistant.py:12"``."""
        if not isinstance(self.entry, Issued):
            return None
        return self.entry.source.partition("#")[0] or None

    @property
    def appended_ms(self) -> int | None:
        """When it was written, where that is recorded."""
        match self.entry:
            case Completion() | Cancellation():
                return self.entry.at_ms
            case _:
                return None

    @property
    def payload(self) -> bytes | Failure | None:
        """The argument, or the result, as it was stored."""
        match self.entry:
            case Input(argument=argument):
                return argument
            case Completion(_, _, result):
                return result
            case _:
                return None


class _Journal:
    """What the entries of one journal know of each other."""

    def __init__(self, rows: Rows, id_: InvocationId) -> None:
        self._rows = rows
        self.id = id_

    @cached_property
    def is_kept(self) -> bool:
        """Whether it is not one of which the last rows are being deleted."""
        invocation = find_invocation(self._rows, self.id)
        return invocation is not None and invocation.has_journal

    @cached_property
    def answered(self) -> frozenset[int]:
        """The commands that have their completion."""
        entries = (codec.decode_entry(row) for _, row in self._rows.scan(keys.JOURNAL + self.id))
        return frozenset(entry.index for entry in entries if isinstance(entry, Completion))

    def find(self, index: int) -> EntryView | None:
        row = self._rows.view.get(keys.journal(self.id, index))
        return None if row is None else EntryView(self, index, row)


def scan_journal(rows: Rows, id_: InvocationId | None = None) -> Iterator[EntryView]:
    """The entries of one journal, or of all, in order."""
    journal: _Journal | None = None
    for key, row in rows.scan(keys.JOURNAL if id_ is None else keys.JOURNAL + id_):
        owner = InvocationId(key[1:ID_END])
        if journal is None or journal.id != owner:
            journal = _Journal(rows, owner)
        if journal.is_kept:
            yield EntryView(journal, int.from_bytes(key[-4:], "big"), row)
