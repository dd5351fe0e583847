"""The words of a script: each makes a ``Reply``, or changes one.

They check what they are given, so that a reply that could not be played is refused in the line that
asks for it and not in the middle of a test.
"""

import json
from dataclasses import replace
from typing import Any, Literal

from ...objects.errors import InvalidArgumentError
from .bounds import (
    PARTS_MAX,
    RETRY_AFTER_SECONDS_MAX,
    SECONDS_MAX,
    TOKENS_MAX,
    check_count,
    check_seconds,
    check_text,
    clip,
    show,
)
from .reply import Break, Failure, Finish, Message, NoAnswer, Reply, Silence, Text, ToolCall, Usage

_TEN_WORDS = "One two three four five six seven eight nine ten"


def say(text: str, *, finish: Finish = "stop") -> Reply:
    """The model answers with ``text``.

    Args:
        text: the whole answer. A stream sends it in pieces, about a word each.
        finish: ``"length"`` or ``"content_filter"`` for an answer that is incomplete.

    Raises:
        InvalidArgumentError: ``text`` is no text or is too long, or ``finish`` is unknown.
    """
    check_text("say: text", text)
    if finish not in {"stop", "length", "content_filter"}:
        message = f"say: finish is {show(finish)}, and not 'stop', 'length' or 'content_filter'"
        raise InvalidArgumentError(message)
    ending = None if finish == "stop" else f"finish={finish!r}"
    return Reply(title=_title("say", show(text), ending), content=Message((Text(text),), finish))


def call_tool(name: str, /, **arguments: Any) -> Reply:
    """The model asks for one call of the tool ``name`` with these arguments.

    Raises:
        InvalidArgumentError: the name is empty, or the arguments cannot be written as JSON.
    """
    try:
        text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"call_tool({show(name)}): the arguments cannot be written as JSON: {error}"
        raise InvalidArgumentError(message) from None
    reply = call_tool_raw(name, text)
    shown = [f"{key}={show(value)}" for key, value in arguments.items()]
    return replace(reply, title=_title("call_tool", show(name), *shown))


def call_tool_raw(name: str, arguments: str) -> Reply:
    """As ``call_tool``, with the arguments as the model spells them: also JSON that is none.

    Raises:
        InvalidArgumentError: the name is empty, or something is no text or is too long.
    """
    check_text("call_tool: name", name)
    if not name:
        message = "call_tool: name is empty"
        raise InvalidArgumentError(message)
    check_text("call_tool_raw: arguments", arguments)
    title = _title("call_tool_raw", show(name), show(arguments))
    return Reply(title=title, content=Message((ToolCall(name, arguments),)))


def together(*replies: Reply) -> Reply:
    """One answer that holds all of these: text and calls of tools, or several calls at once.

    Raises:
        InvalidArgumentError: there is none or there are too many, or one is more than a plain
            ``say`` or ``call_tool``.
    """
    parts = [part for reply in replies for part in _get_plain_parts(reply)]
    if not 1 <= len(parts) <= PARTS_MAX:
        message = f"together: {len(parts)} parts, and an answer has 1 to {PARTS_MAX}"
        raise InvalidArgumentError(message)
    title = _title("together", *[reply.title for reply in replies])
    return Reply(title=title, content=Message(tuple(parts)))


def _get_plain_parts(reply: Any) -> tuple[Text | ToolCall, ...]:
    content = _get_message("together", reply)
    if reply != Reply(title=reply.title, content=Message(content.parts)):
        message = (
            f"together: {reply.title} cannot be part of an answer; it takes plain say and "
            "call_tool, and the other words go around it"
        )
        raise InvalidArgumentError(message)
    return content.parts


def rate_limited(retry_after: float | None = None) -> Reply:
    """429, as of a provider that is asked too often; with ``Retry-After`` where given, in seconds.

    Raises:
        InvalidArgumentError: ``retry_after`` is no number of seconds from 0 to a day.
    """
    reply = http_error(
        429,
        "Rate limit reached for requests.",
        kind="requests",
        code="rate_limit_exceeded",
        retry_after=retry_after,
    )
    shown = None if retry_after is None else f"retry_after={retry_after:g}"
    return replace(reply, title=_title("rate_limited", shown))


def server_error(status: int = 500) -> Reply:
    """A 5xx of the provider.

    Raises:
        InvalidArgumentError: ``status`` is none from 500 to 599.
    """
    check_count("server_error: status", status, 500, 599)
    reply = http_error(
        status, "The server had an error while processing your request.", kind="server_error"
    )
    return replace(reply, title=_title("server_error", str(status)))


def http_error(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    retry_after: float | None = None,
) -> Reply:
    """Any other error: ``http_error(401, "Incorrect API key", code="invalid_api_key")``.

    Args:
        status: 400 to 599.
        message: what the error says.
        kind: the ``type`` of OpenAI's error object.
        code: its ``code``.
        retry_after: seconds for the header ``Retry-After``, which has them rounded up;
            ``retry-after-ms`` has them exact.

    Raises:
        InvalidArgumentError: an argument is out of its range.
    """
    check_count("http_error: status", status, 400, 599)
    check_text("http_error: message", message)
    check_text("http_error: kind", kind)
    if code is not None:
        check_text("http_error: code", code)
    if retry_after is not None:
        check_seconds("retry_after", retry_after, RETRY_AFTER_SECONDS_MAX)
    failure = Failure(
        status=status, message=message, kind=kind, code=code, retry_after_seconds=retry_after
    )
    return Reply(title=_title("http_error", str(status), show(message)), content=failure)


