"""Functions of SQLite that can take hours in one go, where nobody asks for the time, made anew.

``instr`` and ``replace`` compare at each place anew: 400 KB of zeros searched for 200 KB of them
take three seconds, and the largest text that there may be a day. Here what is searched for is
short, and what comes out no larger than any text may be.
"""

from typing import Final

from ...objects.errors import InvalidArgumentError

PATTERN_MAX: Final = 256
"""Characters, as for LIKE and GLOB."""

Argument = str | bytes | int | float | None


def instr(where: Argument, what: Argument) -> int | None:
    """Where ``what`` begins in ``where``, from 1; 0: nowhere."""
    if where is None or what is None:
        return None
    if isinstance(where, bytes) and isinstance(what, bytes):
        _check("instr", len(what))
        return where.find(what) + 1
    sought = _text(what)
    _check("instr", len(sought))
    return _text(where).find(sought) + 1


def replace(where: Argument, what: Argument, by: Argument, *, size_max: int) -> str | None:
    """``where`` with each ``what`` replaced."""
    if where is None or what is None or by is None:
        return None
    text, sought, instead = _text(where), _text(what), _text(by)
    _check("replace", len(sought))
    if not sought:
        return text
    if len(text) + text.count(sought) * len(instead) > size_max:
        message = "string or blob too big"
        raise InvalidArgumentError(message)
    return text.replace(sought, instead)


def _text(value: str | bytes | float) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check(function: str, size: int) -> None:
    if size > PATTERN_MAX:
        message = f"{function}() looks for at most {PATTERN_MAX} characters, not for {size}"
        raise InvalidArgumentError(message)
