"""What the journal of one invocation holds, entry by entry, for a person who looks at it.

It is what ``restart(from_entry=)`` counts in. Values are not shown: an argument or a result may be
large, and secret.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, assert_never

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
    Failure,
    GiveUp,
    Input,
    Issued,
    MakeAwakeable,
    Patched,
    PeekPromise,
    Reads,
    Run,
    Send,
    SendSignal,
    Sleep,
    TakeMessage,
    Told,
)
from ..objects.errors import HoldfastError
from ..objects.identity import AwakeableId, InvocationId, format_invocation_id
from ..objects.moments import moment_of
from .core import Core
from .journal_slices import check_page, read_journal

ENTRIES_MAX: Final = 1_000
"""On one page."""

EntryKind = Literal[
    "input",
    "step",
    "timer",
    "call",
    "send",
    "awakeable",
    "promise",
    "signal",
    "message",
    "outcome",
    "peek promise",
    "complete promise",
    "complete awakeable",
    "send signal",
    "cancel invocation",
    "give back",
    "patch",
    "compensation",
    "give up",
    "reads",
    "time",
    "result",
    "cancellation",
]

_ANSWERED = (
    Run
    | Sleep
    | Call
    | MakeAwakeable
    | AwaitPromise
    | AwaitSignal
    | TakeMessage
    | DrainMessages
    | Attach
    | PeekPromise
    | CompletePromise
)
"""Commands that a result answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryInfo:
    """One entry of a journal.

    Attributes:
        index: its place; what ``restart(from_entry=)`` takes.
        kind: what it is.

            * ``input``: the argument; entry 0;
            * what is waited for: ``step``, ``timer``, ``call``, ``awakeable``, ``promise``,
              ``signal``, ``message``, ``outcome`` (of an invocation that somebody else made);
            * what is done at once: ``send``, ``peek promise``, ``complete promise``,
              ``complete awakeable``, ``send signal``, ``cancel invocation``, ``patch``;
            * ``give back``: what entry ``of`` asked for is not wanted any more;
            * ``compensation``: one was registered; ``give up``: what is owed runs from here on;
            * ``reads``: what a shared handler read of its object;
            * ``time``: what it was told the time was, when that is later than any result;
            * ``result``: of entry ``of``; ``cancellation``: it was told to end.

        name: of a step, promise, signal, patch or compensation; the target of a call or a send; the
            id of an awakeable, or of the invocation that it concerns.
        source: the line that asked for it, ``"assistant.py:12"``.
        at: when it was written; known of results, cancellations and times.
        due_at: when a timer is due.
        is_complete: whether it has its result; ``None`` where none comes.
        of: the entry that it answers or gives back.
        failure: what a result says of what failed.
        invocation_id: of the call or the send that it made.
    """

    index: int
    kind: EntryKind
    name: str = ""
    source: str = ""
    at: datetime | None = None
    due_at: datetime | None = None
    is_complete: bool | None = None
    of: int | None = None
    failure: str | None = None
    invocation_id: str | None = None


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Some of the entries of a journal, in order.

    Attributes:
        entries: what is on this page.
        next: what to pass as ``after`` for the next page; ``None``: this is the last one.
    """

    entries: tuple[EntryInfo, ...]
    next: int | None

    def __iter__(self) -> Iterator[EntryInfo]:
        """Walk what is on this page."""
        return iter(self.entries)

    def __len__(self) -> int:
        """How many are on this page."""
        return len(self.entries)


@dataclass(slots=True)
class _Page:
    """The entries of one page while the journal is read; the rest is looked at for results."""

    id: InvocationId
    limit: int
    entries: dict[int, EntryInfo] = field(default_factory=dict[int, EntryInfo])
    open: set[int] = field(default_factory=set[int])
    has_more: bool = False

    @property
    def is_complete(self) -> bool:
        return self.has_more and not self.open

    def add(self, index: int, entry: Entry) -> None:
        if isinstance(entry, Completion) and entry.index in self.open:
            self.open.discard(entry.index)
            self.entries[entry.index] = replace(self.entries[entry.index], is_complete=True)
        elif isinstance(entry, Issued) and isinstance(entry.command, Cancel):
            self.open.discard(entry.command.index)  # No result of it is looked at any more.
        if len(self.entries) == self.limit:
            self.has_more = True
            return
        info = self.entries[index] = describe_entry(self.id, index, entry)
        if info.is_complete is False:
            self.open.add(index)


async def read_page(core: Core, id_: InvocationId, after: int, limit: int) -> JournalPage:
    """The entries behind ``after``, at most ``limit``; durable on return.

    Raises:
        InvalidArgumentError: a page cannot have that many, or there is no such entry.
        UnknownTargetError: there is no such invocation.
        NotKeptError: it is completed, and its journal is not kept.
    """
    check_page(after, limit, ENTRIES_MAX, "entries")
    page = _Page(id_, limit)
    try:
        await read_journal(core, id_, after, page)
    except HoldfastError as error:
        await core.answers.when_durable(error)
        raise
    entries = tuple(page.entries.values())
    last = entries[-1].index if page.has_more else None
    answer: JournalPage = await core.answers.when_durable(JournalPage(entries, last))
    return answer


def describe_entry(id_: InvocationId, index: int, entry: Entry) -> EntryInfo:
    """What entry ``index`` of the journal of ``id_`` says by itself; a command has no result."""
    match entry:
        case Input():
            return EntryInfo(index=index, kind="input")
        case Reads():
            return EntryInfo(index=index, kind="reads")
        case Told(_, at_ms):
            return EntryInfo(index=index, kind="time", at=moment_of(at_ms))
        case Cancellation(at_ms, reason):
            return EntryInfo(index=index, kind="cancellation", name=reason, at=moment_of(at_ms))
        case Completion(of, at_ms, result):
            failure = result.message if isinstance(result, Failure) else None
            return EntryInfo(
                index=index, kind="result", of=of, at=moment_of(at_ms), failure=failure
            )
        case Issued(command, _, source):
            info = _describe_command(id_, index, command)
            is_complete = False if isinstance(command, _ANSWERED) else None
            return replace(info, source=source.partition("#")[0], is_complete=is_complete)
        case _:
            assert_never(entry)


def _describe_command(id_: InvocationId, index: int, command: Command) -> EntryInfo:  # noqa: C901, PLR0911, PLR0912  # a table of all commands
    match command:
        case Run(name):
            return EntryInfo(index=index, kind="step", name=name)
        case Sleep(due_ms):
            return EntryInfo(index=index, kind="timer", due_at=moment_of(due_ms))
        case Call(target, _, callee):
            made = format_invocation_id(callee) if callee else None
            return EntryInfo(index=index, kind="call", name=str(target), invocation_id=made)
        case Send(target, _, _, callee):
            made = format_invocation_id(callee) if callee else None
            return EntryInfo(index=index, kind="send", name=str(target), invocation_id=made)
        case MakeAwakeable():
            return EntryInfo(index=index, kind="awakeable", name=str(AwakeableId(id_, index)))
        case AwaitPromise(name):
            return EntryInfo(index=index, kind="promise", name=name)
        case AwaitSignal(name):
            return EntryInfo(index=index, kind="signal", name=name)
        case TakeMessage() | DrainMessages():
            return EntryInfo(index=index, kind="message")
        case Attach(other):
            return EntryInfo(index=index, kind="outcome", name=format_invocation_id(other))
        case PeekPromise(name):
            return EntryInfo(index=index, kind="peek promise", name=name)
        case CompletePromise(name):
            return EntryInfo(index=index, kind="complete promise", name=name)
        case CompleteAwakeable(other, at):
            name = str(AwakeableId(other, at))
            return EntryInfo(index=index, kind="complete awakeable", name=name)
        case SendSignal(_, name):
            return EntryInfo(index=index, kind="send signal", name=name)
        case CancelInvocation(other):
            name = format_invocation_id(other)
            return EntryInfo(index=index, kind="cancel invocation", name=name)
        case Cancel(of):
            return EntryInfo(index=index, kind="give back", of=of)
        case Patched(name):
            return EntryInfo(index=index, kind="patch", name=name)
        case Compensation(name):
            return EntryInfo(index=index, kind="compensation", name=name)
        case GiveUp(failure):
            return EntryInfo(index=index, kind="give up", failure=failure.message)
        case _:
            assert_never(command)
