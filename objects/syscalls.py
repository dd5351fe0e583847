"""What user code may ask of whoever runs it.

``Context``, the proxies and the state fields turn the user's verbs into these calls;
``runtime.attempt`` answers them inside a handler, ``Runtime`` (and any client) the ``Caller`` part
outside. Neither side imports the other, so a handler can be tested against a fake ``Syscalls``
with no store and no event loop of the runtime's running.

Durable operations return futures, never bare coroutines: when the call returns, the command
exists, whether or not anyone awaits it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from logging import Logger
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from msgspec import Struct

from .call_options import PLAIN, CallOptions
from .identity import AwakeableId, InvocationId, Target
from .retry import RetryPolicy

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

    from .definition import HandlerDefinition
    from .errors import TerminalError
    from .fields import StateField
    from .saga import NotCompensated
    from .serde import Serde


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is known of a step whose outcome is unknown; given to a ``verify`` callable.

    Attributes:
        name: the name given to ``ctx.run``.
        idempotency_key: the key the interrupted action was given by ``step_info()``.
        attempt: which attempt was interrupted, 1 for the first.
        details: what it said last with ``step_info().heartbeat(details)``; ``None`` if nothing.
    """

    name: str
    idempotency_key: str
    attempt: int
    details: Any = None


@dataclass(frozen=True, slots=True)
class Happened:
    """A ``verify`` callable's answer: the effect happened, and this is the step's result."""

    result: Any


@dataclass(frozen=True, slots=True)
class NeverHappened:
    """A ``verify`` callable's answer: the effect did not happen; run the action again."""


Verify = Callable[[Intent], Awaitable[Happened | NeverHappened] | Happened | NeverHappened]
OnUnknown = Literal["retry", "fail", "pause"] | Verify


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How one step is run.

    Attributes:
        retry: when an attempt whose action raised is tried again; ``None``: as the handler says.
        timeout: how long one attempt may take before its action is cancelled, from the moment the
            action starts; ``None`` means without end. An attempt that timed out is *unknown*.
        heartbeat_timeout: how long an attempt may be silent: from its start to the first
            ``step_info().heartbeat()``, and from one to the next. Then it ends as by ``timeout``.
        on_unknown: what to do with an attempt that ended by a crash, a timeout or a stop.
    """

    retry: RetryPolicy | None = None
    timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    on_unknown: OnUnknown = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an awakeable says of itself to whoever will resolve it.

    Attributes:
        annotation: the type of what it is resolved with.
        message: any JSON value, encoded.
        timeout: after so long it is closed.
    """

    annotation: Any = Any
    message: bytes | None = None
    timeout: timedelta | None = None


NO_QUESTION: Final = Question()


class Action(Struct, frozen=True):
    """The function a step runs, with its arguments. Arguments are never recorded."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Caller(Protocol):
    """Someone who can call handlers: a handler's attempt, a ``Runtime``, a client."""

    def call(
        self,
        target: Target,
        argument: bytes,
        result: "Serde[Any]",
        options: CallOptions = PLAIN,
    ) -> Awaitable[Any]:
        """Call ``target`` and give what it returns, decoded by ``result``.

        Raises (from the awaitable):
            TerminalError: the callee failed for good.
            UnknownTargetError, InvalidArgumentError, MailboxFullError: the call was refused.
        """
        ...

    def send(self, target: Target, argument: bytes, options: CallOptions = PLAIN) -> Awaitable[str]:
        """Have ``target`` called once, after its delay; gives the text id of that invocation."""
        ...

    def find_handler(self, target: Target) -> "HandlerDefinition | None":
        """Whom ``target`` names, where the caller has the class."""
        ...


