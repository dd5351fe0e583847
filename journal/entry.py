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

from ..objects.identity import InvocationId, Origin, Target


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
    # Not shown: commands hold a digest of how a failure is shown, which a release must not change.
    origin: Origin | None = field(default=None, repr=False)
    """The invocation that first ended with it; ``None``: none has so far."""


@dataclass(frozen=True, slots=True)
class Run:
    """A step: its intent is this entry."""

    name: str
    action: str | None = field(default=None, compare=False, repr=False)
    """Where its function is written and a fingerprint of that, as in ``Issued.source``. Read from
    a journal, it may begin with ``:``, where the file is the source's; ``None``: not known."""


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
    """A promise that is resolved from outside.

    What it says of itself is not compared: code may put a question otherwise without becoming
    other code. It is here so that a restart can ask again.
    """

    message: bytes | None = field(default=None, compare=False)
    """What whoever resolves it is told, as JSON."""
    schema: bytes | None = field(default=None, compare=False)
    """The JSON Schema that a value must fit, as JSON."""
    due_ms: int = field(default=0, compare=False)
    """When it is rejected by itself, milliseconds since 1970; 0 for never."""


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


@dataclass(frozen=True, slots=True)
class AwaitPromise:
    """The value of a promise of this object, once it has one."""

    name: str


@dataclass(frozen=True, slots=True)
class PeekPromise:
    """The value of a promise of this object as it is now; answered in the same decision."""

    name: str


@dataclass(frozen=True, slots=True)
class CompletePromise:
    """A promise of this object is resolved or rejected; the completion tells whether it was."""

    name: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class AwaitSignal:
    """The next signal of this name that is sent to this invocation."""

    name: str


@dataclass(frozen=True, slots=True)
class SendSignal:
    """A signal to another invocation."""

    invocation_id: InvocationId
    name: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Attach:
    """The outcome of an invocation that somebody else made."""

    invocation_id: InvocationId


@dataclass(frozen=True, slots=True)
class CancelInvocation:
    """Another invocation is told to end."""

    invocation_id: InvocationId


@dataclass(frozen=True, slots=True)
class Patched:
    """Code behind ``ctx.patched(name)`` ran from here on."""

    name: str


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """The next message that was handed to the running turn, once there is one."""


@dataclass(frozen=True, slots=True)
class DrainMessages:
    """All messages that were handed to the running turn; answered when the handler next waits."""


@dataclass(frozen=True, slots=True)
class Compensation:
    """A compensation was registered, before what it takes back was begun."""

    name: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """An error that is no outcome by itself was the last: compensations begin here.

    A replay needs no more of the handler than what it had registered before, so nothing of this is
    compared: whether the error is raised again does not matter.
    """

    failure: Failure = field(compare=False)
    """The outcome."""
    owed: tuple[int, ...] = field(compare=False)
    """The commands that registered what is to be compensated, in order."""


Command = (
    Run
    | Sleep
    | Call
    | Send
    | MakeAwakeable
    | CompleteAwakeable
    | Cancel
    | AwaitPromise
    | PeekPromise
    | CompletePromise
    | AwaitSignal
    | SendSignal
    | Attach
    | CancelInvocation
    | Patched
    | TakeMessage
    | DrainMessages
    | Compensation
    | GiveUp
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A command with its circumstances."""

    command: Command
    deliveries: int
    """How many completions the handler had been given before."""
    source: str
    """``file.py:12#a1b2c3d4``: where it was asked for, and a fingerprint of the handler's code,
    see ``objects.fingerprints``; either may be missing. For messages only."""


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


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The invocation was told to end at ``at_ms``; delivered in order, as a completion is."""

    at_ms: int
    reason: str


Delivery = Completion | Cancellation
"""What is delivered to the handler, one at a time, in journal order."""

Entry = Input | Issued | Reads | Completion | Cancellation
