"""Which reply is for which request.

An item is a reply, a function that makes one, or either of them under a condition. Items with a
condition come first: a request gets the first of them that fits it and is not used up; where none
fits, the next of the items without a condition, in order. So a script reads as the conversation it
expects, and exceptions stand anywhere in it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ...objects.errors import InvalidArgumentError
from .bounds import REPLIES_MAX, check_count, show
from .reply import Reply
from .request import LlmRequest

Matcher = str | Callable[[LlmRequest], bool]
"""A condition on a request: a text that its last message contains, or a function."""

Answerer = Callable[[LlmRequest], Reply]
"""Makes a reply out of the request. It runs in the thread of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """A reply for the requests that ``matcher`` accepts, ``times`` of them, or all."""

    matcher: Matcher | None
    reply: Reply | Answerer
    times: int | None


ScriptItem = Reply | Answerer | Conditional
"""What a script is made of."""


def when(matcher: Matcher, reply: Reply | Answerer, *, times: int | None = 1) -> Conditional:
    """``reply``, for requests that ``matcher`` accepts, before whatever comes next in order.

    Args:
        matcher: a text that the last message contains, or a function of the request.
        reply: the reply, or a function that makes it out of the request.
        times: for how many requests; ``None`` for all of them.

    Raises:
        InvalidArgumentError: an argument is of another type, or ``times`` is below 1.
    """
    check_matcher("when", matcher)
    _check_reply("when", reply)
    if times is not None:
        check_count("when: times", times, 1, REPLIES_MAX)
    return Conditional(matcher=matcher, reply=reply, times=times)


def always(reply: Reply | Answerer) -> Conditional:
    """``reply``, for every request that nothing else in the script is for.

    Raises:
        InvalidArgumentError: it is neither a reply nor a function.
    """
    _check_reply("always", reply)
    return Conditional(matcher=None, reply=reply, times=None)


def matches(matcher: Matcher, request: LlmRequest) -> bool:
    """Whether ``matcher`` accepts ``request``; what it raises is raised."""
    if isinstance(matcher, str):
        return matcher in request.last_text
    return bool(matcher(request))


def check_matcher(word: str, matcher: Any) -> None:
    """Refuse what is no condition.

    Raises:
        InvalidArgumentError: it is neither a text nor a function.
    """
    if not isinstance(matcher, str) and not callable(matcher):
        message = f"{word}: the condition is {show(matcher)}, and it must be a text or a function"
        raise InvalidArgumentError(message)


class ScriptError(Exception):
    """The script has no reply for a request, or could not make one; the message says why."""


@dataclass(slots=True)
class _Item:
    # What it is, in the words of the script.
    title: str
    # ``None`` for whatever comes.
    matcher: Matcher | None
    reply: Reply | Answerer
    # For how many requests it is, and still is; both ``None`` for any number.
    times: int | None
    times_left: int | None


class Script:
    """The items that are left. Belongs to whoever holds its lock: it has none of its own."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._items: list[_Item] = []

    def extend(self, items: Iterable[ScriptItem]) -> None:
        """Add ``items`` at the end: all of them, or none.

        Raises:
            InvalidArgumentError: one is nothing that a script is made of, none could ever come to
                it, or there are too many.
        """
        added = [_read_item(number, item) for number, item in enumerate(_listed(items), 1)]
        check_count("the number of replies", len(self._items) + len(added), 0, REPLIES_MAX)
        in_order = [item for item in [*self._items, *added] if item.matcher is None]
        for before, after in pairwise(in_order):
            if before.times_left is None:
                message = f"{after.title} is never reached: {before.title} before it never ends"
                raise InvalidArgumentError(message)
        self._items += added

    def take(self, request: LlmRequest) -> Reply:
        """The reply for ``request``, which is used up by it.

        Raises:
            ScriptError: there is none, or a function of the script raised or gave something else.
        """
        item = self._find(request)
        if item is None:
            raise ScriptError(self._why_none())
        if item.times_left is not None:
            item.times_left -= 1
        if isinstance(item.reply, Reply):
            return item.reply
        made: Any = _call(item, "its function", item.reply, request)
        if not isinstance(made, Reply):
            message = f"{item.title}: its function gave {show(made)}, which is no reply"
            raise ScriptError(message)
        return made

    def rewind(self) -> None:
        """Begin again: nothing is used up."""
        for item in self._items:
            item.times_left = item.times

    def unused(self) -> list[str]:
        """The titles of what is left, without what is for any number of requests."""
        return [item.title for item in self._items for _ in range(item.times_left or 0)]

    def _find(self, request: LlmRequest) -> _Item | None:
        left = [item for item in self._items if item.times_left != 0]
        for item in left:
            if item.matcher is not None and _call(
                item, "its condition", _as_function(item.matcher), request
            ):
                return item
        return next((item for item in left if item.matcher is None), None)

    def _why_none(self) -> str:
        if not self._items:
            return "the script is empty"
        left = self.unused()
        if not left:
            return f"all replies of the script are used up; there were {len(self._items)}"
        shown = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        return f"no reply that is left is for it: {shown}"


def _listed(items: Any) -> Iterable[Any]:
    """``items``, unless they are one thing that happens to be iterable, or none at all."""
    if hasattr(items, "__iter__") and not isinstance(items, str):
        listed: Iterable[Any] = items
        return listed
    message = f"the script is {show(items)}, and it must be a list of replies"
    raise InvalidArgumentError(message)


def _read_item(number: int, item: ScriptItem) -> _Item:
    if isinstance(item, Conditional):
        title = _title(item.reply)
        if item.matcher is None:
            title = f"always({title})"
        else:
            title = f"when({_title_of_matcher(item.matcher)}, {title})"
        return _Item(title, item.matcher, item.reply, item.times, item.times)
    _check_item(number, item)
    return _Item(_title(item), None, item, 1, 1)


def _check_item(number: int, item: Any) -> None:
    if not isinstance(item, Reply) and not callable(item):
        message = (
            f"reply {number} of the script is {show(item)}, and it must be made by say, call_tool "
            "or the like, or be a function that makes one"
        )
        raise InvalidArgumentError(message)


def _call(item: _Item, what: str, function: Callable[[LlmRequest], Any], asked: LlmRequest) -> Any:
    """What a function of the script gives.

    Raises:
        ScriptError: it raised; a stranger's code may raise anything.
    """
    try:
        return function(asked)
    except Exception as error:
        message = f"{item.title}: {what} raised {type(error).__name__}: {error}"
        raise ScriptError(message) from error


def _as_function(matcher: Matcher) -> Callable[[LlmRequest], bool]:
    return lambda request: matches(matcher, request)


def _check_reply(word: str, reply: Any) -> None:
    if not isinstance(reply, Reply) and not callable(reply):
        message = f"{word}: {show(reply)} is no reply, and no function that makes one"
        raise InvalidArgumentError(message)


def _title(reply: Reply | Answerer) -> str:
    return reply.title if isinstance(reply, Reply) else _name(reply)


def _title_of_matcher(matcher: Matcher) -> str:
    return show(matcher) if isinstance(matcher, str) else _name(matcher)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or show(function)
