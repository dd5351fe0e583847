"""The bounds of a script, and the sentences that refuse what is beyond them."""

import math
from typing import Any

from ...objects.errors import InvalidArgumentError

TEXT_CHARS_MAX = 1 << 20
PARTS_MAX = 128
SECONDS_MAX = 3600.0
RETRY_AFTER_SECONDS_MAX = 86_400.0
TOKENS_MAX = 1_000_000_000
REPLIES_MAX = 10_000
REQUESTS_MAX = 10_000
REQUEST_BYTES_MAX = 256 << 20
"""Of the bodies of all recorded requests together."""
BODY_BYTES_MAX = 32 << 20
UNDER_WAY_MAX = 1_000

_SHOWN_CHARS_MAX = 60


def check_text(what: str, text: Any) -> None:
    """Refuse what is no text of a size that can be sent.

    Raises:
        InvalidArgumentError: it is no ``str``, or longer than ``TEXT_CHARS_MAX``.
    """
    if not isinstance(text, str):
        message = f"{what} is {show(text)}, and it must be a str"
        raise InvalidArgumentError(message)
    if len(text) > TEXT_CHARS_MAX:
        message = f"{what} has {len(text)} characters, and at most {TEXT_CHARS_MAX} can be said"
        raise InvalidArgumentError(message)


def check_seconds(what: str, seconds: Any, seconds_max: float) -> None:
    """Refuse what is no time from 0 to ``seconds_max`` seconds.

    Raises:
        InvalidArgumentError: it is something else.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or not 0 <= seconds <= seconds_max:
        message = f"{what} is {show(seconds)}, and it must be seconds from 0 to {seconds_max:g}"
        raise InvalidArgumentError(message)


def check_count(what: str, count: Any, least: int, most: int) -> None:
    """Refuse what is no whole number from ``least`` to ``most``.

    Raises:
        InvalidArgumentError: it is something else.
    """
    if not isinstance(count, int) or isinstance(count, bool) or not least <= count <= most:
        message = f"{what} is {show(count)}, and it must be a whole number from {least} to {most}"
        raise InvalidArgumentError(message)


def show(value: object) -> str:
    """``value`` as source, short enough for a message."""
    return clip(repr(value))


def clip(text: str) -> str:
    """``text``, on one line and short enough for a message."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS_MAX else f"{line[: _SHOWN_CHARS_MAX - 3]}..."
