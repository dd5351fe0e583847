"""A journal as a test wants to see it: what the handler asked for, and what it was given.

Frozen values with short reprs and without bytes: arguments and results are decoded as builtins.
What a later release may put into a journal shows by the name of its class, as an ``Other``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import structs

from ..journal import codec, keys
from ..journal.entry import (
    Call as CallCommand,
)
from ..journal.entry import (
    Cancel,
    Cancellation,
    Command,
    Completion,
    Entry,
    Failure,
    Input,
    Issued,
    MakeAwakeable,
    Run,
)
from ..journal.entry import (
    Send as SendCommand,
)
from ..journal.entry import (
    Sleep as SleepCommand,
)
from ..journal.records import decode_invocation, decode_outcome
from ..journal.store import Store
from ..objects.errors import UnknownTargetError
from ..objects.identity import InvocationId, Target, format_invocation_id
from ..objects.moments import moment_of

_LONGEST_MS: Final = timedelta.max // timedelta(milliseconds=1)


class Mark(Enum):
    """What stands where there is no value."""

    PENDING = "no result yet"
    CANCELED = "the handler no longer wanted it"
    NOT_KEPT = "too large to be kept for a call without steps"

    def __repr__(self) -> str:
        """Its name, as a test writes it."""
        return self.name


PENDING: Final = Mark.PENDING
CANCELED: Final = Mark.CANCELED
NOT_KEPT: Final = Mark.NOT_KEPT


class _Anything:
    """Equal to everything; see ``ANYTHING``."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final[Any] = _Anything()
"""In an expected entry: whatever it was. What an expectation leaves out is this."""


class _Sparse:
    """Values whose repr leaves out what may be anything."""

    __slots__ = ()

    def __repr__(self) -> str:
        said = [
            f"{each.name}={value!r}" if number else repr(value)
            for number, each in enumerate(fields(self))  # type: ignore[arg-type]  # a dataclass each
            if each.repr and (value := getattr(self, each.name)) is not ANYTHING
        ]
        return f"{type(self).__name__}({', '.join(said)})"


@dataclass(frozen=True, slots=True, repr=False)
class Failed(_Sparse):
    """A recorded failure: what was raised, as text."""

    message: str = ANYTHING
    type_name: str = ANYTHING
    status_code: int = ANYTHING


@dataclass(frozen=True, slots=True, repr=False)
class Step(_Sparse):
    """``ctx.run(name, ...)``, and what it gave."""

    name: str
    result: Any = ANYTHING

    def __str__(self) -> str:
        """One line of a journal."""
        return _line(f"step {self.name!r}", self.result)


@dataclass(frozen=True, slots=True, repr=False)
class Call(_Sparse):
    """A call of another handler that was awaited, and its outcome."""

    target: str
    """``Cart/sam/add``; ``Mailer/deliver`` for a service."""
    result: Any = ANYTHING
    invocation_id: str = field(default=ANYTHING, repr=False)

    def __str__(self) -> str:
        """One line of a journal."""
        return _line(f"call {self.target}", self.result)


@dataclass(frozen=True, slots=True, repr=False)
class Send(_Sparse):
    """A call of another handler that nobody here awaits."""

    target: str
    delay: timedelta = timedelta(0)
    invocation_id: str = field(default=ANYTHING, repr=False)

    def __str__(self) -> str:
        """One line of a journal."""
        return f"send {self.target}" + (f" in {self.delay}" if self.delay else "")


@dataclass(frozen=True, slots=True, repr=False)
class Sleep(_Sparse):
    """A durable timer: a sleep, or the deadline of a timeout."""

    until: datetime = ANYTHING
    result: Any = ANYTHING
    """``None`` once it is over."""

    def __str__(self) -> str:
        """One line of a journal."""
        until = "" if self.until is ANYTHING else f" until {self.until}"
        if self.result is None:
            return f"sleep{until}, over"
        return _line(f"sleep{until}", self.result)


@dataclass(frozen=True, slots=True, repr=False)
class Awaited(_Sparse):
    """An awakeable, and what it was resolved with."""

    result: Any = ANYTHING

    def __str__(self) -> str:
        """One line of a journal."""
        return _line("awakeable", self.result)


@dataclass(frozen=True, slots=True, repr=False)
class Other(_Sparse):
    """Anything else, by the name of its class in the journal."""

    kind: str
    said: str = ANYTHING
    """What it consists of, as ``name='go'``."""
    result: Any = ANYTHING

    def __str__(self) -> str:
        """One line of a journal."""
        said = "" if self.said is ANYTHING else self.said
        return _line(" ".join(filter(None, (self.kind, said))), self.result)


