"""What a person or a program gives where a whole number is asked for."""

from .errors import InvalidArgumentError


def check_whole(value: object, what: str) -> int:
    """``value``, when it is a whole number; ``what`` is named in the message.

    Raises:
        InvalidArgumentError: it is none. ``True`` is none either.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    message = f"{what} is a whole number, but this is {type(value).__name__}: {value!r:.80}"
    raise InvalidArgumentError(message)
