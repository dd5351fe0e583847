"""Functions of SQLite that can take hours in one go, where nobody asks for the time, made anew.

``instr`` and ``replace`` compare at each place anew: 400 KB of zeros searched for 200 KB of them
take three seconds, and the largest text that there may be a day. Here what is searched for is
short, and what comes out no larger than any text may be.

``trim`` and its kind look for each character of one text in another, and so does ``unhex``: here
they are short as well. ``json_patch`` compares the names of two objects, each with each; it makes
nothing that a query needs, so there is none.
"""

from collections.abc import Callable
from typing import Final

from ...objects.errors import InvalidArgumentError

PATTERN_MAX: Final = 256
"""Characters, as for LIKE and GLOB."""
TRIMMED_MAX: Final = 1 << 20
"""Characters that are looked at while nobody else can work."""
FORBIDDEN: Final = frozenset({"json_patch", "jsonb_patch", "load_extension"})

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


def make_trim(name: str) -> Callable[[Argument, Argument], str | None]:
    """``trim``, ``ltrim`` or ``rtrim`` with characters of one's own."""
    strip: Callable[[str, str], str] = getattr(str, name.replace("trim", "strip"))

    def trim(where: Argument, what: Argument) -> str | None:
        if where is None or what is None:
            return None
        text, sought = _text(where), _text(what)
        _check(name, len(sought))
        if len(text) > TRIMMED_MAX:
            message = f"{name}() takes at most {TRIMMED_MAX} characters, not {len(text)}"
            raise InvalidArgumentError(message)
        return strip(text, sought)

    return trim


def unhex(_digits: Argument, _ignored: Argument) -> bytes:
    """Refuse.

    Raises:
        InvalidArgumentError: always.
    """
    message = "unhex() takes one argument here: the digits, with nothing between them"
    raise InvalidArgumentError(message)


def _text(value: str | bytes | float) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check(function: str, size: int) -> None:
    if size > PATTERN_MAX:
        message = f"{function}() looks for at most {PATTERN_MAX} characters, not for {size}"
        raise InvalidArgumentError(message)
