"""Every exception Holdfast raises on purpose.

    HoldfastError                        anything below; never raised itself
    ├── TerminalError            HF0001  an outcome: the handler or step failed for good
    │   ├── StepFailedError      HF0002  a step used up its attempts, or its error is final
    │   ├── OutcomeUnknownError  HF0003  a step was interrupted; on_unknown="fail" wants to know
    │   ├── DeadlockError        HF0004  this wait could never have ended
    │   ├── CanceledError        HF0005  told to end from outside: canceled, or killed
    │   └── AwakeableExpiredError  HF0006  nobody resolved it before its deadline
    ├── InvalidDefinitionError   HF0010  a class or method cannot be what it is declared to be
    ├── InvalidArgumentError     HF0011  an argument, body, key or id does not fit
    ├── UnknownTargetError       HF0012  no such object, service, handler, invocation, awakeable
    ├── MailboxFullError         HF0013  the mailbox of a key has reached its bound
    ├── ConflictError            HF0014  the request contradicts what was recorded before
    ├── RuntimeClosedError       HF0015  the runtime is stopping or has stopped
    ├── RetryableError           HF0016  not now: try again, after so long
    ├── NotReadyError            HF0017  the invocation has no outcome yet
    ├── NotKeptError             HF0018  what was asked about the past is not known any more
    ├── JournalMismatchError     HF0020  replay took another path than the journal
    ├── ForbiddenInHandlerError  HF0021  the outside world touched without ctx.run
    ├── ContextMisuseError       HF0022  a context used where or when it must not be
    ├── HandlerStuckError        HF0023  a handler spins, or waits for what can never come
    ├── StoreFailedError         HF0030  the disk failed a write; the runtime has stopped
    ├── StoreLockedError         HF0031  another process has the data directory open
    ├── StoreFormatError         HF0032  the data directory is of another format
    ├── StoreDamagedError        HF0033  the data directory has lost acknowledged data
    ├── StoreFullError           HF0034  too little disk space left for new work
    ├── NotReachedError          HF0040  a client could not reach the server; nothing was accepted
    ├── AnswerLostError          HF0041  a client has no answer, and the request may be accepted
    └── AccessDeniedError        HF0042  the server wants a token, or lets nobody of there in

A code is for ever, and each has a page: ``objects/error_codes/HF0001.md`` and so on.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from .mismatch import Mismatch
from .retry_after import find_wait, parse_retry_after

if TYPE_CHECKING:
    from .identity import Origin


class HoldfastError(Exception):
    """Anything Holdfast raises on purpose. ``code`` names its page in ``error_codes``."""

    code: ClassVar[str] = "HF0000"

    def __str__(self) -> str:
        """The message, after the code in brackets."""
        return f"[{self.code}] {super().__str__()}"

    @property
    def message(self) -> str:
        """The message without the code."""
        return super().__str__()


class TerminalError(HoldfastError):
    """The outcome of an invocation or a step that failed for good; it is never retried.

    Raise it in a handler to end the invocation with this outcome, or in an action to end the
    step. It is recorded, and whoever awaits the call, the step or the HTTP answer gets it back
    with the same status, message, metadata and cause, however many calls it passes through.

    Attributes:
        status_code: the HTTP status a caller sees, 400 to 599; 500 unless given.
        metadata: small facts for the caller, text to text.
        type_name: the class of the exception that was recorded, for example ``"ValueError"``.
        cause: what led to it, as ``(type name, message)`` pairs, the nearest first. What it was
            raised from in another object is part of it.
        origin: the invocation that first failed with it, or with what it was raised from, however
            many calls away; ``None`` until an invocation has.
    """

    code = "HF0001"

    def __init__(  # noqa: PLR0913  # by keyword, and all but two for whoever rebuilds it
        self,
        message: str = "",
        *,
        status_code: int = 500,
        metadata: Mapping[str, str] | None = None,
        type_name: str | None = None,
        cause: tuple[tuple[str, str], ...] = (),
        origin: "Origin | None" = None,
    ) -> None:
        """Make the outcome. What follows ``metadata`` is for the runtime that rebuilds one."""
        super().__init__(message)
        self.status_code = status_code
        self.metadata: dict[str, str] = dict(metadata or {})
        self.type_name = type_name or type(self).__name__
        self.cause = cause
        self.origin = origin

    def __reduce__(self) -> tuple[Any, ...]:
        """Let ``copy`` work although the constructor takes keywords."""
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(cls: type[TerminalError], message: str, fields: dict[str, Any]) -> TerminalError:
    error = cls(message)
    error.__dict__.update(fields)
    return error


class StepFailedError(TerminalError):
    """A step's action failed for good: its retry policy is used up or refuses the error.

    ``type_name`` and ``message`` are those of the exception that the last attempt raised. The
    failure is recorded: a replay raises the same error without running the action.
    """

    code = "HF0002"


class OutcomeUnknownError(TerminalError):
    """A step was interrupted after its action began, and it is not to run again.

    That is what ``on_unknown="fail"`` says, or the ``max_duration`` of its retry policy.

    The effect may or may not have happened. The step will not run again; the handler decides.
    """

    code = "HF0003"


class DeadlockError(TerminalError):
    """This call would have waited for ever: everyone in the cycle waits for someone else in it.

    The message names the cycle. The call that would have closed it was taken back before it ran;
    everything else goes on.
    """

    code = "HF0004"


class CanceledError(TerminalError):
    """The outcome of an invocation that somebody else told to end: it was canceled, or killed.

    The message names the invocation and says which of the two, and why where that was said. Inside
    the handler that is canceled the exception is ``asyncio.CancelledError``; this is what those
    who await its outcome get.
    """

    code = "HF0005"


class AwakeableExpiredError(TerminalError, TimeoutError):
    """Nobody resolved the awakeable before its deadline.

    It is closed: whoever resolves it now is told so. ``except TimeoutError`` catches it as well.
    """

    code = "HF0006"


class InvalidDefinitionError(HoldfastError, TypeError):
    """A class or method cannot be what it is declared to be.

    Raised when the class is created or given to a runtime; nothing was registered.
    """

    code = "HF0010"


class InvalidArgumentError(HoldfastError, ValueError):
    """An argument, body, key or id does not fit. Nothing was journaled."""

    code = "HF0011"


class UnknownTargetError(HoldfastError, LookupError):
    """What was named does not exist. Nothing was journaled."""

    code = "HF0012"


class MailboxFullError(HoldfastError):
    """The mailbox of this key holds as many waiting calls as it may, or an invocation signals.

    The call or signal was refused and left no trace; it is safe to try again later.
    """

    code = "HF0013"


class ConflictError(HoldfastError):
    """The request contradicts what was recorded before. Nothing was changed."""

    code = "HF0014"


class RuntimeClosedError(HoldfastError):
    """The runtime is stopping or has stopped.

    A call that was accepted before is safe in the journal and goes on at the next start; one
    refused with this error left no trace.
    """

    code = "HF0015"


class RetryableError(HoldfastError):
    """This attempt of a step or a handler failed, and another one may not.

    Raise it in an action or a handler. It is tried again as any exception that is no outcome, also
    where ``RetryPolicy.retry_on`` does not name it. One that says ``retry_after`` puts that in the
    place of the policy's own delay, a day at most; it counts as an attempt like any other::

        if response.status_code == 429:
            raise RetryableError("busy", retry_after=response.headers.get("retry-after"))

    Attributes:
        retry_after: how long to wait, or until when; ``None``: as the policy says.
    """

    code = "HF0016"

    def __init__(
        self, message: str = "", *, retry_after: timedelta | float | str | None = None
    ) -> None:
        """Say what failed, and when it may work.

        Args:
            message: for the log, and for the outcome if this was the last attempt.
            retry_after: a timedelta, seconds, or the text of a ``Retry-After`` header. A text that
                is none counts as ``None``: the exception is about something else.

        Raises:
            InvalidArgumentError: ``retry_after`` is of another type, or no finite number.
        """
        super().__init__(message)
        self.retry_after: timedelta | datetime | None = read_retry_after(retry_after)


def read_retry_after(value: object) -> timedelta | datetime | None:
    """The wait, or the moment, that ``value`` says; ``None``: none.

    Raises:
        InvalidArgumentError: it is of another type, or no finite number.
    """
    if value is None or isinstance(value, timedelta | datetime):
        return value
    if isinstance(value, str):
        return parse_retry_after(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        wait = find_wait(value)
        if wait is not None:
            return wait
    message = (
        f"retry_after is a timedelta, a number of seconds or the text of a Retry-After header, "
        f"but this is {type(value).__name__}: {value!r:.80}"
    )
    raise InvalidArgumentError(message)


class NotReadyError(HoldfastError):
    """The invocation is not completed, so there is no output yet. Nothing was changed."""

    code = "HF0017"


class NotKeptError(HoldfastError, LookupError):
    """What was asked about the past is not known any more, or was never kept.

    Nothing was changed. It will not be known later either.
    """

    code = "HF0018"


class JournalMismatchError(HoldfastError):
    """On replay, the handler asked for something its journal does not hold.

    Nothing was written but the status: the invocation is paused rather than retried, because the
    same code would take the same wrong turn.

    Attributes:
        mismatch: both sides with their places, and the likely cause. ``str(error)`` is all of it
            in one line, ``error.mismatch.block`` in a few, for a terminal.
    """

    code = "HF0020"

    def __init__(self, message: str = "", *, mismatch: Mismatch | None = None) -> None:
        """For the runtime: ``mismatch``, with ``message`` or its own line."""
        super().__init__(message or (mismatch.line if mismatch else ""))
        self.mismatch = mismatch


class ForbiddenInHandlerError(HoldfastError, RuntimeError):
    """A handler touched the network, a subprocess, a thread or another loop directly.

    Such an effect would happen again on every replay. Wrap it in ``ctx.run``.

    Attributes:
        may_pass: another attempt may not meet it, because it takes two handlers at one moment. One
            that does not pays no heed to a retry policy: the invocation is paused at once.
    """

    code = "HF0021"

    def __init__(self, message: str = "", *, may_pass: bool = False) -> None:
        """For the runtime: what was touched, where, and whether it depends on the moment."""
        super().__init__(message)
        self.may_pass = may_pass


class ContextMisuseError(HoldfastError, RuntimeError):
    """A context or a state field was used where or when it must not be. It had no effect."""

    code = "HF0022"


class HandlerStuckError(HoldfastError):
    """A handler spins without end, or waits for something that can never come."""

    code = "HF0023"


class StoreFailedError(HoldfastError):
    """The store failed a write or a sync, and the first failure is the last.

    The outcome of what was under way is unknown until the next start, which recovers whatever is
    on disk. Retry with the same idempotency key.
    """

    code = "HF0030"


class StoreLockedError(HoldfastError):
    """Another process has the data directory open. Nothing was touched."""

    code = "HF0031"


class StoreFormatError(HoldfastError):
    """The data directory is of a format this release cannot open. Nothing was touched."""

    code = "HF0032"


class StoreDamagedError(HoldfastError):
    """The data directory holds less than was acknowledged, or a file in it is damaged.

    The start was refused and nothing was changed.
    """

    code = "HF0033"


class StoreFullError(HoldfastError):
    """Too little disk space is left to accept new work. Running work goes on."""

    code = "HF0034"


class NotReachedError(HoldfastError, ConnectionError):
    """A client could not reach the server, or who answered is no Holdfast server.

    Nothing was accepted, however often it was tried.
    """

    code = "HF0040"


class AnswerLostError(HoldfastError, TimeoutError):
    """A client has no answer in time, and the request may have been accepted.

    The connection was lost, or the time that was given is over. Whatever was accepted goes on.
    ``except TimeoutError`` catches it as well.

    Attributes:
        idempotency_key: the key that the request went with. The same call with it gets the outcome
            of that request, or makes it if it was never accepted. ``None``: it had none, and the
            message says what asking again would do.
    """

    code = "HF0041"

    def __init__(self, message: str = "", *, idempotency_key: str | None = None) -> None:
        """For clients: say what was asked, and with which key to ask again."""
        super().__init__(message)
        self.idempotency_key = idempotency_key


class AccessDeniedError(HoldfastError, PermissionError):
    """The server did not let this client in: it wants another token, or a host name of its own.

    Nothing was accepted.
    """

    code = "HF0042"
