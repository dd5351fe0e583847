"""An answer as the bytes of HTTP/1.1, in one piece."""

import re
from http import HTTPStatus
from typing import Final

from aiohttp.helpers import rfc822_formatted_time

from .messages import Response

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}
# They have no body, and say nothing of its length.
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def encode_response(response: Response, *, closes: bool) -> bytes:
    """``response`` as it is sent to whoever asked with another method than HEAD.

    Args:
        response: with a final status.
        closes: whether it is the last one of its connection, which it then says.

    Raises:
        ValueError: a header would be read as more than one.
    """
    status, body = response.status, response.body
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    for name, value in response.headers.items():
        # The cheap question first: nearly all values are printable.
        if not value.isprintable() and _FORBIDDEN.search(value):
            message = f"the header {name} holds a control character"
            raise ValueError(message)
        lines.append(f"{name}: {value}\r\n")
    if status in _BODILESS:
        body = b""
    else:
        lines.append(f"content-length: {len(body)}\r\n")
        if body and "content-type" not in response.headers:
            lines.append("content-type: application/octet-stream\r\n")
    end = "connection: close\r\n\r\n" if closes else "\r\n"
    lines.append(f"server: holdfast\r\ndate: {rfc822_formatted_time()}\r\n{end}")
    # What stands for bytes that were no text is left out, as aiohttp does.
    return "".join(lines).encode("utf-8", "ignore") + body
