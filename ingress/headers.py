"""The request headers that mean something here, and those that are handed on to the handler."""

from collections.abc import Iterable, Mapping

from ..objects.definition import HandlerDefinition
from ..objects.errors import InvalidArgumentError
from ..objects.media import JSON, matches
from .options import HEADERS_PASSED, HttpOptions
from .problems import Refusal, RefusedError

IDEMPOTENCY_KEY_BYTES_MAX = 1024


def check_json(headers: Mapping[str, str]) -> None:
    """Make sure that the body is said to be JSON.

    It is also what keeps other sites' forms out: a browser asks first before it sends this type
    across sites.

    Raises:
        InvalidArgumentError: no content type, another one, or a charset that is not UTF-8.
    """
    content_type = headers.get("content-type")
    if content_type == JSON:
        return
    if not content_type:
        raise missing_content_type()
    media_type, charset = split_content_type(content_type)
    if media_type != JSON:
        message = (
            f"input validation error: Content-type '{content_type:.80}' does not match "
            f"'application/json'"
        )
        raise InvalidArgumentError(message)
    if charset not in {"utf-8", "utf8"}:
        message = f"input validation error: JSON is UTF-8, but the charset is '{charset:.80}'"
        raise InvalidArgumentError(message)


def check_content_type(headers: Mapping[str, str], handler: HandlerDefinition) -> None:
    """Make sure that the body is said to be what a handler accepts; as ``check_json`` for JSON.

    Raises:
        InvalidArgumentError: no content type, another one, or a text that is not UTF-8.
    """
    accept = handler.accept
    if accept == JSON:
        check_json(headers)
        return
    content_type = headers.get("content-type")
    if not content_type:
        raise missing_content_type(accept)
    media_type, charset = split_content_type(content_type)
    if not matches(accept, media_type):
        message = (
            f"input validation error: Content-type '{content_type:.80}' does not match '{accept}'"
        )
        raise InvalidArgumentError(message)
    is_bytes = handler.takes_raw and handler.parameters[0].annotation is bytes
    if not is_bytes and charset not in {"utf-8", "utf8", "us-ascii"}:
        message = f"input validation error: text is UTF-8, but the charset is '{charset:.80}'"
        raise InvalidArgumentError(message)


def missing_content_type(accept: str = JSON) -> InvalidArgumentError:
    """The refusal of a body that is not said to be anything."""
    message = f"input validation error: Empty content-type; send {accept}"
    return InvalidArgumentError(message)


def split_content_type(content_type: str) -> tuple[str, str]:
    """The media type and the charset, both in lower case; UTF-8 where none is given."""
    media_type, *parameters = content_type.lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return media_type.strip(), value.strip().strip('"')
    return media_type.strip(), "utf-8"


def check_not_encoded(headers: Mapping[str, str]) -> None:
    """Refuse compressed bodies: a small one may be a very large one.

    Raises:
        RefusedError: the body is encoded.
    """
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        message = f"the body is encoded as {encoding!r:.80}; send it as it is"
        raise RefusedError(Refusal.ENCODED, message, {"accept-encoding": "identity"})


def check_length(headers: Mapping[str, str], options: HttpOptions) -> None:
    """Refuse a body that is said to be too long before any of it is read.

    Raises:
        RefusedError: the body is said to be too long.
        InvalidArgumentError: its length is no number.
    """
    text = headers.get("content-length")
    if text is None:
        return
    # The length of the text is checked first: ``int`` refuses very long ones with another error.
    if not text.isascii() or not text.isdigit():
        message = f"the content-length {text!r:.80} is no number"
        raise InvalidArgumentError(message)
    if len(text) > 15 or int(text) > options.body_bytes_max:
        raise too_large(options)


def too_large(options: HttpOptions) -> RefusedError:
    """The refusal of a body over the limit."""
    message = (
        f"the body is longer than {options.body_bytes_max} bytes; pass large data by reference, "
        f"or raise HttpOptions.body_bytes_max"
    )
    return RefusedError(Refusal.TOO_LARGE, message)


def find_idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The idempotency key of the request.

    Raises:
        InvalidArgumentError: it is empty, too long, or not UTF-8.
    """
    key = headers.get("idempotency-key")
    return None if key is None else check_idempotency_key(key, "the idempotency-key header")


def check_idempotency_key(key: str, where: str) -> str:
    """``key``, when it can be one; ``where`` it stands is for messages.

    Raises:
        InvalidArgumentError: it is empty, too long, or not UTF-8.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        message = f"{where} is not UTF-8"
        raise InvalidArgumentError(message) from None
    if not 0 < size <= IDEMPOTENCY_KEY_BYTES_MAX:
        message = f"{where} is {size} bytes long; it has 1 to {IDEMPOTENCY_KEY_BYTES_MAX}"
        raise InvalidArgumentError(message)
    return key


def passed_headers(
    headers: Mapping[str, str], options: HttpOptions, more: Iterable[str] = ()
) -> dict[str, str]:
    """What the handler sees of the headers. It is recorded, so it is a list of what is let in."""
    passed: dict[str, str] = {}
    for name in HEADERS_PASSED:
        value = headers.get(name)
        if value is not None:
            passed[name] = _readable(value)
    for name in (*options.headers, *more):
        value = headers.get(name)
        if value is not None:
            passed[name] = _readable(value)
    return passed


def _readable(value: str) -> str:
    if value.isascii():
        return value
    # A transport hands on bytes that are not UTF-8 as lone surrogates; HTTP once meant Latin-1.
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode("utf-8")
