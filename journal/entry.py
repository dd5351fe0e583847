"""What a journal is made of: frozen values, without their bytes.

An entry is the input, a *command* (something the handler asked for) or a *completion* (what
answers a command, by the command's index). Entries are appended and never changed, so replay may
compare them by equality.

Every command knows how many completions had been delivered to the handler before it was issued
(``deliveries``). The journal may hold completions that arrived while nobody ran; this number, and
not the place in the journal, says what the handler had seen, and replay checks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..objects.identity import InvocationId, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the invocation was called with; always entry 0."""

    argument: bytes
    headers: Mapping[str, str]
    seed: bytes | None = None
    """Seed of ``ctx.random``; ``None`` means the invocation's own id."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A terminal error as it is recorded."""

    kind: str
    """The code of the error class that is rebuilt, for example ``HF0001``."""
    status_code: int
    message: str
    type_name: str
    metadata: tuple[tuple[str, str], ...] = ()
    cause: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """A step: its intent is this entry."""

    name: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """A timer that is due at ``due_ms``, milliseconds since 1970."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose outcome comes back as this command's completion."""

    target: Target
    digest: bytes
    """Of the argument, which the callee's own journal holds."""
    callee: InvocationId = field(compare=False)


@dataclass(frozen=True, slots=True)
class Send:
    """A call whose outcome nobody here awaits."""

    target: Target
    digest: bytes
    delay_ms: int
    callee: InvocationId = field(compare=False)


@dataclass(frozen=True, slots=True)
class MakeAwakeable:
    """A promise that is resolved from outside."""


@dataclass(frozen=True, slots=True)
class CompleteAwakeable:
    """The awakeable of another invocation was resolved or rejected."""

    invocation_id: InvocationId
    index: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """The handler no longer wants the completion of command ``index``."""

    index: int


Command = Run | Sleep | Call | Send | MakeAwakeable | CompleteAwakeable | Cancel


@dataclass(frozen=True, slots=True)
class Issued:
    """A command with its circumstances."""

    command: Command
    deliveries: int
    """How many completions the handler had been given before."""
    source: str
    """``file.py:12``, where the handler asked for it; for messages only."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a shared handler read of its object between two deliveries, row by row.

    Not a command: it asks for nothing. It is written together with the first command that could
    depend on what was read, so that a replay reads the same.
    """

    deliveries: int
    fields: Mapping[str, Mapping[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to command ``index``, accepted at ``at_ms`` (milliseconds since 1970)."""

    index: int
    at_ms: int
    result: bytes | Failure | None
    """A value's bytes, a failure, or ``None`` where there is nothing to say (a timer)."""


Entry = Input | Issued | Reads | Completion
