"""Times as they are recorded, milliseconds since 1970, as what Python calls a ``datetime``."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_LAST_MS: Final = (_LAST - _EPOCH) // timedelta(milliseconds=1)


def moment_of(time_ms: int) -> datetime:
    """The moment, in UTC; of a later one than a ``datetime`` can hold, the last one that it can.

    Whoever sleeps for ever says so with a large number, and is to be looked at all the same.
    """
    return _LAST if time_ms > _LAST_MS else _EPOCH + timedelta(milliseconds=time_ms)
