"""Links by which whoever holds one may complete one awakeable: what the link in an email is.

    /restate/awakeables/{id}/{verb}?expires={seconds since 1970}[&value={value}]&signature={mac}

A link says all that it allows, and is signed whole: one awakeable, resolved or rejected, with one
value where it names one, until one moment. So "approve" and "decline" are two links, and neither
can be made into the other. The runtime signs with a key that it keeps, and nobody else has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from .durations import to_duration
from .errors import InvalidArgumentError
from .identity import AwakeableId
from .serde import SENT_JSON

Verb = Literal["resolve", "reject"]

VALUE_BYTES_MAX: Final = 1024
"""Mail programs cut long links off."""
LIFETIME_MAX: Final = timedelta(days=36_525)

NO_VALUE: Final[Any] = object()
"""Stands for a value that is left out, since ``None`` is one."""

# What is signed begins with what it is for, so that it can never be taken for something else.
_PURPOSE: Final = "holdfast awakeable link 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwakeableLink:
    """What a link allows.

    Attributes:
        awakeable: which one may be completed.
        verb: how.
        expires_s: until when, in seconds since 1970.
        value: with what: JSON to resolve it, a reason to reject it; ``None``: that is left open.
    """

    awakeable: AwakeableId
    verb: Verb
    expires_s: int
    value: str | None

    def to_sign(self) -> bytes:
        """All of it in one spelling; no two links have the same."""
        text = f"{_PURPOSE}\n{self.awakeable}\n{self.verb}\n{self.expires_s}"
        return (text if self.value is None else f"{text}\n{self.value}").encode()

    def url(self, base: str, signature: str) -> str:
        """The link, below ``base``."""
        value = "" if self.value is None else f"&value={quote(self.value, safe='')}"
        return (
            f"{base}/restate/awakeables/{self.awakeable}/{self.verb}?expires={self.expires_s}"
            f"{value}&signature={signature}"
        )


def make_link(  # noqa: PLR0913 - what a link is made of
    awakeable: AwakeableId,
    verb: Verb,
    value: Any,
    *,
    expires_in: timedelta | float,
    base: str,
    now_ms: int,
    sign: Callable[[bytes], str],
) -> str:
    """A signed link.

    Raises:
        InvalidArgumentError: there is no such verb, the value is too long or no value, the time is
            none, or ``base`` is no URL to put a path behind.
    """
    if verb not in {"resolve", "reject"}:
        message = f"a link is to 'resolve' or to 'reject' an awakeable, not to {verb!r:.40}"
        raise InvalidArgumentError(message)
    lifetime = to_duration(expires_in, "expires_in")
    if not timedelta(0) < lifetime <= LIFETIME_MAX:
        message = f"expires_in is {lifetime}; it is above 0 and at most a hundred years"
        raise InvalidArgumentError(message)
    link = AwakeableLink(
        awakeable=awakeable,
        verb=verb,
        expires_s=ceil(now_ms / 1000 + lifetime.total_seconds()),
        value=_encode_value(verb, value),
    )
    return link.url(_check_base(base), sign(link.to_sign()))


def _encode_value(verb: Verb, value: Any) -> str | None:
    if value is NO_VALUE:
        return None
    if verb == "reject":
        if not isinstance(value, str) or not value:
            message = f"a link to reject says why, in a text, and not {value!r:.40}"
            raise InvalidArgumentError(message)
        text = value
    else:
        text = SENT_JSON.encode(value).decode()
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        message = "the value of a link holds half a character (a lone surrogate)"
        raise InvalidArgumentError(message) from None
    if size > VALUE_BYTES_MAX:
        message = (
            f"the value of a link has at most {VALUE_BYTES_MAX:,} bytes, and this one {size:,}; "
            f"keep what is long in the state"
        )
        raise InvalidArgumentError(message)
    return text


def _check_base(base: str) -> str:
    """``base`` without slashes at its end; empty for a link that begins with its path."""
    if not base:
        return ""
    problem = None
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError as error:
        problem = str(error)
    else:
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
            problem = "it is no URL of http or https with a host"
        elif "?" in base or "#" in base or "@" in parts.netloc:
            problem = "it must not have a query, a fragment or a user"
        elif not base.isascii() or not base.isprintable() or set(base) & set(' "<>\\^`{|}'):
            problem = "it holds a character that no URL has; percent-encode it"
    if problem is not None:
        message = (
            f"base is where this server is reached, like https://agents.example.com; {problem}"
        )
        raise InvalidArgumentError(message)
    return base.rstrip("/")
