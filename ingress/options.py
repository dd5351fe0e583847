"""What a deployment may choose about the HTTP door. Plain values; every limit has its unit."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..objects.errors import InvalidArgumentError
from .access import NO_TOKENS, Tokens
from .option_checks import check_bool, check_names, check_number

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

_LIMITS = (
    *("body_bytes_max", "target_bytes_max", "head_bytes_max", "headers_max", "bodies_bytes_max"),
    *("requests_max", "waits_max", "connections_max", "head_seconds_max", "body_seconds_max"),
    *("answer_seconds_max", "keepalive_seconds", "answers_bytes_max"),
)
_SECONDS = ("seconds_max", "_seconds")
_PAIRS = (("body_bytes_max", "bodies_bytes_max"), ("target_bytes_max", "head_bytes_max"))


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
        target_bytes_max: a longer request target, path and query, is refused with 414.
        head_bytes_max: a longer head is refused with 431; longer than a target.
        headers_max: more headers are refused with 431.
        bodies_bytes_max: bytes of bodies that are being received, over all requests; beyond it a
            body is refused with 503. At least as large as one body.
        answers_bytes_max: bytes of answers that callers do not take as fast as they come, over all
            connections; beyond it those who have not taken theirs for longest are cut off.
        requests_max: requests being answered at a time, calls that wait for their outcome
            included; beyond it they are refused with 429. Health is always answered.
        waits_max: callers that may wait for a change (``?wait=``) at a time; beyond it they are
            refused with 429. They count among the requests, too.
        connections_max: open connections; beyond it idle ones are closed, and where none is idle
            new ones are answered 503. At most a third of the files that the process may open.
        head_seconds_max: a request whose head is not complete after this long is cut off.
        body_seconds_max: the same for its body, counted from the end of the head.
        answer_seconds_max: a caller that has not taken an answer after this long is cut off.
        keepalive_seconds: how long an idle connection is kept.
        tokens: a request must carry one of these (``authorization: Bearer ...``), each of 16
            characters or more. Only hashes are kept, and no ``repr`` shows any. Without tokens
            whoever reaches the door may come in.
        allow_anonymous: listen also where strangers can come, although there are no tokens.
        unix_mode: the permissions of a unix socket.
    """

    body_bytes_max: int = 32 * 1024 * 1024
    target_bytes_max: int = 8 * 1024
    head_bytes_max: int = 32 * 1024
    headers_max: int = 100
    bodies_bytes_max: int = 256 * 1024 * 1024
    answers_bytes_max: int = 256 * 1024 * 1024
    requests_max: int = 10_000
    waits_max: int = 5_000
    connections_max: int = 10_000
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    head_seconds_max: float = 10.0
    body_seconds_max: float = 30.0
    answer_seconds_max: float = 60.0
    keepalive_seconds: float = 75.0
    tokens: Iterable[str] | Tokens = field(default=NO_TOKENS, repr=False)
    allow_anonymous: bool = False
    unix_mode: int = 0o600

    def __post_init__(self) -> None:
        """Bring names to lower case, and refuse what could not be meant.

        Raises:
            InvalidArgumentError: a limit that lets nothing in, a header that carries a secret, a
                token that can be guessed or not be sent, a host or an origin that no request has,
                or a value of another type.
        """
        if not isinstance(self.tokens, Tokens):
            object.__setattr__(self, "tokens", Tokens(self.tokens))
        for names in ("hosts", "origins", "headers"):
            object.__setattr__(self, names, check_names(names, getattr(self, names)))
        check_bool("allow_anonymous", self.allow_anonymous)
        check_number("unix_mode", self.unix_mode, is_whole=True)
        for name in sorted(self.headers):
            if is_secret(name):
                message = (
                    f"the header {name!r} carries a secret and would be recorded with each call; "
                    f"check it in front of Holdfast and pass on who the caller is"
                )
                raise InvalidArgumentError(message)
        for limit in _LIMITS:
            is_whole = not limit.endswith(_SECONDS)
            check_number(limit, getattr(self, limit), is_whole=is_whole)
            if not getattr(self, limit) > 0:
                message = f"HttpOptions: {limit} is {getattr(self, limit)}; it must be above 0"
                raise InvalidArgumentError(message)
        for smaller, larger in _PAIRS:
            if getattr(self, smaller) > getattr(self, larger):
                message = (
                    f"HttpOptions: {smaller} is {getattr(self, smaller)} and {larger} only "
                    f"{getattr(self, larger)}; raise {larger} as well"
                )
                raise InvalidArgumentError(message)
        if not 0 < self.unix_mode <= 0o777:
            message = f"HttpOptions: unix_mode is {self.unix_mode:#o}; it is at most 0o777"
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
