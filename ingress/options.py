"""What a deployment may choose about the HTTP door. Plain values; every limit has its unit."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..objects.errors import InvalidArgumentError
from .access import NO_TOKENS, Tokens

HEADERS_PASSED = frozenset(
    {"content-type", "user-agent", "traceparent", "tracestate", "x-request-id"}
)
"""Request headers a handler sees, and the journal keeps, without being asked."""

# Part of a name is enough: a header that only looks like a secret is cheaply left out, and one
# that was journaled is on disk and in every backup.
_SECRET_PARTS = (
    "authorization",
    "authentication",
    "cookie",
    "api-key",
    "apikey",
    "api_key",
    "access-key",
    "token",
    "secret",
    "password",
    "credential",
    "session",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How the HTTP door behaves.

    Attributes:
        body_bytes_max: a longer request body is refused with 413.
        hosts: names this server answers to in the ``Host`` header, besides ``localhost`` and IP
            addresses; ``"*"`` for any. The port does not matter.
        origins: web origins, ``https://app.example.com``, whose pages may call this server from a
            browser, besides its own; ``"*"`` for any.
        headers: further request headers that a handler sees, which also means that they are
            recorded. Names of secrets are refused.
        head_seconds_max: a request whose head is not complete after this long is cut off.
        body_seconds_max: the same for its body, counted from the end of the head.
        keepalive_seconds: how long an idle connection is kept.
        tokens: a request must carry one of these (``authorization: Bearer ...``), each of 16
            characters or more. Only hashes are kept, and no ``repr`` shows any. Without tokens
            whoever reaches the door may come in.
        allow_anonymous: listen also where strangers can come, although there are no tokens.
    """

    body_bytes_max: int = 32 * 1024 * 1024
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    head_seconds_max: float = 10.0
    body_seconds_max: float = 30.0
    keepalive_seconds: float = 75.0
    tokens: Iterable[str] | Tokens = field(default=NO_TOKENS, repr=False)
    allow_anonymous: bool = False

    def __post_init__(self) -> None:
        """Bring names to lower case, and refuse what could not be meant.

        Raises:
            InvalidArgumentError: a limit that lets nothing in, a header that carries a secret, or
                a token that can be guessed or not be sent.
        """
        if not isinstance(self.tokens, Tokens):
            object.__setattr__(self, "tokens", Tokens(self.tokens))
        for names in ("hosts", "origins", "headers"):
            lowered = frozenset(name.lower().rstrip("/") for name in getattr(self, names))
            object.__setattr__(self, names, lowered)
        for name in sorted(self.headers):
            if is_secret(name):
                message = (
                    f"the header {name!r} carries a secret and would be recorded with each call; "
                    f"check it in front of Holdfast and pass on who the caller is"
                )
                raise InvalidArgumentError(message)
        limits = ("body_bytes_max", "head_seconds_max", "body_seconds_max", "keepalive_seconds")
        for limit in limits:
            if not getattr(self, limit) > 0:
                message = f"HttpOptions: {limit} is {getattr(self, limit)}; it must be above 0"
                raise InvalidArgumentError(message)


def tokens_of(options: HttpOptions) -> Tokens:
    """The tokens of a door with these options."""
    assert isinstance(options.tokens, Tokens), "options whose tokens were not taken in"
    return options.tokens


def is_secret(header: str) -> bool:
    """Whether a header of this name (in lower case) must never be recorded."""
    return any(part in header for part in _SECRET_PARTS)


DEFAULT_OPTIONS = HttpOptions()
"""Loopback manners: nothing from browsers of other sites, nothing secret recorded."""
