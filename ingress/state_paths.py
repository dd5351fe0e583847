"""Paths of objects, whose state is read.

    state  := "/" object "/" key
    query  := ["wait=" duration] | "at=" invocation ["entry=" digits]

What a class without keys has in second place is a handler, so no path means two things.
"""

from dataclasses import dataclass

from ..objects.definition import ServiceDefinition
from ..objects.errors import InvalidArgumentError
from .call_paths import parse_key
from .queries import parse_parameters
from .waits import parse_wait

_ENTRY_DIGITS_MAX = 10


@dataclass(frozen=True, slots=True)
class StatePath:
    """The state of an object, which may never have been called."""

    service: ServiceDefinition
    key: str


@dataclass(frozen=True, slots=True)
class StateQuery:
    """What such a request says behind its path."""

    wait_s: float = 0
    at: str | None = None
    entry: int | None = None


def parse_state(segments: list[str], service: ServiceDefinition) -> StatePath:
    """Whose state a path of two segments names.

    Raises:
        InvalidArgumentError: that cannot be a key.
    """
    return StatePath(service, parse_key(segments[1]))


def parse_state_query(query: str) -> StateQuery:
    """What the query parameters say.

    Raises:
        InvalidArgumentError: there are others, one is malformed, or they contradict each other.
    """
    given = parse_parameters(
        query, ("wait", "at", "entry"), "there are 'wait', and 'at' with 'entry'"
    )
    if "wait" in given and "at" in given:
        message = "the wait query parameter cannot be used with at: the past does not change"
        raise InvalidArgumentError(message)
    return StateQuery(
        parse_wait(given.get("wait")), given.get("at"), _parse_entry(given.get("entry"))
    )


def _parse_entry(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _ENTRY_DIGITS_MAX):
        message = f"bad entry query parameter, {text!r:.80} is not the index of a journal entry"
        raise InvalidArgumentError(message)
    return int(text)
