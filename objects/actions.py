"""What a step is asked to do: its name, its function, and what that function returns."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import lru_cache
from sys import modules
from types import CoroutineType, FunctionType, MethodType
from typing import Any, Final, cast, get_args, get_origin

from .annotations import resolve_annotation, underlying_function
from .errors import HoldfastError, InvalidArgumentError
from .serde import Serde, find_unsupported_type, packed_serde
from .syscalls import Action

STEP_NAME_CHARACTERS_MAX: Final = 256


def make_action(
    name: object, function: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Action:
    """The action of a step called ``name``.

    Raises:
        InvalidArgumentError: the name is no name, or the function is none.
    """
    if not isinstance(name, str):
        message = (
            f"a step begins with its name, as in ctx.run('charge', charge_card, order), but this "
            f"one begins with {type(name).__name__}: {name!r:.80}"
        )
        raise InvalidArgumentError(message)
    if not 1 <= len(name) <= STEP_NAME_CHARACTERS_MAX:
        message = (
            f"a step's name has 1 to {STEP_NAME_CHARACTERS_MAX} characters, and {name[:40]!r} has "
            f"{len(name)}"
        )
        raise InvalidArgumentError(message)
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        message = f"the step's name {name!r:.80} holds a lone surrogate, which is no valid Unicode"
        raise InvalidArgumentError(message)
    if isinstance(function, CoroutineType):
        message = (
            f"step {name!r} was given a call instead of a function; write "
            f"ctx.run({name!r}, {function.__name__}, ...) with the arguments after the function"
        )
        function.close()
        raise InvalidArgumentError(message)
    if not callable(function):
        message = (
            f"step {name!r} needs a function to run, but was given {type(function).__name__}: "
            f"{function!r:.80}"
        )
        raise InvalidArgumentError(message)
    return Action(function, args, kwargs)


def result_serde_of(function: Callable[..., Any]) -> Serde[Any]:
    """MessagePack of what ``function`` returns, or of anything where it does not say.

    Where an annotation is missing, cannot be resolved here, or names a type that cannot be decoded,
    results are decoded as builtins.
    """
    # The two common kinds at once; whatever else there is takes a longer look.
    plain: Any = function.__func__ if type(function) is MethodType else function
    if type(plain) is FunctionType and not hasattr(plain, "__wrapped__"):
        underlying: Any = plain
    else:
        underlying = underlying_function(function)
    if isinstance(underlying, type):
        return _serde_of(cast("Any", underlying))
    if not hasattr(underlying, "__annotations__"):
        underlying = getattr(underlying, "__call__", None)  # noqa: B004 - for its annotations
        underlying = getattr(underlying, "__func__", underlying)
    # An AsyncMock has ``None`` for them.
    annotations: dict[str, Any] = getattr(underlying, "__annotations__", None) or {}
    raw: Any = annotations.get("return", Any)
    if not isinstance(raw, str):
        return _serde_of(raw)
    names = getattr(underlying, "__globals__", {})
    module = getattr(underlying, "__module__", None) or ""
    # The same text in the same module means the same type, and is worth evaluating only once.
    if module in modules and vars(modules[module]) is names:
        return _serde_of_text(raw, module)
    return _resolve_serde(raw, names)


def _serde_of(annotation: Any) -> Serde[Any]:
    try:
        return _remembered_serde(annotation)
    except TypeError:  # unhashable
        return _make_serde(annotation)


@lru_cache(maxsize=1024)
def _remembered_serde(annotation: Any) -> Serde[Any]:
    return _make_serde(annotation)


@lru_cache(maxsize=1024)
def _serde_of_text(annotation: str, module: str) -> Serde[Any]:
    return _resolve_serde(annotation, vars(modules[module]))


def _resolve_serde(annotation: Any, names: Mapping[str, Any]) -> Serde[Any]:
    try:
        return _serde_of(resolve_annotation(annotation, names))
    except Exception:  # noqa: BLE001 - an annotation may raise whatever it likes when evaluated
        return packed_serde(Any)


def _make_serde(annotation: Any) -> Serde[Any]:
    if get_origin(annotation) in {Awaitable, Coroutine}:
        annotation = get_args(annotation)[-1]
    try:
        if find_unsupported_type(annotation) is None:
            return packed_serde(annotation)
    except HoldfastError:
        pass
    return packed_serde(Any)
