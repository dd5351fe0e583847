"""What a deployment may choose about the HTTP door. Plain values; every limit has its unit."""

from dataclasses import dataclass

from ..objects.errors import InvalidArgumentError

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
    """

    body_bytes_max: int = 32 * 1024 * 1024
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    head_seconds_max: float = 10.0
    body_seconds_max: float = 30.0
    keepalive_seconds: float = 75.0

    def __post_init__(self) -> None:
        """Bring names to lower case, and refuse what could not be meant.

        Raises:
            InvalidArgumentError: a limit that lets nothing in, or a header that carries a secret.
        """
        for field in ("hosts", "origins", "headers"):
            lowered = frozenset(name.lower().rstrip("/") for name in getattr(self, field))
            object.__setattr__(self, field, lowered)
        for name in sorted(self.headers):
            if is_secret(name):
                message = (
                    f"the header {name!r} carries a secret and would be recorded with each call; "
                    f"check it in front of Holdfast and pass on who the caller is"
                )
                raise InvalidArgumentError(message)
        limits = ("body_bytes_max", "head_seconds_max", "body_seconds_max", "keepalive_seconds")
        for field in limits:
            if not getattr(self, field) > 0:
                message = f"HttpOptions: {field} is {getattr(self, field)}; it must be above 0"
                raise InvalidArgumentError(message)


def is_secret(header: str) -> bool:
    """Whether a header of this name (in lower case) must never be recorded."""
    return any(part in header for part in _SECRET_PARTS)


DEFAULT_OPTIONS = HttpOptions()
"""Loopback manners: nothing from browsers of other sites, nothing secret recorded."""
