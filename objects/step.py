"""A step with options of its own: ``ctx.step(timeout=...).run(name, function, ...)``."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, overload

from .actions import make_action
from .durations import to_duration
from .errors import InvalidArgumentError
from .retry import RetryPolicy
from .syscalls import OnUnknown, StepOptions, Syscalls

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

P = ParamSpec("P")
R = TypeVar("R")

STEP_OPTIONS: Final = frozenset({"retry", "timeout", "heartbeat_timeout", "on_unknown"})


class Step:
    """Runs functions as steps, all with the same options."""

    __slots__ = ("_options", "_syscalls")

    def __init__(self, syscalls: Syscalls, options: StepOptions) -> None:
        """``ctx.step`` makes these."""
        self._syscalls = syscalls
        self._options = options

    @overload
    def run(
        self,
        name: str,
        function: Callable[P, Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> "Future[R]": ...
    @overload
    def run(
        self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[R]": ...
    def run(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As ``Context.run``, with these options."""
        return self._syscalls.run(name, make_action(name, function, args, kwargs), self._options)


def check_no_options(
    name: str,
    function: Callable[..., Any],
    kwargs: Mapping[str, Any],
    cure: str = "ctx.step({option}=...).run",
) -> None:
    """Refuse a step's option among the arguments of ``function``, where that does not take it.

    Raises:
        InvalidArgumentError: it was given one; the message says where options go.
    """
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return  # It does not say what it takes.
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return
    taken = {each.name for each in parameters if each.kind is not Parameter.POSITIONAL_ONLY}
    for option in sorted(STEP_OPTIONS & kwargs.keys() - taken):
        called = getattr(function, "__name__", "the function")
        message = (
            f"step {name!r}: {called} takes no {option!r}; an option of the step is given before "
            f"it, as in {cure.format(option=option)}({name!r}, {called}, ...)"
        )
        raise InvalidArgumentError(message)


def make_step_options(
    *, retry: object, timeout: object, heartbeat_timeout: object, on_unknown: object
) -> StepOptions:
    """The options, when a step can be run so.

    Raises:
        InvalidArgumentError: a value of another type, or no time at all.
    """
    if retry is not None and not isinstance(retry, RetryPolicy):
        message = f"retry is a RetryPolicy, but this is {retry!r:.80}"
        raise InvalidArgumentError(message)
    if on_unknown not in ("retry", "fail", "pause") and not callable(on_unknown):
        message = (
            f"on_unknown is 'retry', 'fail', 'pause' or a function that looks the effect up, but "
            f"this is {on_unknown!r:.80}"
        )
        raise InvalidArgumentError(message)
    return StepOptions(
        retry=retry,
        timeout=_check_limit("timeout", timeout),
        heartbeat_timeout=_check_limit("heartbeat_timeout", heartbeat_timeout),
        on_unknown=cast("OnUnknown", on_unknown),
    )


def _check_limit(name: str, limit: object) -> timedelta | None:
    if limit is None:
        return None
    duration = to_duration(limit, name)
    if isinstance(limit, bool) or not duration:
        message = (
            f"{name} is a timedelta or a number of seconds, above zero, but this is {limit!r:.80}"
        )
        raise InvalidArgumentError(message)
    return duration