JournalEntry = Step | Call | Send | Sleep | Awaited | Other


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """One invocation: what it was called with, what it asked for, how it ended."""

    target: str
    """``Cart/sam/add``; ``Mailer/deliver`` for a service."""
    invocation_id: str
    status: str
    """``"scheduled"``, ``"inboxed"``, ``"begun"``, ``"paused"`` or ``"completed"``."""
    argument: Any
    """The JSON body; ``None`` where there is none, or the journal is not kept."""
    entries: tuple[JournalEntry, ...]
    """In the order of asking. A call that asked for nothing has none, and its journal is not
    kept."""
    outcome: Any
    """The result's JSON, ``Failed``, or ``PENDING``."""
    reason: str = ""
    """Why it is paused, or what its last failed attempt said."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps alone."""
        return tuple(entry for entry in self.entries if isinstance(entry, Step))

    @property
    def calls(self) -> tuple[Call, ...]:
        """The awaited calls alone."""
        return tuple(entry for entry in self.entries if isinstance(entry, Call))

    @property
    def sends(self) -> tuple[Send, ...]:
        """The sends alone."""
        return tuple(entry for entry in self.entries if isinstance(entry, Send))

    @property
    def sleeps(self) -> tuple[Sleep, ...]:
        """The timers alone."""
        return tuple(entry for entry in self.entries if isinstance(entry, Sleep))

    def __str__(self) -> str:
        """A line for the invocation, then one for each entry and one for the outcome."""
        head = f"{self.target}({'' if self.argument is None else repr(self.argument)})"
        status = f"{self.status}: {self.reason}" if self.reason else self.status
        lines = [f"{head} {status}", *(f"    {entry}" for entry in self.entries)]
        return "\n".join([*lines, f"    outcome {self.outcome!r}"])


def read_journal(store: Store, id_: InvocationId) -> Journal:
    """The journal of one invocation, as far as it is written.

    Raises:
        UnknownTargetError: there is no such invocation, or it is long gone.
    """
    entries = read_entries(store, id_)
    given = entries[0] if entries and isinstance(entries[0], Input) else None
    argument = None if given is None else decode_json(given.argument)
    row = store.get(keys.invocation(id_))
    if row is not None:
        record = decode_invocation(row)
        target, outcome = record.target, PENDING
        status, reason = record.state.name.lower(), record.last_failure
    else:
        row = store.get(keys.outcome(id_))
        if row is None:
            message = f"{format_invocation_id(id_)} does not exist, or is long completed"
            raise UnknownTargetError(message)
        ended = decode_outcome(row)
        target, outcome = ended.target, decode_result(ended.result)
        status, reason = "completed", ""
    return Journal(
        target=str(target),
        invocation_id=format_invocation_id(id_),
        status=status,
        argument=argument,
        entries=tuple(view_entries(entries)),
        outcome=outcome,
        reason=reason,
    )


def read_entries(store: Store, id_: InvocationId) -> list[Entry]:
    """The entries of a journal, as the journal has them; none for one that was not kept."""
    start, end = keys.prefix_range(keys.JOURNAL + id_)
    return [codec.decode_entry(row) for _, row in store.scan(start, end)]


def view_entries(entries: list[Entry]) -> Iterator[JournalEntry]:
    """What a handler asked for, each with its result."""
    results: dict[int, Any] = {}
    for entry in entries:
        if isinstance(entry, Completion):
            results[entry.index] = entry.result
        elif isinstance(entry, Issued) and isinstance(entry.command, Cancel):
            results[entry.command.index] = CANCELED
    for index, entry in enumerate(entries):
        if isinstance(entry, Issued) and not isinstance(entry.command, Cancel):
            yield view_command(entry.command, results.get(index, PENDING))
        elif isinstance(entry, Cancellation):
            yield Other("Cancellation", f"reason={entry.reason!r}", None)


def view_command(command: Command, result: Any) -> JournalEntry:
    """One command with its result, which is as the journal has it, or a mark."""
    match command:
        case Run(name):
            return Step(name, _decoded(result, _decode_packed))
        case SleepCommand(due_ms):
            return Sleep(moment_of(due_ms), _decoded(result, decode_json))
        case CallCommand(target, _, callee):
            decoded = _decoded(result, decode_json)
            return Call(str(target), decoded, format_invocation_id(callee))
        case SendCommand(target, _, delay_ms, callee):
            # What was more than a whole number of milliseconds was rounded up.
            delay = timedelta(milliseconds=min(delay_ms, _LONGEST_MS))
            return Send(str(target), delay, format_invocation_id(callee))
        case MakeAwakeable():
            return Awaited(_decoded(result, decode_json))
        case _:
            said = ", ".join(
                f"{each.name}={_shown(getattr(command, each.name))}"
                for each in structs.fields(command)
            )
            return Other(type(command).__name__, said, _decoded(result, decode_json))


def decode_json(data: bytes) -> Any:
    """What a payload says; ``None`` for none at all, and a text about what is no JSON."""
    try:
        return msgspec.json.decode(data) if data else None
    except (ValueError, RecursionError):  # Text within it that is no UTF-8 is a ValueError, too.
        return f"<{len(data)} bytes>"


def _decode_packed(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (ValueError, RecursionError):
        return f"<{len(data)} bytes>"


def _decoded(result: Any, decode: Any) -> Any:
    if isinstance(result, Failure):
        return Failed(result.message, result.type_name, result.status_code)
    return decode(result) if isinstance(result, bytes) else result


def decode_result(result: bytes | Failure | None) -> Any:
    """An outcome, or whatever else was recorded as JSON, as a test wants to see it."""
    return NOT_KEPT if result is None else _decoded(result, decode_json)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return format_invocation_id(value) if len(value) == 16 else f"<{len(value)} bytes>"
    return str(value) if isinstance(value, Target) else repr(value)


def _line(what: str, result: Any) -> str:
    match result:
        case _Anything():
            return what
        case Mark():
            return f"{what} ({result.value})"
        case Failed():
            return f"{what} failed with {result.type_name}: {result.message}"
        case _:
            return f"{what} -> {result!r}"