class Syscalls(Caller, Protocol):
    """The port between a handler and the runtime. One method per command."""

    @property
    def invocation_id(self) -> str:
        """The text id of the invocation that runs."""
        ...

    @property
    def target(self) -> Target:
        """The handler that runs, with the key of its object."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers the call came with; names in lower case."""
        ...

    @property
    def random(self) -> Random:
        """A generator seeded by the invocation; replay draws the same numbers."""
        ...

    @property
    def log(self) -> Logger:
        """A logger that is silent while the handler replays."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since 1970 at the last delivery; never goes back."""
        ...

    def run(self, name: str, action: Action, options: StepOptions) -> "Future[Any]":
        """Journal the intent of a step and run ``action`` once that is durable."""
        ...

    def add_compensation(
        self,
        name: str,
        begin: Callable[[], Awaitable[Any]],
        *,
        call: tuple[Target, bytes] | None,
    ) -> int:
        """Journal that a compensation is registered; gives the index of that command.

        ``begin`` issues the command that compensates: a step, or ``call``, whose target and
        argument are checked now.
        """
        ...

    def forget_compensations(self, indexes: Sequence[int]) -> None:
        """The effects are to stand; nothing is journaled."""
        ...

    def compensate(
        self, indexes: Sequence[int], error: BaseException
    ) -> Awaitable[tuple["NotCompensated", ...]]:
        """Take back what was registered, last first, because ``error`` left the block.

        Gives what could not be. A cancellation does not reach into it, and is told afterwards.
        Where ``error`` is no outcome, the attempt ends here instead, and this gives nothing.
        """
        ...

    def sleep(self, duration: timedelta) -> "Future[None]":
        """A timer that survives restarts."""
        ...

    def call(
        self,
        target: Target,
        argument: bytes,
        result: "Serde[Any]",
        options: CallOptions = PLAIN,
    ) -> "Future[Any]":
        """As ``Caller.call``, exactly once across crashes."""
        ...

    def send(self, target: Target, argument: bytes, options: CallOptions = PLAIN) -> "Future[str]":
        """As ``Caller.send``, exactly once across crashes. The future is already done."""
        ...

    def awakeable(
        self, result: "Serde[Any]", question: Question = NO_QUESTION
    ) -> "tuple[str, Future[Any]]":
        """A new awakeable: its text id, and the future of what it will be resolved with."""
        ...

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: "bytes | TerminalError"
    ) -> "Future[None]":
        """Resolve (bytes: a JSON value) or reject another invocation's awakeable.

        The future is done, unless the value was refused: then it raises.
        """
        ...

    def sign_link(self, text: bytes) -> str:
        """The signature of a link made now; the same on every replay."""
        ...

    @property
    def is_workflow(self) -> bool:
        """Whether the handler that runs is one of a workflow, which has promises."""
        ...

    def await_promise(self, name: str, result: "Serde[Any]") -> "Future[Any]":
        """The value of a promise of this workflow, once it has one."""
        ...

    def peek_promise(self, name: str, result: "Serde[Any]") -> "Future[Any]":
        """The value of a promise of this workflow as it is now, or ``None``."""
        ...

    def complete_promise(self, name: str, outcome: "bytes | TerminalError") -> "Future[None]":
        """Resolve or reject a promise of this workflow; the future raises if it was before."""
        ...

    def attach(self, invocation_id: InvocationId, result: "Serde[Any]") -> "Future[Any]":
        """The outcome of an invocation that somebody else made, decoded by ``result``."""
        ...

    @property
    def has_inbox(self) -> bool:
        """Whether the handler that runs holds a turn that messages can be handed to."""
        ...

    def read_messages(self, result: "Serde[Any]", *, takes_all: bool) -> "Future[Any]":
        """The next message to this turn that fits, once there is one; or the list of all of them.

        ``result`` decodes what the future gives.
        """
        ...

    def cancel_invocation(self, invocation_id: InvocationId, reason: str) -> None:
        """Tell another invocation to end, so that it can clean up; one that is over stays so."""
        ...

    def hold_cancellation(self) -> None:
        """Apply no cancellation of this invocation until as many calls of the next one."""
        ...

    def release_cancellation(self) -> bool:
        """As many as of the one before: apply what came meanwhile.

        ``True``: the task that calls this was cancelled, and notices when it next gives way.
        """
        ...

    def await_signal(self, name: str, result: "Serde[Any]") -> "Future[Any]":
        """The next signal of this name that is sent to this invocation."""
        ...

    def send_signal(
        self, invocation_id: InvocationId, name: str, outcome: "bytes | TerminalError"
    ) -> None:
        """Send another invocation a signal: a JSON value, or an error for whoever awaits it."""
        ...

    def patched(self, name: str) -> bool:
        """Whether the code behind a patch runs in this invocation."""
        ...

    def state_get(self, field: "StateField[Any]") -> Any:
        """The live value of a field; the field's default where nothing is stored."""
        ...

    def state_set(self, field: "StateField[Any]", value: Any) -> None:
        """Replace a field's value; saved with the next command or the outcome."""
        ...

    def state_clear(self, field: "StateField[Any]") -> None:
        """Forget a field's value, as if it had never been set."""
        ...

    def state_names(self) -> list[str]:
        """The names that have a stored value, sorted."""
        ...

    def state_tag(self) -> str:
        """The tag of what was stored when the turn began; exclusive handlers only."""
        ...
