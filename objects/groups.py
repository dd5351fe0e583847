"""What is in an ``ExceptionGroup``, however deep the groups stand in one another.

Who asks decides what a failed attempt leads to, where nothing may go wrong any more: so it is no
recursion, which tasks that fail within tasks could make too deep. And no exception is asked for its
``__class__``, as ``isinstance`` does: of a stranger's that may be a property, and raise.
"""

from typing import Any, Final, TypeGuard, TypeVar, cast

E = TypeVar("E", bound=BaseException)

_EXCEPTIONS: Final[Any] = BaseExceptionGroup.__dict__["exceptions"]
"""Of any group, also where a class of its own has put something else in the attribute's place."""


def is_a(error: BaseException, kind: type[E]) -> TypeGuard[E]:
    """As ``isinstance``, of whatever was raised; never raises."""
    return issubclass(type(error), kind)


def leaves_of(error: BaseException) -> list[BaseException]:
    """The exceptions in ``error`` that are no groups, in order; itself where it is none."""
    if not is_a(error, BaseExceptionGroup):
        return [error]
    leaves: list[BaseException] = []
    seen = {id(cast("object", error))}
    left: list[BaseException] = [error]
    while left:
        each = left.pop()
        if not is_a(each, BaseExceptionGroup):
            leaves.append(each)
            continue
        inner: tuple[BaseException, ...] = _EXCEPTIONS.__get__(each)
        # One that stands in several groups is looked at once.
        new = [one for one in inner if id(one) not in seen]
        seen.update(id(one) for one in new)
        left += reversed(new)
    return leaves
