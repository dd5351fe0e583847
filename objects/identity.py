"""What things are called: objects, invocations, awakeables.

An id says what it names: an invocation's text form begins with ``inv_``, an awakeable's with
``awk_``, so that one pasted where the other belongs fails at the parser with that sentence.

    invocation id   16 bytes: 48 bits of milliseconds since 1970, then 80 random bits.
                    Text: ``inv_`` and 32 hex digits. Sorts by the time of acceptance.
    awakeable id    the invocation id, then the index of the command that made it as u32.
                    Text: ``awk_`` and 40 hex digits.

Ids are never counters: a counter value that was not durable would be given out again after a
crash. This module imports nothing of Holdfast but the errors it raises.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

from msgspec import Struct

from .errors import InvalidArgumentError

InvocationId = NewType("InvocationId", bytes)
"""One call of one handler, as 16 bytes; see ``format_invocation_id`` for its text."""

INVOCATION_ID_BYTES = 16
AWAKEABLE_ID_BYTES = 20
KEY_BYTES_MAX = 512
"""A key is at most this long in UTF-8."""
LABEL_CHARACTERS_MAX = 256


class Target(Struct, frozen=True):
    """A handler of an object, or of a service where ``key`` is ``None``."""

    service: str
    key: str | None
    handler: str

    def __str__(self) -> str:
        """``Assistant/sam/ask``, or ``Mailer/send`` for a service."""
        if self.key is None:
            return f"{self.service}/{self.handler}"
        return f"{self.service}/{self.key}/{self.handler}"


@dataclass(frozen=True, slots=True)
class AwakeableId:
    """The promise that one command of one invocation made."""

    invocation_id: InvocationId
    index: int

    def __str__(self) -> str:
        """``awk_`` and 40 hex digits."""
        return "awk_" + self.invocation_id.hex() + self.index.to_bytes(4, "big").hex()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a failure comes from: the invocation that first ended with it."""

    target: Target
    """Whom it called: ``service``, ``key`` (``None`` for a service) and ``handler``."""
    invocation_id: str
    """Its text id."""

    def __str__(self) -> str:
        """``Assistant/sam/ask (inv_...)``."""
        return f"{self.target} ({self.invocation_id})"


def printable(text: str) -> str:
    """``text`` in one line, with what would move a terminal's cursor as escapes: for logs."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def new_invocation_id(now_ms: int, entropy: bytes) -> InvocationId:
    """The id of an invocation accepted at ``now_ms``, from 10 random bytes."""
    return InvocationId(now_ms.to_bytes(6, "big") + entropy)


def accepted_ms(invocation_id: bytes) -> int:
    """When the invocation was accepted, milliseconds since 1970."""
    return int.from_bytes(invocation_id[:6], "big")


@lru_cache(maxsize=4096)  # An invocation's id is asked for again and again while it runs.
def format_invocation_id(invocation_id: bytes) -> str:
    """``inv_`` and 32 hex digits."""
    return "inv_" + invocation_id.hex()


def parse_invocation_id(text: str) -> InvocationId:
    """The id that ``text`` names.

    Raises:
        InvalidArgumentError: ``text`` is no invocation id; the message says what it is instead.
    """
    return InvocationId(_parse(text, "inv_", INVOCATION_ID_BYTES, "an invocation id"))


def parse_awakeable_id(text: str) -> AwakeableId:
    """The id that ``text`` names.

    Raises:
        InvalidArgumentError: ``text`` is no awakeable id; the message says what it is instead.
    """
    raw = _parse(text, "awk_", AWAKEABLE_ID_BYTES, "an awakeable id")
    invocation_id = InvocationId(raw[:INVOCATION_ID_BYTES])
    return AwakeableId(invocation_id, int.from_bytes(raw[INVOCATION_ID_BYTES:], "big"))


_KINDS = {"inv_": "an invocation id", "awk_": "an awakeable id"}


def _parse(text: object, prefix: str, size: int, kind: str) -> bytes:
    if not isinstance(text, str):
        message = f"expected {kind}, but this is {type(text).__name__}: {text!r:.80}"
        raise InvalidArgumentError(message)
    shown = text if len(text) <= 80 else text[:77] + "..."
    if not text.startswith(prefix):
        found = _KINDS.get(text[:4])
        instead = f"is {found}" if found else f"does not begin with {prefix!r}"
        message = f"expected {kind}, but {shown!r} {instead}"
        raise InvalidArgumentError(message)
    digits = text[len(prefix) :]
    # bytes.fromhex would also take white space and capitals, and one id must have one spelling.
    if len(digits) != 2 * size or not set(digits) <= set("0123456789abcdef"):
        message = f"expected {kind} ({prefix} and {2 * size} hex digits), but found {shown!r}"
        raise InvalidArgumentError(message)
    return bytes.fromhex(digits)


def exact(text: str) -> str:
    """``text`` as a plain ``str``, of the same characters.

    A class of its own may show itself as something else, as ``class Plan(str, Enum)`` does, and
    names are written into keys as they show themselves.
    """
    return text if type(text) is str else str.__str__(text)


def check_label(name: object, kind: str) -> str:
    """``name``, when it can be that of a promise or a signal; ``kind`` says which.

    Raises:
        InvalidArgumentError: it is no text of 1 to 256 characters, or holds a lone surrogate.
    """
    name = exact(name) if isinstance(name, str) else name
    if isinstance(name, str) and 1 <= len(name) <= LABEL_CHARACTERS_MAX:
        try:
            name.encode()
        except UnicodeEncodeError:
            pass
        else:
            return name
    message = (
        f"the name of a {kind} is a str of 1 to {LABEL_CHARACTERS_MAX} characters, not {name!r:.80}"
    )
    raise InvalidArgumentError(message)


def check_key(key: object) -> str:
    """``key``, when it can name an object.

    Raises:
        InvalidArgumentError: it is no text, empty, longer than 512 bytes of UTF-8, or holds a NUL
            or a lone surrogate.
    """
    if not isinstance(key, str):
        message = f"a key is a str, but this one is {type(key).__name__}: {key!r:.80}"
        raise InvalidArgumentError(message)
    if type(key) is not str:
        key = exact(key)
    if "\0" in key:
        message = f"the key {key!r:.80} holds a NUL character, which no key may"
        raise InvalidArgumentError(message)
    if not key:
        message = "a key must not be empty: it names one object, for example a session id"
        raise InvalidArgumentError(message)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        message = f"the key {key!r:.80} is not valid Unicode: {error.reason}"
        raise InvalidArgumentError(message) from None
    if size > KEY_BYTES_MAX:
        message = (
            f"the key {key[:40]!r}... is {size} bytes long, and a key has at most {KEY_BYTES_MAX}; "
            f"use a hash of it as the key and pass the rest as an argument"
        )
        raise InvalidArgumentError(message)
    return key
