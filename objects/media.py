"""Bodies that are not JSON: which content types a handler takes and gives, and as what values.

    accept          parameter       content_type    result
    image/png       bytes           image/png       bytes
    image/*, */*    bytes
    text/...        bytes or str    text/...        bytes or str, as UTF-8
    JSON            any             JSON            any

JSON is ``application/json`` or a type that ends in ``+json``, and what a handler takes and gives
that says nothing. Everything else is raw: the body is the value, byte for byte, and is recorded so.
"""

import base64
import re
from typing import Any, Final

import msgspec

from .errors import InvalidArgumentError, InvalidDefinitionError
from .refusals import describe_type
from .serde import Serde

JSON: Final = "application/json"
ANY: Final = "*/*"
BYTES: Final = "application/octet-stream"

_NAME = r"[a-z0-9!#$&^_.+-]+"
_RANGE: Final = re.compile(rf"\*/\*|{_NAME}/(?:\*|{_NAME})")
_TYPE: Final = re.compile(rf"{_NAME}/{_NAME}(?:; ?[a-z]+=[\w.-]+)*", re.ASCII)
_EXAMPLES: Final = {"accept": "'image/png', 'image/*' or '*/*'", "content_type": "'image/png'"}


def check_media_type(name: str, text: object) -> str | None:
    """``text`` in lower case, when the option ``name`` can be it; ``None`` stays so.

    Raises:
        InvalidDefinitionError: it is no content type, or one without a type for what is sent.
    """
    if text is None:
        return None
    pattern = _RANGE if name == "accept" else _TYPE
    if isinstance(text, str) and pattern.fullmatch(text.lower()):
        return text.lower()
    message = f"{name} is a content type, for example {_EXAMPLES[name]}, but this is {text!r:.80}"
    raise InvalidDefinitionError(message)


def is_json(media_type: str) -> bool:
    """Whether a body of this type is read and written as JSON."""
    plain = media_type.partition(";")[0]
    return plain == JSON or plain.endswith("+json")


def matches(accept: str, media_type: str) -> bool:
    """Whether a handler that accepts this takes a body of this type, both in lower case."""
    if accept in {ANY, media_type}:
        return True
    return accept.endswith("/*") and media_type.startswith(accept[:-1])


def raw_serde(media_type: str, annotation: Any, what: str) -> Serde[Any]:
    """Values of ``annotation`` as bodies of a type that is not JSON.

    Raises:
        InvalidDefinitionError: the annotation is neither bytes, nor str for a text.
    """
    if annotation is bytes:
        return _RAW_BYTES
    if annotation is str and media_type.startswith("text/"):
        return _RAW_TEXT
    found = describe_type(annotation)
    cure = "annotate it with bytes"
    if media_type.startswith("text/"):
        cure = "annotate it with str or bytes"
    message = (
        f"{what} is {found}, and a body of type {media_type!r} is not JSON, so nothing can make "
        f"the one from the other; {cure}, or leave the content type out"
    )
    raise InvalidDefinitionError(message)


def sent_as(accept: str) -> str:
    """The content type of a body that a caller with the class sends to who accepts this."""
    return BYTES if accept == ANY else accept


def to_json(data: bytes, annotation: Any) -> bytes:
    """A raw body as JSON, for where it is a part of JSON: bytes in base64, a text as it is."""
    if annotation is str:
        return msgspec.json.encode(data.decode())
    return b'"' + base64.b64encode(data) + b'"'


class _RawBytes:
    """Bytes as they are."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        if isinstance(value, bytes | bytearray):
            return bytes(value)
        raise _mismatch(bytes, value)

    def decode(self, data: bytes) -> bytes:
        return data


class _RawText:
    """A text as UTF-8."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise _mismatch(str, value)
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            message = f"the text cannot be sent: it is not valid Unicode ({error.reason})"
            raise InvalidArgumentError(message) from None

    def decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            message = f"expected text in UTF-8, but it is not: {error.reason}"
            raise InvalidArgumentError(message) from None


def _mismatch(expected: type, value: Any) -> InvalidArgumentError:
    found = describe_type(type(value))
    return InvalidArgumentError(f"expected {expected.__name__}, as annotated, but found {found}")


_RAW_BYTES: Final = _RawBytes()
_RAW_TEXT: Final = _RawText()
