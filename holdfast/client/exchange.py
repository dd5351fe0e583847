"""One request and what became of it: values, of no HTTP library."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request.

    Attributes:
        method: of HTTP.
        path: from the root of the server, percent-encoded, with its query.
        what: the request in words, for messages: "the call of Cart/sam/add".
        body: as it is sent.
        headers: beside those of every request.
        idempotency_key: the one in the headers.
        may_repeat: whether sending it twice does no more than sending it once.
        is_question: whether nothing can be accepted of it, so that nothing can be lost.
        is_operators: whether it is for the operators' port.
        mark: a header that each success of it has, where there is one; who answers without it is
            no Holdfast server.
        hint: what asking again would do, where there is no key to do it with.
    """

    method: str
    path: str
    what: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    idempotency_key: str | None = None
    may_repeat: bool = True
    is_question: bool = False
    is_operators: bool = False
    mark: str | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UnreachableError(Exception):
    """No connection could be made, or it broke before all was sent. Never leaves the client."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        """Say why; ``is_final``: trying again is of no use."""
        super().__init__(message)
        self.is_final = is_final


class LostError(Exception):
    """The connection broke between the request and the end of its answer. Never leaves it."""
