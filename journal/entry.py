"""What a journal is made of: frozen values, without their bytes.

An entry is the input, a *command* (something the handler asked for) or a *completion* (what
answers a command, by the command's index). Entries are appended and never changed, so replay may
compare them by equality. They are ``Struct``s, of which each step makes
several: one costs a tenth of what a frozen dataclass does.

Every command knows how many completions had been delivered to the handler before it was issued
(``deliveries``). The journal may hold completions that arrived while nobody ran; this number, and
not the place in the journal, says what the handler had seen, and replay checks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from ..objects.identity import InvocationId, Origin, Target


class Input(Struct, frozen=True, kw_only=True):
    """What the invocation was called with; always entry 0."""

    argument: bytes
    headers: Mapping[str, str]
    seed: bytes | None = None
    """Seed of ``ctx.random``; ``None`` means the invocation's own id."""
    order: int = 1
    """In which order tasks run that are ready at once, and sets are written: 0 is that of early
    releases, which said nothing of it; see ``runtime.early_order``."""


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


class _ComparedInPart(Struct, frozen=True, eq=False):
    """A command that is the same although some of what it says is not."""

    def compared(self) -> tuple[Any, ...]:
        """What two of the same kind must have in common."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        """Whether a replay that issues one finds it in the other."""
        return type(other) is type(self) and other.compared() == self.compared()

    def __ne__(self, other: object) -> bool:
        """The opposite; ``Struct`` has one of its own, which compares everything."""
        return not self == other

    def __hash__(self) -> int:
        """As equality goes."""
        return hash((type(self), self.compared()))


class Run(_ComparedInPart, frozen=True):
    """A step: its intent is this entry."""

    name: str
    action: str | None = None
    """Where its function is written and a fingerprint of that, as in ``Issued.source``. Read from
    a journal, it may begin with ``:``, where the file is the source's; ``None``: not known. Not
    compared."""

    def compared(self) -> tuple[Any, ...]:
        """As the base says."""
        return (self.name,)

    def __eq__(self, other: object) -> bool:
        """As the base says, and sooner: a long replay does little else."""
        return type(other) is Run and other.name == self.name

    __hash__ = _ComparedInPart.__hash__

    def __repr__(self) -> str:
        """``Run(name='charge')``: where the function is written, whoever reads this is told."""
        return f"Run(name={self.name!r})"


class Sleep(Struct, frozen=True):
    """A timer that is due at ``due_ms``, milliseconds since 1970."""

    due_ms: int


class Call(_ComparedInPart, frozen=True):
    """A call whose outcome comes back as this command's completion."""

    target: Target
    digest: bytes
    """Of the argument, which the callee's own journal holds."""
    callee: InvocationId
    """Not compared: another attempt draws another id. Empty where the call was refused; then a
    completion says why."""

    def compared(self) -> tuple[Any, ...]:
        """As the base says."""
        return (self.target, self.digest)


class Send(_ComparedInPart, frozen=True):
    """A call whose outcome nobody here awaits."""

    target: Target
    digest: bytes
    delay_ms: int
    callee: InvocationId
    """Not compared, and empty, as that of a call; only of a refused one there is a completion."""

    def compared(self) -> tuple[Any, ...]:
        """As the base says."""
        return (self.target, self.digest, self.delay_ms)


class MakeAwakeable(_ComparedInPart, frozen=True):
    """A promise that is resolved from outside.

    What it says of itself is not compared: code may put a question otherwise without becoming
    other code. It is here so that a restart can ask again.
    """

    message: bytes | None = None
    """What whoever resolves it is told, as JSON."""
    schema: bytes | None = None
    """The JSON Schema that a value must fit, as JSON."""
    due_ms: int = 0
    """When it is rejected by itself, milliseconds since 1970; 0 for never."""

    def compared(self) -> tuple[Any, ...]:
        """As the base says."""
        return ()


class CompleteAwakeable(Struct, frozen=True):
    """The awakeable of another invocation was resolved or rejected."""

    invocation_id: InvocationId
    index: int
    digest: bytes


class Cancel(Struct, frozen=True):
    """The handler no longer wants the completion of command ``index``."""

    index: int


class AwaitPromise(Struct, frozen=True):
    """The value of a promise of this object, once it has one."""

    name: str


class PeekPromise(Struct, frozen=True):
    """The value of a promise of this object as it is now; answered in the same decision."""

    name: str


class CompletePromise(Struct, frozen=True):
    """A promise of this object is resolved or rejected; the completion tells whether it was."""

    name: str
    digest: bytes


class AwaitSignal(Struct, frozen=True):
    """The next signal of this name that is sent to this invocation."""

    name: str


class SendSignal(Struct, frozen=True):
    """A signal to another invocation."""

    invocation_id: InvocationId
    name: str
    digest: bytes


class Attach(Struct, frozen=True):
    """The outcome of an invocation that somebody else made."""

    invocation_id: InvocationId


class CancelInvocation(Struct, frozen=True):
    """Another invocation is told to end."""

    invocation_id: InvocationId


class Patched(Struct, frozen=True):
    """Code behind ``ctx.patched(name)`` ran from here on."""

    name: str


class TakeMessage(Struct, frozen=True):
    """The next message that was handed to the running turn, once there is one."""


class DrainMessages(Struct, frozen=True):
    """All messages that were handed to the running turn; answered when the handler next waits."""


class Compensation(Struct, frozen=True):
    """A compensation was registered, before what it takes back was begun."""

    name: str


class GiveUp(_ComparedInPart, frozen=True):
    """An error that is no outcome by itself was the last: compensations begin here.

    A replay needs no more of the handler than what it had registered before, so nothing of this is
    compared: whether the error is raised again does not matter.
    """

    failure: Failure
    """The outcome."""
    owed: tuple[int, ...]
    """The commands that registered what is to be compensated, in order."""

    def compared(self) -> tuple[Any, ...]:
        """As the base says."""
        return ()


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


class Issued(Struct, frozen=True):
    """A command with its circumstances."""

    command: Command
    deliveries: int
    """How many completions the handler had been given before."""
    source: str
    """``file.py:12#a1b2c3d4``: where it was asked for, and a fingerprint of the handler's code,
    see ``objects.fingerprints``; either may be missing. For messages only."""


class Reads(Struct, frozen=True):
    """What a shared handler read of its object between two deliveries, row by row.

    Not a command: it asks for nothing. It is written together with the first command that could
    depend on what was read, so that a replay reads the same.
    """

    deliveries: int
    fields: Mapping[str, Mapping[bytes, bytes]]


class Told(Struct, frozen=True):
    """What time a handler was told between two deliveries, where that is no delivery's.

    Not a command: it asks for nothing, and a handler that does not ask for the time follows its
    journal all the same. It holds for whatever runs between the two, also before this entry.
    """

    deliveries: int
    at_ms: int


class Completion(Struct, frozen=True):
    """The answer to command ``index``, accepted at ``at_ms`` (milliseconds since 1970)."""

    index: int
    at_ms: int
    result: bytes | Failure | None
    """A value's bytes, a failure, or ``None`` where there is nothing to say (a timer)."""


class Cancellation(Struct, frozen=True):
    """The invocation was told to end at ``at_ms``; delivered in order, as a completion is."""

    at_ms: int
    reason: str


Delivery = Completion | Cancellation
"""What is delivered to the handler, one at a time, in journal order."""

Entry = Input | Issued | Reads | Told | Completion | Cancellation
