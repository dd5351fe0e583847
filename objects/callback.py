"""Whom an invocation tells its outcome when it completes, and what they are told.

A handler is told by an ordinary call, whose one argument is a ``Completed``. A URL is told by a
POST of the same as JSON. Who makes the call or the POST is not known here.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import msgspec

from .errors import InvalidArgumentError, TerminalError
from .identity import Target, check_key, exact

if TYPE_CHECKING:
    from .handle import Handle

URL_CHARACTERS_MAX: Final = 2_048
LABEL_CHARACTERS_MAX: Final = 63
"""Of a part of a host's name."""

Callback: TypeAlias = "Handle[..., Any] | Target | str"
"""A handler within reach (``runtime.object(Inbox, "sam").done``), its ``Target``, or a URL."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedFailure:
    """Why an invocation failed, for a callback.

    Attributes:
        code: its ``status_code``.
        message: what it said.
        type: the name of the exception's class, for example ``"ValueError"``.
        metadata: small facts, text to text.
    """

    code: int
    message: str
    type: str
    metadata: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a callback is told of an invocation: its one argument, or the body of a POST.

    Attributes:
        invocation_id: of the invocation that has completed.
        service: whom it called: the name of the class,
        key: the key, ``None`` for a service,
        handler: and the name of the handler.
        status: how it ended. One that was canceled, killed or refused has failed.
        result: what it returned, as its JSON says; ``None`` when it failed.
        error: why it failed; ``None`` when it did not.
        completed_at: when, in UTC.
        restarted_from: the invocation that this one was restarted from, whose outcome was told
            before; ``None`` for any other.
    """

    invocation_id: str
    service: str
    key: str | None
    handler: str
    status: Literal["success", "failure"]
    result: Any = None
    error: CompletedFailure | None = None
    completed_at: datetime
    restarted_from: str | None = None


def encode_completed(
    invocation_id: str,
    target: Target,
    outcome: bytes | TerminalError,
    completed_ms: int,
    restarted_from: str | None = None,
) -> bytes:
    """The JSON of a ``Completed``; a result goes into it as it was recorded."""
    error = None
    if isinstance(outcome, TerminalError):
        error = CompletedFailure(
            code=outcome.status_code,
            message=outcome.message,
            type=outcome.type_name,
            metadata=dict(outcome.metadata),
        )
    return msgspec.json.encode(
        Completed(
            invocation_id=invocation_id,
            service=target.service,
            key=target.key,
            handler=target.handler,
            status="success" if error is None else "failure",
            result=msgspec.Raw(outcome) if isinstance(outcome, bytes) and outcome else None,
            error=error,
            completed_at=_EPOCH + timedelta(milliseconds=completed_ms),
            restarted_from=restarted_from,
        )
    )


def check_callback(callback: object) -> Target | str | None:
    """``callback`` as whom to tell: a handler, or a URL.

    Raises:
        InvalidArgumentError: it is neither.
    """
    if callback is None:
        return None
    if isinstance(callback, str):
        return check_url(callback)
    target = callback if isinstance(callback, Target) else getattr(callback, "target", None)
    if not isinstance(target, Target):
        message = (
            f"callback is a handler within reach, as in callback=runtime.object(Inbox, 'sam').done,"
            f" a Target, or a URL; but this is {type(callback).__name__}: {callback!r:.80}"
        )
        raise InvalidArgumentError(message)
    names = cast("tuple[object, ...]", (target.service, target.handler))
    if not all(isinstance(name, str) for name in names):
        message = f"a callback's Target names a service and a handler, but this is {target!r:.120}"
        raise InvalidArgumentError(message)
    key = None if target.key is None else check_key(target.key)
    return Target(exact(target.service), key, exact(target.handler))


def check_url(url: str) -> str:
    """``url``, when it can be told something.

    Raises:
        InvalidArgumentError: it is no URL of http or https with a host, it is too long, or it holds
            what would be recorded in the clear (a password) or never sent (a fragment).
    """
    problem = _find_url_problem(url)
    if problem is None:
        return url
    # Not quoted where there may be a password: a message may end up in a log.
    shown = "URL" if "@" in url else f"{url!r:.120}"
    message = f"the callback {shown} {problem}"
    raise InvalidArgumentError(message)


def _find_url_problem(url: str) -> str | None:  # one line for each
    if len(url) > URL_CHARACTERS_MAX:
        return f"is {len(url):,} characters long, and a URL has at most {URL_CHARACTERS_MAX:,}"
    if not url.isprintable() or " " in url or not _is_unicode(url):
        return "holds a space or a character that no URL has; percent-encode it"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    if parts.scheme not in {"http", "https"}:
        return "is no URL of http:// or https://; a handler is named by a handle or a Target"
    if not parts.hostname or port == 0 or not _is_host(parts.hostname):
        return "names no host that could be reached"
    if parts.username is not None or parts.password is not None:
        return "holds a user or a password, and would be recorded as it is; leave them out"
    if parts.fragment:
        return "ends in a fragment (#...), which is never sent; leave it out"
    return None


def _is_host(name: str) -> bool:
    """Whether a resolver would take it: of a name no part is empty, or too long."""
    labels = name.removesuffix(".").split(".")
    return ":" in name or all(1 <= len(label) <= LABEL_CHARACTERS_MAX for label in labels)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
