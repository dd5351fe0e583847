"""Query parameters: those that there are, once each."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from ..objects.errors import InvalidArgumentError
from .unknown_names import did_you_mean


def parse_parameters(query: str, names: Sequence[str], known: str) -> dict[str, str]:
    """What the query says for each of ``names`` that it gives.

    Args:
        query: as it was sent, without the question mark.
        names: the parameters that there are here.
        known: the same, as whoever gives another one is told.

    Raises:
        InvalidArgumentError: there is another one, for whoever misspells one must not get
            something else than what he asked for; or one is given twice.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in names:
            hint = did_you_mean(name, names) or f"; {known}"
            message = f"unknown query parameter {name!r:.80}{hint}"
            raise InvalidArgumentError(message)
        if name in given:
            message = f"bad {name} query parameter, it is given more than once"
            raise InvalidArgumentError(message)
        given[name] = value
    return given


def refuse_parameters(query: str) -> None:
    """Refuse a query where none means anything.

    Raises:
        InvalidArgumentError: there is one.
    """
    parse_parameters(query, (), "there are none here")
