"""What a call may say beside whom it reaches and with what, as one value.

Whoever makes a call says these by keyword, at the proxy (``runtime.object(Cart, "sam",
idempotency_key="order-7")``) or beside the argument of a call by name; everything between there and
the runtime passes one ``CallOptions`` on and knows no field of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, TypedDict, get_args

from .callback import Callback, check_callback
from .durations import to_duration
from .errors import InvalidArgumentError
from .identity import Target, exact

Mode = Literal["queue", "interrupt", "steer"]
"""What a call does to the turn under way at its key: wait for it, end it, or tell it something."""


class CallKeywords(TypedDict, total=False):
    """What a handler may say of the calls it makes; all of it may be left out."""

    mode: Mode
    """``"queue"``: it waits for its turn. ``"interrupt"``: whoever holds the turn is cancelled, and
    this goes next. ``"steer"``, for sends: a message that whoever holds the turn may read; unread,
    it waits for its own turn."""

    callback: "Callback | None"
    """Whom to tell the outcome, once, when the call has completed however it did."""


class OutsideCallKeywords(CallKeywords, total=False):
    """What a caller outside of handlers may say; all of it may be left out."""

    idempotency_key: str | None
    """A second call of the same handler and key with it is the first one's duplicate. A handler
    needs none: its calls are made exactly once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How a call is to be treated. What a plain call says is ``PLAIN``.

    Attributes:
        delay: how long a send waits before it takes its place; a call has none.
        idempotency_key: see ``OutsideCallKeywords``.
        mode: see ``CallKeywords``.
        callback: the handler or the URL that is told the outcome; see ``CallKeywords``.
        content_type: of the argument, where that is no JSON; who makes the call does not say it,
            the callee does.
    """

    delay: timedelta | None = None
    idempotency_key: str | None = None
    mode: Mode = "queue"
    callback: Target | str | None = None
    content_type: str | None = None

    @property
    def delay_ms(self) -> int:
        """The delay in milliseconds, 0 for none."""
        return 0 if self.delay is None else round(self.delay.total_seconds() * 1000)

    def with_delay(self, delay: object) -> "CallOptions":
        """These, for a send after ``delay``.

        Raises:
            InvalidArgumentError: it is no timedelta and no number of seconds, or negative.
        """
        checked = _check_delay(delay)
        return self if checked == self.delay else replace(self, delay=checked)


PLAIN: Final = CallOptions()
_INSIDE: Final = frozenset(CallKeywords.__annotations__)
_OUTSIDE: Final = frozenset(OutsideCallKeywords.__annotations__)
_MODES: Final[tuple[Mode, ...]] = get_args(Mode)

IDEMPOTENCY_KEY_BYTES_MAX: Final = 1_024


def inside_options(given: Mapping[str, Any]) -> CallOptions:
    """The options of calls that a handler makes, from its keywords.

    Raises:
        InvalidArgumentError: a keyword that there is not, or a value that does not fit.
    """
    return _make(given, _INSIDE) if given else PLAIN


def outside_options(given: Mapping[str, Any]) -> CallOptions:
    """The options of calls from outside, from the caller's keywords.

    Raises:
        InvalidArgumentError: a keyword that there is not, or a value that does not fit.
    """
    return _make(given, _OUTSIDE) if given else PLAIN


def _make(given: Mapping[str, Any], known: frozenset[str]) -> CallOptions:
    unknown = sorted(given.keys() - known)
    if unknown:
        message = f"a call has no option {', '.join(unknown)}"
        if "idempotency_key" in unknown:
            message += (
                " in a handler, where it is made exactly once without one: use it for calls from "
                "outside"
            )
        elif known:
            message += f"; there are {', '.join(sorted(known))}"
        raise InvalidArgumentError(message)
    return CallOptions(
        idempotency_key=check_idempotency_key(given.get("idempotency_key")),
        mode=check_mode(given.get("mode", "queue")),
        callback=check_callback(given.get("callback")),
    )


def check_mode(mode: object) -> Mode:
    """``mode`` as one there is.

    Raises:
        InvalidArgumentError: there is no such mode.
    """
    for known in _MODES:
        if mode == known:
            return known
    message = f"mode is one of {', '.join(map(repr, _MODES))}, but this is {mode!r:.80}"
    raise InvalidArgumentError(message)


def check_idempotency_key(key: object) -> str | None:
    """``key``, when it can be an idempotency key, or is ``None``.

    Raises:
        InvalidArgumentError: it is no text, empty, longer than 1,024 bytes of UTF-8, or holds a
            lone surrogate.
    """
    if key is None:
        return None
    if not isinstance(key, str):
        message = f"an idempotency key is a str, but this is {type(key).__name__}: {key!r:.80}"
        raise InvalidArgumentError(message)
    key = exact(key)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        message = f"the idempotency key {key!r:.80} is not valid Unicode: {error.reason}"
        raise InvalidArgumentError(message) from None
    if not 1 <= size <= IDEMPOTENCY_KEY_BYTES_MAX:
        message = (
            f"an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX:,} bytes of UTF-8, but this "
            f"one has {size:,}"
        )
        raise InvalidArgumentError(message)
    return key


def _check_delay(delay: object) -> timedelta | None:
    if delay is None:
        return None
    is_negative = delay < timedelta(0) if isinstance(delay, timedelta) else _is_below_zero(delay)
    if is_negative:
        message = f"delay must not be negative, but is {delay}"
        raise InvalidArgumentError(message)
    return to_duration(delay, "delay")


def _is_below_zero(number: object) -> bool:
    return isinstance(number, int | float) and number < 0
