"""A script in a JSON file, for a server in another process: a list of objects, a reply each.

The words are those of Python, as keys. One says what is answered, the others what befalls it::

    {"say": "Hello", "finish": "length"}
    {"call_tool": "search", "arguments": {"q": "x"}}      a text is sent as it is
    {"together": [{"say": "Let me look."}, {"call_tool": "search"}]}
    {"rate_limited": 2}                                   or null, for no Retry-After
    {"server_error": 503}
    {"http_error": 401, "message": "no such key", "kind": "...", "code": "...", "retry_after": 1}
    {"hang_up": true}

    "usage": {"input_tokens": 10, "output_tokens": 3}     for a say, call_tool or together
    "slowly": 0.1                                         likewise
    "cut_after": 3, "malformed_after": 3, "fail_after": 3 likewise, or alone
    "stall": 2, "after": 3                                for any, or alone; null until released
    "when": "weather"                                     if the last message contains it
    "times": 3                                            for so many requests; null for all
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...objects.errors import InvalidArgumentError
from .bounds import REPLIES_MAX, check_count, check_text, show
from .json_values import is_array, is_object
from .reply import Reply, Usage
from .script import Conditional, ScriptItem
from .words import (
    call_tool,
    call_tool_raw,
    cut_after,
    fail_after,
    hang_up,
    http_error,
    malformed_after,
    rate_limited,
    say,
    server_error,
    slowly,
    stall,
    together,
    with_usage,
)

FILE_BYTES_MAX = 16 << 20


def read_script(path: Path) -> list[ScriptItem]:
    """The script in the file at ``path``.

    Raises:
        InvalidArgumentError: it cannot be read or played; the message names the file and the reply.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            message = f"{path} has more than {FILE_BYTES_MAX >> 20} MiB"
            raise InvalidArgumentError(message)
        value = json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise InvalidArgumentError(message) from None
    except (ValueError, RecursionError) as error:
        message = f"{path} is no JSON: {error}"
        raise InvalidArgumentError(message) from None
    if not is_array(value):
        message = f"{path} is no list of replies"
        raise InvalidArgumentError(message)
    items: list[ScriptItem] = []
    for number, fields in enumerate(value, 1):
        try:
            items.append(_read_item(fields))
        except InvalidArgumentError as error:
            message = f"{path}, reply {number}: {error.message}"
            raise InvalidArgumentError(message) from None
    return items


def _read_item(fields: Any) -> ScriptItem:
    _check_object(fields)
    left = dict(fields)
    matcher = left.pop("when", None)
    times = left.pop("times", 1)
    if matcher is not None:
        check_text("when", matcher)
    if times is not None:
        check_count("times", times, 1, REPLIES_MAX)
    reply = _read_reply(left)
    if matcher is None and times == 1:
        return reply
    return Conditional(matcher=matcher, reply=reply, times=times)


def _read_reply(fields: Any) -> Reply:
    """What is answered, and then what befalls it, from the inside out."""
    _check_object(fields)
    left: dict[str, Any] = dict(fields)
    reply = _read_content(left)
    if "usage" in left:
        reply = with_usage(_read_usage(left.pop("usage")), _need(reply, "usage"))
    if "slowly" in left:
        reply = slowly(left.pop("slowly"), _need(reply, "slowly"))
    for word, end in _ENDS.items():
        if word in left:
            reply = end(left.pop(word), reply)
    if "stall" in left:
        reply = stall(left.pop("stall"), reply, after=left.pop("after", 0))
    if left:
        message = f"{show(next(iter(left)))} is not for it; it has the keys {', '.join(fields)}"
        raise InvalidArgumentError(message)
    if reply is None:
        message = f"it does not say what is answered; use one of {', '.join(_CONTENTS)}"
        raise InvalidArgumentError(message)
    return reply


def _read_content(left: dict[str, Any]) -> Reply | None:
    """What is answered, taken out of ``left``; ``None`` where nothing says it."""
    words = [word for word in _CONTENTS if word in left]
    if len(words) > 1:
        message = f"{' and '.join(words)} are two answers; use one, or together"
        raise InvalidArgumentError(message)
    return _CONTENTS[words[0]](left) if words else None


def _read_say(left: dict[str, Any]) -> Reply:
    return say(left.pop("say"), finish=left.pop("finish", "stop"))


def _read_call_tool(left: dict[str, Any]) -> Reply:
    name, arguments = left.pop("call_tool"), left.pop("arguments", {})
    check_text("call_tool", name)
    if is_object(arguments):
        return call_tool(name, **arguments)
    return call_tool_raw(name, arguments)


def _read_together(left: dict[str, Any]) -> Reply:
    parts = left.pop("together")
    if not is_array(parts):
        message = f"together is {show(parts)}, and it must be a list"
        raise InvalidArgumentError(message)
    return together(*[_read_reply(part) for part in parts])


def _read_rate_limited(left: dict[str, Any]) -> Reply:
    return rate_limited(left.pop("rate_limited"))


def _read_server_error(left: dict[str, Any]) -> Reply:
    return server_error(left.pop("server_error"))


def _read_http_error(left: dict[str, Any]) -> Reply:
    return http_error(
        left.pop("http_error"),
        left.pop("message", "The request was refused."),
        kind=left.pop("kind", "invalid_request_error"),
        code=left.pop("code", None),
        retry_after=left.pop("retry_after", None),
    )


def _read_hang_up(left: dict[str, Any]) -> Reply:
    if left.pop("hang_up") is not True:
        message = "hang_up must be true"
        raise InvalidArgumentError(message)
    return hang_up()


_CONTENTS: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "say": _read_say,
    "call_tool": _read_call_tool,
    "together": _read_together,
    "rate_limited": _read_rate_limited,
    "server_error": _read_server_error,
    "http_error": _read_http_error,
    "hang_up": _read_hang_up,
}

_ENDS: dict[str, Callable[[Any, Reply | None], Reply]] = {
    "cut_after": cut_after,
    "malformed_after": malformed_after,
    "fail_after": fail_after,
}


def _read_usage(fields: Any) -> Usage:
    _check_object(fields)
    try:
        return Usage(**fields)
    except TypeError as error:
        message = f"usage: {str(error).removeprefix('Usage.__init__() ')}"
        raise InvalidArgumentError(message) from None


def _need(reply: Reply | None, word: str) -> Reply:
    if reply is None:
        message = f"{word} stands alone; it needs a say, call_tool or together"
        raise InvalidArgumentError(message)
    return reply


def _check_object(fields: Any) -> None:
    if not is_object(fields):
        message = f"{show(fields)} is no object"
        raise InvalidArgumentError(message)
