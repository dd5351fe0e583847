"""A handler of one object, within reach: ``await handle(x)`` calls it, ``handle.send(x)`` sends.

A handle knows whom it asks, whom it reaches and how arguments become bytes. It does not know
whether the caller is a handler, a runtime or a client in another process.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, Generic, Never, ParamSpec, TypeVar, overload

from .call_options import PLAIN, CallOptions
from .errors import ContextMisuseError
from .identity import Target
from .serde import Serde
from .syscalls import Caller

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

EncodeArgument = Callable[[tuple[Any, ...], Mapping[str, Any]], bytes]


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call that is to be made later, its argument encoded."""

    target: Target
    argument: bytes
    result: Serde[Any]
    options: CallOptions


class Handle(Generic[P, R_co]):
    """One handler of one object (or of a service), ready to be called or sent to."""

    __slots__ = ("_caller", "_encode_argument", "_options", "_result", "target")

    def __init__(
        self,
        caller: Caller,
        target: Target,
        encode_argument: EncodeArgument,
        result: Serde[Any],
        options: CallOptions = PLAIN,
    ) -> None:
        """Proxies make these."""
        self.target = target
        self._caller = caller
        self._encode_argument = encode_argument
        self._result = result
        self._options = options

    def __repr__(self) -> str:
        """For messages: whom this reaches."""
        return f"<handler {self.target}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R_co]:
        """Call the handler. The call exists when this returns; await it for what it returns.

        Raises:
            InvalidArgumentError: the arguments do not fit. Nothing was journaled.
            TerminalError: (from the awaitable) the handler failed for good.
        """
        return self._caller.call(
            self.target, self._encode_argument(args, kwargs), self._result, self._options
        )

    def prepare(
        self, caller: Caller, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> PreparedCall:
        """The call with these arguments, to be made later by ``caller``; they are encoded now.

        Raises:
            InvalidArgumentError: the arguments do not fit.
            ContextMisuseError: the handle was made by somebody else.
        """
        if self._caller is not caller:
            message = f"{self.target} is called by this handler, so reach it by this handler's ctx"
            raise ContextMisuseError(message)
        argument = self._encode_argument(args, kwargs)
        return PreparedCall(self.target, argument, self._result, self._options)

    # A ParamSpec cannot carry one more keyword, so there are overloads. Without ``delay`` every
    # argument is checked; with it the first three positional ones are, and further arguments by
    # keyword are left to the check when the call is made. Matching ``self`` as a callable, rather
    # than as Handle[Concatenate[A, ...], Any], is what lets mypy infer A; that the implementation
    # takes every ``self`` is more than mypy can see.
    @overload
    def send(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[str]: ...
    @overload
    def send(
        self: "Callable[Concatenate[A, B, C, ...], Awaitable[Any]]",
        first: A,
        second: B,
        third: C,
        /,
        *more: Any,
        delay: timedelta | float | None,
        **named: Any,
    ) -> Awaitable[str]: ...
    @overload
    def send(
        self: "Callable[Concatenate[A, B, ...], Awaitable[Any]]",
        first: A,
        second: B,
        /,
        *,
        delay: timedelta | float | None,
        **named: Any,
    ) -> Awaitable[str]: ...
    @overload
    def send(
        self: "Callable[Concatenate[A, ...], Awaitable[Any]]",
        first: A,
        /,
        *,
        delay: timedelta | float | None,
        **named: Any,
    ) -> Awaitable[str]: ...
    @overload
    def send(self, *, delay: timedelta | float | None, **named: Any) -> Awaitable[str]: ...
    def send(self: Any, *args: Any, **kwargs: Any) -> Awaitable[str]:  # type: ignore[misc]
        """Have the handler called once, after ``delay``, without waiting for what it returns.

        Gives the text id of that invocation.

        Raises:
            InvalidArgumentError: the arguments do not fit. Nothing was journaled.
        """
        options: CallOptions = self._options
        if "delay" in kwargs:
            options = options.with_delay(kwargs.pop("delay"))
        sent: Awaitable[str] = self._caller.send(
            self.target, self._encode_argument(args, kwargs), options
        )
        return sent


class DirectHandle(Handle[P, R_co]):
    """What a handler is on a real instance: something that must not be called there."""

    __slots__ = ("_owner",)

    def __init__(self, owner: str, attribute: str) -> None:
        """``owner`` and ``attribute`` are for the message."""
        self._owner = owner
        self.target = Target(owner, None, attribute)

    def __call__(self, *_args: Any, **_kwargs: Any) -> Never:
        """Refuse.

        Raises:
            ContextMisuseError: always. Nothing was called.
        """
        self._refuse()

    def send(self, *_args: Any, **_kwargs: Any) -> Never:
        """Refuse, as for a call."""
        self._refuse()

    def prepare(self, *_args: Any, **_kwargs: Any) -> Never:
        """Refuse, as for a call."""
        self._refuse()

    def _refuse(self) -> Never:
        message = (
            f"{self.target} was called on self, which would run it without a turn, a journal or "
            f"its own outcome. For code that two handlers share, use a plain method without "
            f"@handler; to call the handler of another object, use "
            f"ctx.object({self._owner}, key).{self.target.handler}(...)"
        )
        raise ContextMisuseError(message)
