"""Mistakes in the code, which every attempt would come to again.

Trying again is for a world that may be another one by then. What Holdfast itself refuses a handler,
because of how it is written, no delay mends, and seventy attempts would only hide it for an hour: a
policy that ends in a pause comes to it at once. One that ends in an outcome is followed as it is
written, since that is what somebody waits for who has prepared for it.

An error of Python's own (``AttributeError``) is no mistake here: it may well come of what a service
has answered.
"""

from ..objects.errors import ContextMisuseError, ForbiddenInHandlerError
from ..objects.groups import is_a, leaves_of
from .failures import describe
from .sources import find_raise


def is_mistake(error: BaseException) -> bool:
    """Whether another attempt of the same code would raise ``error``, or a part of it, again."""
    return any(_is_mistake(each) for each in leaves_of(error))


def _is_mistake(error: BaseException) -> bool:
    if is_a(error, ForbiddenInHandlerError):
        return not error.may_pass
    return is_a(error, ContextMisuseError)


def why_handler_paused(failures: int, error: BaseException, reason: str) -> str:
    """Say why a handler whose last attempt failed with ``error``, for ``reason``, gets no other."""
    if is_mistake(error):
        return f"every attempt of its code would fail; resume it once that is mended: {reason}"
    return f"the last of {failures} attempts failed: {reason}"


def why_step_paused(name: str, failures: int, error: BaseException) -> str:
    """Say why the step ``name``, whose last attempt failed with ``error``, gets no other."""
    if not is_mistake(error):
        return f"step {name!r} failed {failures} times, last with {describe(error)}"
    place = find_raise(error)
    return (
        f"every attempt of step {name!r} would fail as its code is; resume it once that is mended: "
        f"{describe(error)}{f' (at {place})' if place else ''}"
    )
