"""How long something takes: the text of ``?delay=`` and ``?wait=``, in milliseconds.

    delay     := digits                              plain milliseconds
               | (number blank* unit blank*)+        1h30m, 1h 30m, 1.5s, 10 seconds
               | "P" (number ("W" | "D"))* ["T" (number ("H" | "M" | "S"))+]     PT10S, P1DT12H
    number    := digits ["." digits]
    unit      := w d h m s ms, or one of their longer names

Each unit is given once at most, the larger before the smaller. A fraction of a millisecond is
rounded up, so that nothing starts early. Years and months are refused: they have no fixed length.
"""

import re
from decimal import ROUND_CEILING, Decimal

from ..objects.errors import InvalidArgumentError

DELAY_MS_MAX = 100 * 365 * 86_400_000
"""A hundred years. A longer delay is a slip of the unit."""

_UNIT_MS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_UNIT_NAMES = {
    "w": ("w", "week", "weeks"),
    "d": ("d", "day", "days"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"),
}
_UNIT_BY_NAME = {name: unit for unit, names in _UNIT_NAMES.items() for name in names}

# Fifteen digits hold any delay up to the bound, and keep arithmetic on hostile input cheap.
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)"
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_PART = re.compile(_NUMBER + r" *([a-z]+) *")
_ISO = re.compile(
    r"P(?=.)"
    + "".join(rf"(?:{_NUMBER}{unit})?" for unit in "WD")
    + r"(?:T(?=.)"
    + "".join(rf"(?:{_NUMBER}{unit})?" for unit in "HMS")
    + r")?"
)


def parse_delay(text: str) -> int:
    """The milliseconds that ``?delay=`` means; raises as ``parse_duration``."""
    return parse_duration(text, "delay")


def parse_duration(text: str, parameter: str) -> int:
    """The milliseconds that the text of a query parameter means.

    Raises:
        InvalidArgumentError: it is no duration, or one above a hundred years.
    """
    stripped = text.strip(" ")
    if _MILLISECONDS.fullmatch(stripped):
        delay_ms: Decimal | None = Decimal(stripped)
    elif stripped[:1] in {"P", "p"}:
        delay_ms = _parse_iso(stripped.upper())
    else:
        delay_ms = _parse_parts(stripped.lower())
    if delay_ms is None:
        raise _malformed(text, parameter)
    if delay_ms > DELAY_MS_MAX:
        message = f"bad {parameter} query parameter, {text!r:.80} is longer than a hundred years"
        raise InvalidArgumentError(message)
    return int(delay_ms.to_integral_value(ROUND_CEILING))


def _parse_iso(text: str) -> Decimal | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    numbers = zip(match.groups(), ("w", "d", "h", "m", "s"), strict=True)
    return sum(
        (Decimal(number) * _UNIT_MS[unit] for number, unit in numbers if number is not None),
        Decimal(0),
    )


def _parse_parts(text: str) -> Decimal | None:
    total = Decimal(0)
    position = 0
    smallest_ms: int | None = None
    while position < len(text):
        match = _PART.match(text, position)
        unit = _UNIT_BY_NAME.get(match[2]) if match else None
        if match is None or unit is None:
            return None
        unit_ms = _UNIT_MS[unit]
        if smallest_ms is not None and unit_ms >= smallest_ms:
            return None
        total += Decimal(match[1]) * unit_ms
        smallest_ms = unit_ms
        position = match.end()
    return None if smallest_ms is None else total


def _malformed(shown: str, parameter: str) -> InvalidArgumentError:
    message = (
        f"bad {parameter} query parameter, {shown!r:.80} is no duration: write 10s, 1h30m or "
        f"500ms, an ISO 8601 duration like PT10S, or plain milliseconds"
    )
    return InvalidArgumentError(message)
