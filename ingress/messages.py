"""A request and a response as plain values, whatever carries them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """All of a request but its body.

    Attributes:
        method: in capitals.
        path: the request target as it was sent: still percent-encoded, with the query.
        headers: a mapping that finds names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
