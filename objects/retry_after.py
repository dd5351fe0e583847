"""What a ``Retry-After`` header says: so many seconds, or a date. No clock: a date stays one."""

from datetime import UTC, datetime, timedelta


def parse_retry_after(text: str) -> timedelta | datetime | None:
    """The wait, or the moment, that the text of the header names; ``None``: it is neither.

    Providers send whole seconds, some send fractions, and HTTP allows three forms of a date.
    """
    try:
        return find_wait(float(text))
    except ValueError:
        return _parse_date(text)


def find_wait(seconds: float) -> timedelta | None:
    """So many seconds, none where it is negative; ``None`` where no wait has that length."""
    try:
        return max(timedelta(seconds=seconds), timedelta(0))
    except (OverflowError, ValueError):
        return None


def _parse_date(text: str) -> datetime | None:
    # Here, because it is rarely needed, and would take a tenth of the time that the package takes.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # as just said

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
