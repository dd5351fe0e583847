"""A block whose effects are taken back when it fails: ``async with ctx.saga() as saga``.

Before each step the code registers what takes its effect back. When the block is left by an outcome
(a terminal error) or by a cancellation, that runs, last first; when it is left normally, it is
forgotten. An exception that is no outcome is for the retry policy: while it says that the attempt
is tried again, nothing is taken back, and nobody outside the block sees the exception.

A compensation is a step, or the call of another object's handler. What runs them, and what of this
survives a crash, is behind the port.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, ParamSpec, Self

from .actions import make_action
from .errors import ContextMisuseError
from .handle import Handle
from .retry import RetryPolicy
from .step import STEP_OPTIONS, check_no_options, make_step_options
from .syscalls import OnUnknown, StepOptions, Syscalls

P = ParamSpec("P")

COMPENSATION_RETRY: Final = RetryPolicy(on_max_attempts="fail")
"""500 ms, doubling to 60 s, 70 attempts, which is about an hour; then it is given up, and named."""

_DEFAULT_OPTIONS: Final = StepOptions(retry=COMPENSATION_RETRY)


@dataclass(frozen=True, slots=True)
class NotCompensated:
    """A compensation that failed for good: what it was to take back stands.

    Attributes:
        name: the name given to ``saga.add``.
        reason: what its last attempt failed with, in one line.
    """

    name: str
    reason: str


class Saga:
    """Effects that belong together: all of them stand, or each is taken back.

    Attributes:
        not_compensated: after the block, the compensations that failed for good, in the order in
            which they were tried; the outcome of the invocation names them too.
    """

    __slots__ = ("_has_begun", "_indexes", "_is_open", "_syscalls", "not_compensated")

    def __init__(self, syscalls: Syscalls) -> None:
        """``Context.saga`` makes these."""
        self._syscalls = syscalls
        # What was registered, by the index of its command, in order.
        self._indexes: list[int] = []
        self._has_begun = self._is_open = False
        self.not_compensated: tuple[NotCompensated, ...] = ()

    async def __aenter__(self) -> Self:
        """Begin the block.

        Raises:
            ContextMisuseError: the block was begun before; each needs a saga of its own.
        """
        if self._has_begun:
            message = "a saga is one block; make another one with ctx.saga()"
            raise ContextMisuseError(message)
        self._has_begun = self._is_open = True
        return self

    def add(
        self, name: str, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Register what takes an effect back, before the effect: ``saga.add("refund", refund, 5)``.

        ``function`` becomes a step, so it may be tried again and runs outside of the handler; or it
        is a handler of another object, ``ctx.object(Room, "12").release``, and is called. It is
        also run when its effect never happened, or nobody knows, so it must be fit for that.

        Registered is durable before any later step begins. For options see ``step``.

        Raises:
            InvalidArgumentError: as ``Context.run``, or the arguments do not fit the handler.
            ContextMisuseError: the block has not begun, or is over.
        """
        self.register(name, function, args, kwargs, _DEFAULT_OPTIONS)

    def step(
        self,
        *,
        retry: RetryPolicy | None = None,
        timeout: timedelta | float | None = None,
        heartbeat_timeout: timedelta | float | None = None,
        on_unknown: OnUnknown = "retry",
    ) -> "SagaStep":
        """Options for a compensation: ``saga.step(retry=EAGER).add("refund", refund, order)``.

        See ``StepOptions`` for what they mean. Without ``retry`` it is tried for about an hour.

        Raises:
            InvalidArgumentError: an option is not what it should be.
        """
        options = make_step_options(
            retry=retry,
            timeout=timeout,
            heartbeat_timeout=heartbeat_timeout,
            on_unknown=on_unknown,
        )
        if retry is None:
            options = replace(options, retry=COMPENSATION_RETRY)
        return SagaStep(self, options)

    def register(
        self,
        name: str,
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: StepOptions,
    ) -> None:
        """As ``add``, for whoever has the arguments and the options as values."""
        if not self._is_open:
            message = (
                f"{name!r} was added to a saga that is not under way; add it inside of "
                f"`async with ctx.saga() as saga:`, before the step whose effect it takes back"
            )
            raise ContextMisuseError(message)
        # Checks the name for a handler as well.
        action = make_action(name, function, args, kwargs)
        syscalls = self._syscalls
        if isinstance(function, Handle):
            call = function.prepare(syscalls, args, kwargs)
            index = syscalls.add_compensation(
                name,
                lambda: syscalls.call(call.target, call.argument, call.result, call.options),
                call=(call.target, call.argument),
            )
        else:
            if kwargs and not STEP_OPTIONS.isdisjoint(kwargs):
                check_no_options(name, function, kwargs, "saga.step({option}=...).add")
            index = syscalls.add_compensation(
                name, lambda: syscalls.run(name, action, options), call=None
            )
        self._indexes.append(index)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block; compensate what it did if it was left by an outcome or a cancellation."""
        self._is_open = False
        if exc is None:
            self._syscalls.forget_compensations(self._indexes)
        elif self._indexes and not isinstance(exc, GeneratorExit):
            # An attempt that leaves memory is left by GeneratorExit, and comes back.
            self.not_compensated = await self._syscalls.compensate(self._indexes, exc)


class SagaStep:
    """Registers compensations, all with the same options."""

    __slots__ = ("_options", "_saga")

    def __init__(self, saga: Saga, options: StepOptions) -> None:
        """``Saga.step`` makes these."""
        self._saga = saga
        self._options = options

    def add(
        self, name: str, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """As ``Saga.add``, with these options; they do not concern the handler of another object.

        Raises:
            InvalidArgumentError, ContextMisuseError: as ``Saga.add``.
        """
        self._saga.register(name, function, args, kwargs, self._options)
