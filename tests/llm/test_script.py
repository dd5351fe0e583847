"""The words of a script, which reply a request gets, and what a script that is none is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast import InvalidArgumentError
from holdfast.testing.llm import (
    Reply,
    Usage,
    always,
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
    when,
    with_usage,
)
from holdfast.testing.llm.pieces import split_pieces
from holdfast.testing.llm.request import LlmMessage, LlmRequest
from holdfast.testing.llm.script import Script, ScriptError, ScriptItem
from holdfast.testing.llm.script_file import read_script


def request(text: str, number: int = 1) -> LlmRequest:
    return LlmRequest(
        number=number,
        at_seconds=0.0,
        api="responses",
        model="m",
        messages=(LlmMessage("system", "Be brief."), LlmMessage("user", text)),
        tools=(),
        is_streamed=False,
        headers={},
        body={},
    )


def script(*items: ScriptItem) -> Script:
    made = Script()
    made.extend(items)
    return made


def take(played: Script, *texts: str) -> list[str]:
    return [played.take(request(text)).title for text in texts]


@pytest.mark.parametrize("text", ["", "Hello", " two  words\n", "a\u00e9\U0001f600{}[]", "x" * 40])
def test_pieces_make_the_text_again(text: str) -> None:
    assert "".join(split_pieces(text)) == text


def test_replies_come_in_order() -> None:
    played = script(say("a"), say("b"))
    assert take(played, "1", "2") == ["say('a')", "say('b')"]


def test_a_reply_with_a_condition_comes_before_the_order_and_once() -> None:
    played = script(say("a"), when("rain", say("umbrella")), say("b"))
    titles = take(played, "does it rain?", "does it rain?", "dry")
    assert titles == ["say('umbrella')", "say('a')", "say('b')"]


def test_a_condition_looks_at_the_last_message_only() -> None:
    played = script(when("brief", say("a")), say("b"))
    assert take(played, "long") == ["say('b')"]


def test_a_function_may_be_a_condition_and_a_reply() -> None:
    played = script(
        when(lambda asked: asked.model == "m", lambda asked: say(asked.text), times=None), say("b")
    )
    assert take(played, "x", "y") == ["say('Be brief.\\nx')", "say('Be brief.\\ny')"]


def test_what_is_always_said_comes_after_all_else_in_order() -> None:
    played = script(say("a"), always(say("z")))
    assert take(played, *"1234") == ["say('a')", *["say('z')"] * 3]
    assert played.unused() == []


def test_what_nobody_asked_for_is_named() -> None:
    played = script(when("rain", say("umbrella"), times=2), say("a"), always(say("z")))
    take(played, "rain")
    assert played.unused() == ["when('rain', say('umbrella'))", "say('a')"]


def none_of(*_asked: object) -> Any:
    return None


def broken(_asked: LlmRequest) -> Any:
    message = "no idea"
    raise KeyError(message)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "the script is empty"),
        ([say("a")], "all replies of the script are used up; there were 1"),
        ([say("a"), when("rain", say("b"))], "no reply that is left is for it: when('rain', "),
        ([say("a"), none_of], "none_of: its function gave None, which is no reply"),
        ([say("a"), broken], "broken: its function raised KeyError: 'no idea'"),
        ([say("a"), when(broken, say("b"))], "when(broken, say('b')): its condition raised Key"),
    ],
)
def test_a_request_without_a_reply_is_told_why(items: list[ScriptItem], reason: str) -> None:
    played = script(*items)
    with pytest.raises(ScriptError) as caught:
        take(played, "1", "2")
    assert str(caught.value).startswith(reason)


def test_a_condition_that_raises_uses_up_nothing() -> None:
    played = script(say("a"), when(broken, say("b")))
    with pytest.raises(ScriptError):
        take(played, "1")
    assert len(played.unused()) == 2


def test_a_script_is_added_whole_or_not_at_all() -> None:
    played = script(always(say("z")))
    with pytest.raises(InvalidArgumentError, match=r"say\('b'\) is never reached: always\(say"):
        played.extend([when("x", say("a")), say("b")])
    assert played.unused() == []


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: say(1), "say: text is 1, and it must be a str"),  # type: ignore[arg-type]
    (lambda: say("x" * (1 << 21)), "say: text has 2097152 characters, and at most 1048576 can be"),
    (lambda: say("x", finish="now"), "say: finish is 'now', and not"),  # type: ignore[arg-type]
    (lambda: call_tool(""), "call_tool: name is empty"),
    (lambda: call_tool("f", x=object()), "call_tool('f'): the arguments cannot be written as JSON"),
    (lambda: call_tool("f", x=float("nan")), "call_tool('f'): the arguments cannot be written as "),
    (together, "together: 0 parts, and an answer has 1 to 128"),
    (lambda: together(server_error()), "together: server_error(500) is no message"),
    (lambda: together(slowly(1, say("x"))), "together: slowly(1, say('x')) cannot be part of an"),
    (lambda: together(say("x", finish="length")), "together: say('x', finish='length') cannot be "),
    (lambda: rate_limited(-1), "retry_after is -1, and it must be seconds from 0 to 86400"),
    (lambda: server_error(404), "server_error: status is 404, and it must be a whole number from"),
    (lambda: http_error(200, "fine"), "http_error: status is 200, and it must be a whole number"),
    (lambda: stall(float("inf")), "stall: seconds is inf, and it must be seconds from 0 to 3600"),
    (lambda: stall("2"), "stall: seconds is '2', and it must be seco"),  # type: ignore[arg-type]
    (lambda: stall(1, stall(1)), "stall: stall(1) has a silence already"),
    (lambda: stall(1, say("a b"), after=3), "stall: the number of pieces is 3, and it must be a "),
    (lambda: stall(1, after=1), "stall: hang_up() is no message, as say and call_tool make"),
    (lambda: stall(1, "late"), "stall: 'late' is no reply, as say and"),  # type: ignore[arg-type]
    (lambda: slowly(1, hang_up()), "slowly: hang_up() is no message"),
    (lambda: cut_after(-1), "cut_after: the number of pieces is -1, and it must be a whole number"),
    (lambda: cut_after(11), "cut_after: the number of pieces is 11, and it must be a whole number"),
    (lambda: cut_after(0, say("")), "cut_after: say('') has no pieces"),
    (lambda: fail_after(1, cut_after(2)), "fail_after: cut_after(2) ends early already"),
    (
        lambda: malformed_after(1, stall(1, say("a b"), after=2)),
        "malformed_after: stall(1, say('a b'), after=2) would end before its silence",
    ),
    (lambda: with_usage(3, say("x")), "with_usage: 3 is no Usage"),  # type: ignore[arg-type]
    (lambda: Usage(input_tokens=-1, output_tokens=0), "Usage: input_tokens is -1, and it must be"),
    (
        lambda: Usage(input_tokens=1, output_tokens=1, cached_tokens=2),
        "Usage: cached_tokens is 2, and it must be a whole number from 0 to 1",
    ),
    (lambda: when(3, say("x")), "when: the condition is 3, and it must"),  # type: ignore[arg-type]
    (lambda: when("x", "y"), "when: 'y' is no reply, and no function"),  # type: ignore[arg-type]
    (lambda: when("x", say("y"), times=0), "when: times is 0, and it must be a whole number from"),
    (lambda: always(None), "always: None is no reply, and no function"),  # type: ignore[arg-type]
    (lambda: script("hello"), "reply 1 of the script is 'hello', and"),  # type: ignore[arg-type]
    (lambda: Script().extend("hello"), "the script is 'hello', and it"),  # type: ignore[arg-type]
    (lambda: Script().extend(say("a")), "the script is Reply(title="),  # type: ignore[arg-type]
    (lambda: script(*[say("a")] * 10_001), "the number of replies is 10001, and it must be a "),
]


@pytest.mark.parametrize(("write", "reason"), BAD, ids=[reason[:40] for _write, reason in BAD])
def test_a_script_that_cannot_be_played_is_refused(write: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        write()
    assert caught.value.message.startswith(reason)


def read(directory: Path, text: str) -> list[ScriptItem]:
    path = directory / "script.json"
    path.write_text(text)
    return read_script(path)


ONE_OF_EACH: list[tuple[str, ScriptItem]] = [
    ('{"say": "Hello"}', say("Hello")),
    ('{"say": "Hel", "finish": "length"}', say("Hel", finish="length")),
    ('{"call_tool": "f", "arguments": {"self": 1, "name": "n"}}', call_tool("f", self=1, name="n")),
    ('{"call_tool": "f"}', call_tool("f")),
    ('{"call_tool": "f", "arguments": "{oh"}', call_tool_raw("f", "{oh")),
    ('{"together": [{"say": "a"}, {"call_tool": "f"}]}', together(say("a"), call_tool("f"))),
    ('{"rate_limited": 2}', rate_limited(retry_after=2)),
    ('{"rate_limited": null}', rate_limited()),
    ('{"server_error": 503}', server_error(503)),
    ('{"http_error": 401, "message": "no", "code": "c"}', http_error(401, "no", code="c")),
    ('{"hang_up": true}', hang_up()),
    ('{"stall": null}', stall()),
    ('{"stall": 2, "server_error": 500}', stall(2, server_error())),
    ('{"stall": 2, "after": 1, "say": "a b"}', stall(2, say("a b"), after=1)),
    ('{"cut_after": 3}', cut_after(3)),
    ('{"malformed_after": 0, "say": "a"}', malformed_after(0, say("a"))),
    ('{"fail_after": 1, "slowly": 0.5, "say": "a b"}', fail_after(1, slowly(0.5, say("a b")))),
    (
        '{"usage": {"input_tokens": 9, "output_tokens": 3}, "say": "a"}',
        with_usage(Usage(input_tokens=9, output_tokens=3), say("a")),
    ),
    ('{"when": "rain", "say": "a", "times": 2}', when("rain", say("a"), times=2)),
    ('{"say": "a", "times": null}', always(say("a"))),
]


@pytest.mark.parametrize(("text", "item"), ONE_OF_EACH)
def test_a_file_has_the_words_of_python(text: str, item: ScriptItem, tmp_path: Path) -> None:
    assert read(tmp_path, f"[{text}]") == [item]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", " is no JSON: "),
        ("{}", " is no list of replies"),
        ('[{"say": "a"}, 3]', ", reply 2: 3 is no object"),
        ("[{}]", ", reply 1: it does not say what is answered; use one of say, call_tool, "),
        ('[{"say": 3}]', ", reply 1: say: text is 3, and it must be a str"),
        ('[{"say": "a", "after": 3}]', ", reply 1: 'after' is not for it; it has the keys say, "),
        ('[{"sya": "a"}]', ", reply 1: 'sya' is not for it; it has the keys sya"),
        ('[{"say": "a", "hang_up": true}]', ", reply 1: say and hang_up are two answers; use one"),
        ('[{"hang_up": false}]', ", reply 1: hang_up must be true"),
        ('[{"call_tool": "f", "arguments": [1]}]', ", reply 1: call_tool_raw: arguments is [1], "),
        (
            '[{"slowly": 1}]',
            ", reply 1: slowly stands alone; it needs a say, call_tool or together",
        ),
        ('[{"say": "a", "usage": {"tokens": 1}}]', ", reply 1: usage: got an unexpected keyword "),
        ('[{"say": "a", "usage": {"1": 1}}]', ", reply 1: usage: got an unexpected keyword "),
        ('[{"say": "a", "when": 3}]', ", reply 1: when is 3, and it must be a str"),
        ('[{"say": "a", "times": 0}]', ", reply 1: times is 0, and it must be a whole number"),
        ('[{"together": {"say": "a"}}]', ", reply 1: together is {'say': 'a'}, and it must be a"),
        ('[{"together": [{"stall": 1}]}]', ", reply 1: together: stall(1) is no message"),
    ],
)
def test_a_file_that_cannot_be_played_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'script.json'}{reason}")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be read: No such file or directory"):
        read_script(tmp_path / "none.json")


def test_a_reply_is_named_by_the_words_that_made_it() -> None:
    reply: Reply = stall(2, cut_after(1, say("Hello, Sam")))
    assert str(reply) == "stall(2, cut_after(1, say('Hello, Sam')))"