def hang_up() -> Reply:
    """The connection ends, and not a byte of an answer has come."""
    return Reply(title="hang_up()", content=NoAnswer())


def stall(seconds: float | None = None, reply: Reply | None = None, *, after: int = 0) -> Reply:
    """Silence, and then ``reply``, or the end of the connection where there is none.

    Args:
        seconds: how long; ``None`` for until ``LlmServer.release``, or until the caller leaves.
        reply: what is answered after it.
        after: in a stream, how many pieces of ``reply`` come before the silence. An answer that is
            not streamed has its silence first in any case.

    Raises:
        InvalidArgumentError: the time is out of range, the reply has a silence already, or has
            fewer than ``after`` pieces, or more than that never come.
    """
    if seconds is not None:
        check_seconds("stall: seconds", seconds, SECONDS_MAX)
    inner = hang_up() if reply is None else _get_reply("stall", reply)
    if inner.silence is not None:
        message = f"stall: {inner.title} has a silence already"
        raise InvalidArgumentError(message)
    check_count("stall: after", after, 0, TOKENS_MAX)
    if after:
        _check_after("stall", inner, after)
    title = _title(
        "stall",
        None if seconds is None and reply is None else show(seconds),
        None if reply is None else reply.title,
        f"after={after}" if after else None,
    )
    return replace(inner, title=title, silence=Silence(seconds, after))


def slowly(pace: float, reply: Reply) -> Reply:
    """``reply``, each of whose pieces takes ``pace`` seconds.

    An answer that is not streamed takes as long as all of them, and comes whole.

    Raises:
        InvalidArgumentError: the pace is out of range, or the reply is no message.
    """
    check_seconds("slowly: pace", pace, SECONDS_MAX)
    _get_message("slowly", reply)
    return replace(reply, title=_title("slowly", show(pace), reply.title), pace_seconds=pace)


def with_usage(usage: Usage, reply: Reply) -> Reply:
    """``reply``, which says that it cost ``usage``.

    Raises:
        InvalidArgumentError: ``usage`` is no ``Usage``, or the reply is no message.
    """
    _check_usage(usage)
    _get_message("with_usage", reply)
    return replace(reply, title=_title("with_usage", "...", reply.title), usage=usage)


def cut_after(pieces: int, reply: Reply | None = None) -> Reply:
    """The connection is cut after so many pieces of ``reply``, or of ten words.

    An answer that is not streamed is cut in the middle of its body, after a head that announced
    the whole of it.

    Raises:
        InvalidArgumentError: ``pieces`` is negative or more than there are, the reply is no
            message, or it ends early already.
    """
    return _end_early("cut_after", "cut", pieces, reply)


def malformed_after(pieces: int, reply: Reply | None = None) -> Reply:
    """After so many pieces of ``reply``, or of ten words, comes JSON that is none, and the end.

    An answer that is not streamed has half of its JSON for a body.

    Raises:
        InvalidArgumentError: as for ``cut_after``.
    """
    return _end_early("malformed_after", "malformed", pieces, reply)


def fail_after(pieces: int, reply: Reply | None = None) -> Reply:
    """After so many pieces of ``reply``, or of ten words, the stream says that the provider failed.

    An answer that is not streamed is a 500.

    Raises:
        InvalidArgumentError: as for ``cut_after``.
    """
    return _end_early("fail_after", "failed", pieces, reply)


def _end_early(
    word: str, how: Literal["cut", "malformed", "failed"], pieces: int, reply: Reply | None
) -> Reply:
    inner = say(_TEN_WORDS) if reply is None else _get_reply(word, reply)
    _check_after(word, inner, pieces)
    if inner.ends is not None:
        message = f"{word}: {inner.title} ends early already"
        raise InvalidArgumentError(message)
    if inner.silence is not None and inner.silence.after_pieces > pieces:
        message = f"{word}: {inner.title} would end before its silence"
        raise InvalidArgumentError(message)
    title = _title(word, str(pieces), None if reply is None else reply.title)
    return replace(inner, title=title, ends=Break(how, pieces))


def _get_reply(word: str, reply: Any) -> Reply:
    if not isinstance(reply, Reply):
        message = f"{word}: {show(reply)} is no reply, as say and call_tool make"
        raise InvalidArgumentError(message)
    return reply


def _get_message(word: str, reply: Any) -> Message:
    content = _get_reply(word, reply).content
    if not isinstance(content, Message):
        message = f"{word}: {reply.title} is no message, as say and call_tool make"
        raise InvalidArgumentError(message)
    return content


def _check_usage(usage: Any) -> None:
    if not isinstance(usage, Usage):
        message = f"with_usage: {show(usage)} is no Usage"
        raise InvalidArgumentError(message)


def _check_after(word: str, reply: Reply, pieces: int) -> None:
    """Refuse a place in ``reply`` that no stream comes to."""
    there = _get_message(word, reply).count_pieces()
    if reply.ends is not None:
        there = min(there, reply.ends.after_pieces)
    if not there:
        message = f"{word}: {reply.title} has no pieces"
        raise InvalidArgumentError(message)
    check_count(f"{word}: the number of pieces", pieces, 0, there)


def _title(word: str, *parts: str | None) -> str:
    return clip(f"{word}({', '.join(part for part in parts if part is not None)})")
