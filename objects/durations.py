"""Durations as users give them: a ``timedelta``, or a number of seconds."""

from datetime import timedelta

from .errors import InvalidArgumentError


def to_duration(duration: object, what: str) -> timedelta:
    """``duration`` as a ``timedelta``, no less than nothing; ``what`` is named in the message.

    Raises:
        InvalidArgumentError: it is no duration.
    """
    if isinstance(duration, int | float):
        try:
            duration = timedelta(seconds=duration)
        except (OverflowError, ValueError):
            message = f"{duration!r:.40} seconds is no duration that a timer can wait"
            raise InvalidArgumentError(message) from None
    if not isinstance(duration, timedelta):
        message = (
            f"{what} is a timedelta or a number of seconds, but this is "
            f"{type(duration).__name__}: {duration!r:.80}"
        )
        raise InvalidArgumentError(message)
    return max(duration, timedelta(0))
