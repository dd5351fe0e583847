"""A request and a response as plain values, whatever carries them."""

from collections.abc import Mapping

from msgspec import Struct


class Head(Struct, frozen=True):
    """All of a request but its body.

    Attributes:
        method: in capitals.
        path: the request target as it was sent: still percent-encoded, with the query.
        headers: a mapping that finds names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]


class Request(Struct, frozen=True):
    """A whole request."""

    head: Head
    body: bytes


class Response(Struct, frozen=True):
    """What to answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
