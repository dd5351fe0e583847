"""The scripted model over HTTP: exact bytes, every scripted fault, and what is recorded."""

import asyncio
import io
import json
import socket
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from holdfast import InvalidArgumentError
from holdfast.testing import LlmServer as ReExported
from holdfast.testing.llm import (
    LlmRequest,
    LlmServer,
    Reply,
    ScriptItem,
    Usage,
    always,
    call_tool,
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

CHAT = "chat/completions"
RESPONSES = "responses"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


def body_of(api: str, text: str = "Hello?", **more: Any) -> dict[str, Any]:
    if api == CHAT:
        return {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return {"model": "m", "input": text, **more}


async def ask(
    session: aiohttp.ClientSession, server: LlmServer, api: str, text: str = "Hello?", **more: Any
) -> tuple[int, Any]:
    """One request; gives the status, and the body or the events of its stream."""
    async with session.post(f"{server.url}/{api}", json=body_of(api, text, **more)) as response:
        if response.content_type == "text/event-stream":
            return response.status, events_of(await response.read())
        return response.status, await response.json()


def events_of(stream: bytes) -> list[Any]:
    """The data of each event; where an event has a name, it is the type in its data."""
    events: list[Any] = []
    for block in stream.decode().removesuffix("\n\n").split("\n\n"):
        *name, data = block.split("\n")
        event = data.removeprefix("data: ")
        assert data != event
        if event == "[DONE]":
            events.append(event)
            continue
        events.append(json.loads(event))
        if name:
            assert name == [f"event: {events[-1]['type']}"]
    return events


async def read_torn(response: aiohttp.ClientResponse) -> bytes:
    """What came of a body that ends too early."""
    received = b""
    try:
        while chunk := await response.content.readany():
            received += chunk
    except aiohttp.ClientPayloadError:
        return received
    pytest.fail(f"it came to its end: {received!r}")


def outcomes(server: LlmServer) -> list[str]:
    return [each.outcome for each in server.requests]


async def test_a_chat_is_answered_in_full(session: aiohttp.ClientSession) -> None:
    async with LlmServer([together(say("Well."), call_tool("f", x=1), call_tool("g"))]) as server:
        status, answer = await ask(session, server, CHAT)
        mark = answer["id"].removeprefix("chatcmpl-")
        assert (status, answer) == (
            200,
            {
                "id": f"chatcmpl-{mark}",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "m",
                "service_tier": "default",
                "system_fingerprint": "fp_scripted",
                "choices": [
                    {
                        "index": 0,
                        "message": {
                            "role": "assistant",
                            "content": "Well.",
                            "refusal": None,
                            "annotations": [],
                            "tool_calls": [
                                {
                                    "id": f"call_{mark}_2",
                                    "type": "function",
                                    "function": {"name": "f", "arguments": '{"x":1}'},
                                },
                                {
                                    "id": f"call_{mark}_3",
                                    "type": "function",
                                    "function": {"name": "g", "arguments": "{}"},
                                },
                            ],
                        },
                        "logprobs": None,
                        "finish_reason": "tool_calls",
                    }
                ],
                "usage": {
                    "prompt_tokens": 2,
                    "completion_tokens": 10,
                    "total_tokens": 12,
                    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                    "completion_tokens_details": {
                        "reasoning_tokens": 0,
                        "audio_tokens": 0,
                        "accepted_prediction_tokens": 0,
                        "rejected_prediction_tokens": 0,
                    },
                },
            },
        )


async def test_a_chat_streams_chunks_and_says_when_it_is_done(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([together(say("Well, then"), call_tool("f", x=1))]) as server:
        status, events = await ask(session, server, CHAT, stream=True)
        assert outcomes(server) == ["answered"]
    assert status == 200
    *chunks, done = events
    mark = events[0]["id"].removeprefix("chatcmpl-")
    assert done == "[DONE]"
    for chunk in chunks:
        assert (chunk["id"], chunk["object"]) == (f"chatcmpl-{mark}", "chat.completion.chunk")
        assert "usage" not in chunk
    choices = [chunk["choices"][0] for chunk in chunks]
    function = {"name": "f", "arguments": ""}
    opened = {"index": 0, "id": f"call_{mark}_2", "type": "function", "function": function}
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Well"},
        {"content": ","},
        {"content": " then"},
        {"tool_calls": [opened]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [*[None] * 10, "tool_calls"]


async def test_a_stream_of_a_chat_tells_its_usage_when_asked(
    session: aiohttp.ClientSession,
) -> None:
    usage = Usage(input_tokens=900, output_tokens=80, cached_tokens=500, reasoning_tokens=60)
    async with LlmServer([with_usage(usage, say("Well"))]) as server:
        _status, events = await ask(
            session, server, CHAT, stream=True, stream_options={"include_usage": True}
        )
    assert [event["usage"] for event in events[:-2]] == [None] * 3
    assert events[-2]["choices"] == []
    assert events[-2]["usage"]["total_tokens"] == 980
    assert events[-2]["usage"]["prompt_tokens_details"]["cached_tokens"] == 500
    assert events[-2]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 60


async def test_a_response_is_answered_in_full(session: aiohttp.ClientSession) -> None:
    async with LlmServer([together(say("Well."), call_tool("f", x=1))]) as server:
        status, response = await ask(session, server, RESPONSES, instructions="Be brief.")
    assert status == 200
    mark = response["id"].removeprefix("resp_")
    assert response["object"] == "response"
    assert (response["status"], response["error"]) == ("completed", None)
    assert (response["instructions"], response["tool_choice"]) == ("Be brief.", "auto")
    assert response["output"] == [
        {
            "id": f"msg_{mark}_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Well.", "annotations": [], "logprobs": []}
            ],
        },
        {
            "id": f"fc_{mark}_2",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{mark}_2",
            "name": "f",
            "arguments": '{"x":1}',
        },
    ]
    assert response["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    }


async def test_a_response_streams_typed_events_in_order(session: aiohttp.ClientSession) -> None:
    async with LlmServer([together(say("Well."), call_tool("f", x=1))]) as server:
        status, events = await ask(session, server, RESPONSES, stream=True)
        assert outcomes(server) == ["answered"]
    assert status == 200
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    delta = "response.function_call_arguments.delta"
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        *[delta] * 5,
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert "".join(event["delta"] for event in events if event["type"] == delta) == '{"x":1}'
    assert [event["output_index"] for event in events if "output_index" in event] == (
        [0] * 7 + [1] * 8
    )
    assert events[2]["item"]["content"] == []
    assert events[9]["item"]["arguments"] == ""
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["usage"] is None
    assert events[-1]["response"]["status"] == "completed"
    assert events[-1]["response"]["output"] == [events[8]["item"], events[16]["item"]]


async def test_an_incomplete_answer_says_why(session: aiohttp.ClientSession) -> None:
    async with LlmServer([say("Wel", finish="length")] * 3) as server:
        _status, chat = await ask(session, server, CHAT)
        _status, response = await ask(session, server, RESPONSES)
        _status, events = await ask(session, server, RESPONSES, stream=True)
    assert chat["choices"][0]["finish_reason"] == "length"
    assert response["status"] == response["output"][0]["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events[-1]["type"] == "response.incomplete"


@pytest.mark.parametrize("api", [CHAT, RESPONSES])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_prompt_and_reply_give_the_same_bytes_whatever_came_before(
    api: str, session: aiohttp.ClientSession, *, stream: bool
) -> None:
    async with LlmServer([call_tool("f", x=1), cut_after(2), call_tool("f", x=1)]) as server:
        first = await ask(session, server, api, stream=stream)
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(session, server, api, "And why?", stream=stream)
        assert await ask(session, server, api, stream=stream) == first


async def test_another_prompt_or_reply_has_other_ids(session: aiohttp.ClientSession) -> None:
    async with LlmServer([say("a"), say("a"), say("b")]) as server:
        answers = [await ask(session, server, CHAT, text) for text in ("x", "y", "y")]
    assert len({answer["id"] for _status, answer in answers}) == 3


async def test_a_reset_begins_the_script_again_and_forgets(session: aiohttp.ClientSession) -> None:
    script: list[ScriptItem] = [
        stall(None, say("a")),
        when("b?", say("b"), times=2),
        always(say("c")),
    ]
    async with LlmServer(script) as server:
        for text in ("b?", "b?"):
            await ask(session, server, CHAT, text)
        under_way = asyncio.ensure_future(ask(session, server, CHAT))
        await server.wait_requests(outcome="stalled")
        server.reset()
        assert server.requests == []
        assert server.unused == ["stall(None, say('a'))", *["when('b?', say('b'))"] * 2]
        server.release()
        assert (await under_way)[0] == 200
        assert server.requests == []
        await ask(session, server, CHAT, "b?")
        assert [(each.number, each.reply) for each in server.requests] == [(4, "say('b')")]


async def test_a_function_of_the_script_may_reset_it(session: aiohttp.ClientSession) -> None:
    server = LlmServer()

    def forget(_asked: LlmRequest) -> Reply:
        server.reset()
        return say("a")

    server.add(always(forget))
    async with server:
        assert (await ask(session, server, CHAT))[0] == 200
    assert server.requests == []


async def test_a_rate_limit_says_when_to_come_again(session: aiohttp.ClientSession) -> None:
    async with (
        LlmServer([rate_limited(retry_after=1.2), rate_limited()]) as server,
        session.post(f"{server.url}/{CHAT}", json=body_of(CHAT)) as first,
        session.post(f"{server.url}/{CHAT}", json=body_of(CHAT)) as second,
    ):
        assert (first.status, second.status) == (429, 429)
        assert (await first.json())["error"] == {
            "message": "Rate limit reached for requests.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        assert first.headers["retry-after"] == "2"
        assert first.headers["retry-after-ms"] == "1200"
        assert first.headers["x-request-id"] == "req_000001"
        assert "retry-after" not in second.headers
        assert outcomes(server) == ["refused", "refused"]


async def test_a_record_tells_how_long_a_caller_waited(session: aiohttp.ClientSession) -> None:
    async with LlmServer([stall(0.02, rate_limited()), say("Well.")]) as server:
        await ask(session, server, CHAT)
        await ask(session, server, CHAT)
        first, second = server.requests
        assert second.at_seconds - first.at_seconds >= 0.02


async def test_errors_are_as_scripted(session: aiohttp.ClientSession) -> None:
    async with LlmServer([server_error(503), http_error(401, "no", code="c")]) as server:
        assert (await ask(session, server, CHAT, stream=True))[0] == 503
        assert await ask(session, server, RESPONSES) == (
            401,
            {
                "error": {
                    "message": "no",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "c",
                }
            },
        )


@pytest.mark.parametrize("api", [CHAT, RESPONSES])
async def test_a_cut_stream_has_the_pieces_before_the_cut_and_no_end(
    api: str, session: aiohttp.ClientSession
) -> None:
    async with (
        LlmServer([cut_after(3)]) as server,
        session.post(f"{server.url}/{api}", json=body_of(api, stream=True)) as response,
    ):
        received = await read_torn(response)
        assert received.count(b" two") == 1
        assert received.count(b" three") == 1
        assert b" four" not in received
        assert b"DONE" not in received
        assert outcomes(server) == ["broken"]


@pytest.mark.parametrize("api", [CHAT, RESPONSES])
async def test_a_stream_may_be_cut_before_its_first_piece_and_after_its_last(
    api: str, session: aiohttp.ClientSession
) -> None:
    async with LlmServer([cut_after(0, say("only")), cut_after(1, say("only"))]) as server:
        for is_there in (False, True):
            body = body_of(api, stream=True)
            async with session.post(f"{server.url}/{api}", json=body) as response:
                received = await read_torn(response)
                assert b"in_progress" in received or b"role" in received
                assert (b'"only"' in received) is is_there
                assert b'finish_reason":"stop' not in received
                assert b"output_text.done" not in received


async def test_a_cut_answer_ends_in_the_middle_of_its_body(session: aiohttp.ClientSession) -> None:
    async with (
        LlmServer([cut_after(3)]) as server,
        session.post(f"{server.url}/{CHAT}", json=body_of(CHAT)) as response,
    ):
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
        assert outcomes(server) == ["broken"]


async def test_a_malformed_answer_is_no_json(session: aiohttp.ClientSession) -> None:
    async with LlmServer([malformed_after(2)] * 2) as server:
        with pytest.raises(json.JSONDecodeError):
            await ask(session, server, CHAT)
        with pytest.raises(json.JSONDecodeError):
            await ask(session, server, RESPONSES, stream=True)
        assert outcomes(server) == ["broken", "broken"]


async def test_a_provider_may_fail_in_the_middle(session: aiohttp.ClientSession) -> None:
    async with LlmServer([fail_after(2)] * 3) as server:
        _status, chunks = await ask(session, server, CHAT, stream=True)
        assert chunks[-1]["error"]["type"] == "server_error"
        assert len(chunks) == 4
        _status, events = await ask(session, server, RESPONSES, stream=True)
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["error"]["code"] == "server_error"
        assert events[-1]["sequence_number"] == len(events) - 1
        assert (await ask(session, server, RESPONSES))[0] == 500
        assert outcomes(server) == ["broken"] * 3


async def test_a_connection_may_end_without_an_answer(session: aiohttp.ClientSession) -> None:
    async with LlmServer([hang_up(), stall(0)]) as server:
        for _ in range(2):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await ask(session, server, CHAT)
        assert outcomes(server) == ["broken", "broken"]


async def test_a_stall_is_silent_until_it_is_released(session: aiohttp.ClientSession) -> None:
    async with LlmServer([stall(None, say("late"))]) as server:
        asking = asyncio.ensure_future(ask(session, server, CHAT))
        (stalled,) = await server.wait_requests(outcome="stalled")
        assert stalled.last_text == "Hello?"
        assert not asking.done()
        server.release()
        _status, answer = await asking
        assert answer["choices"][0]["message"]["content"] == "late"
        assert outcomes(server) == ["answered"]


async def test_a_release_does_not_touch_a_silence_that_begins_later(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([stall(None, say("a")), stall(None, say("b"))]) as server:
        server.release()
        first = asyncio.ensure_future(ask(session, server, CHAT))
        await server.wait_requests(outcome="stalled")
        server.release()
        await first
        second = asyncio.ensure_future(ask(session, server, CHAT))
        await server.wait_requests(outcome="stalled")
        assert not second.done()
        server.release()
        await second


async def test_a_stream_may_stall_in_the_middle(session: aiohttp.ClientSession) -> None:
    async with (
        LlmServer([stall(None, say("one two three"), after=2)]) as server,
        session.post(f"{server.url}/{CHAT}", json=body_of(CHAT, stream=True)) as response,
    ):
        await server.wait_requests(outcome="stalled")
        received = b""
        while b" two" not in received:
            received += await response.content.readany()
        assert b" three" not in received
        server.release()
        assert b" three" in await response.read()


async def test_a_stall_ends_by_itself_when_its_time_is_over(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([stall(0.01, rate_limited())]) as server:
        assert (await ask(session, server, CHAT))[0] == 429


async def test_whoever_leaves_has_abandoned_the_request(session: aiohttp.ClientSession) -> None:
    async with LlmServer([stall(), slowly(3600, say("one two"))]) as server:
        for stream in (False, True):
            asking = asyncio.ensure_future(ask(session, server, CHAT, stream=stream))
            await server.wait_requests(1 + stream)
            asking.cancel()
            await server.wait_requests(1 + stream, outcome="abandoned")
        assert outcomes(server) == ["abandoned", "abandoned"]


async def test_a_slow_answer_takes_its_time_for_each_piece(
    session: aiohttp.ClientSession,
) -> None:
    loop = asyncio.get_running_loop()
    async with LlmServer([say("one two three"), slowly(0.02, say("one two"))], pace=0.01) as server:
        began = loop.time()
        await ask(session, server, CHAT)
        assert loop.time() - began >= 0.03
        began = loop.time()
        await ask(session, server, CHAT, stream=True)
        assert loop.time() - began >= 0.04


async def test_closing_ends_what_is_under_way_at_once(session: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    async with LlmServer([stall(), slowly(3600, say("a"))]) as server:
        asking = [asyncio.ensure_future(ask(session, server, CHAT)) for _ in range(2)]
        await server.wait_requests(2)
        began = loop.time()
    assert loop.time() - began < 5
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(end) for end in ends] == [aiohttp.ServerDisconnectedError] * 2
    assert outcomes(server) == ["abandoned", "abandoned"]


async def test_a_request_is_recorded_as_it_was_asked(session: aiohttp.ClientSession) -> None:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {}}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "One "}, {"type": "image_url"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    async with LlmServer([say("Well.")]) as server:
        headers = {"Authorization": "Bearer secret", "Idempotency-Key": "k1"}
        body = {"model": "m", "messages": messages, "tools": [tool], "stream": False}
        await session.post(f"{server.url}/{CHAT}", json=body, headers=headers)
        (asked,) = server.requests
    assert (asked.number, asked.api, asked.model) == (1, CHAT, "m")
    assert [(each.role, each.text) for each in asked.messages] == [
        ("system", "Be brief."),
        ("user", "One "),
        ("assistant", ""),
        ("tool", "42"),
    ]
    assert (asked.last_text, asked.text) == ("42", "Be brief.\nOne \n\n42")
    assert (asked.tools, asked.is_streamed, asked.body) == (("f",), False, body)
    assert asked.headers["idempotency-key"] == "k1"
    assert "authorization" not in asked.headers
    assert (asked.outcome, asked.reply) == ("answered", "say('Well.')")


async def test_the_input_of_a_response_is_recorded_as_messages(
    session: aiohttp.ClientSession,
) -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ]
    async with LlmServer([say("Well.")]) as server:
        tools = [{"type": "function", "name": "f"}, {"type": "web_search"}]
        body = {"model": "m", "input": items, "instructions": "Be brief.", "tools": tools}
        await session.post(f"{server.url}/{RESPONSES}", json=body)
        (asked,) = server.requests
    assert [(each.role, each.text) for each in asked.messages] == [
        ("system", "Be brief."),
        ("user", "Why?"),
        ("reasoning", ""),
        ("assistant", ""),
        ("tool", "42"),
    ]
    assert asked.tools == ("f", "web_search")


CALL = {"role": "assistant", "tool_calls": [{"id": "c1"}, {"id": "c2"}]}
ONE_CALL = {"role": "assistant", "tool_calls": [{"id": "c1"}]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
USER = {"role": "user", "content": "Why?"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
CALLED = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}


REFUSED: list[tuple[str, Any, str]] = [
    (CHAT, b"{", "We could not parse the JSON body"),
    (CHAT, b"\xff", "We could not parse the JSON body"),
    (CHAT, b"[" * 100_000, "We could not parse the JSON body"),
    (CHAT, [], "We could not parse the JSON body"),
    (CHAT, {"messages": [USER]}, "you must provide a model parameter"),
    (CHAT, {"model": 3, "messages": [USER]}, "you must provide a model parameter"),
    (CHAT, {"model": "m"}, "messages is missing, or is no list of objects"),
    (CHAT, {"model": "m", "messages": [3]}, "messages is missing, or is no list of objects"),
    (CHAT, {"model": "m", "messages": []}, "[] is too short - 'messages'"),
    (CHAT, {"model": "m", "messages": [{}]}, "messages[0] has no role"),
    (CHAT, {"model": "m", "messages": [USER], "n": []}, "n is []; the scripted server gives"),
    (CHAT, {"model": "m", "messages": [USER], "stream": {}}, "stream is {}, and it has to be"),
    (CHAT, {"model": "m", "messages": [USER], "tools": 3}, "tools is missing, or is no list"),
    (
        CHAT,
        {"model": "m", "messages": [{"role": "assistant", "tool_calls": 3}]},
        "messages.[0].tool_calls is missing, or is no list",
    ),
    (CHAT, {"model": "m", "messages": [USER, RESULT]}, "messages with role 'tool' must be a"),
    (
        CHAT,
        {"model": "m", "messages": [CALL, RESULT, USER]},
        "An assistant message with 'tool_calls' must be followed by tool messages responding",
    ),
    (
        CHAT,
        {"model": "m", "messages": [ONE_CALL, USER, RESULT]},
        "An assistant message with 'tool_calls' must be followed by tool messages responding",
    ),
    (CHAT, {"model": "m", "messages": [USER, CALL]}, "An assistant message with 'tool_calls'"),
    (RESPONSES, {"model": "m"}, "input is missing, or is no list of objects"),
    (RESPONSES, {"model": "m", "input": []}, "input is empty"),
    (RESPONSES, {"model": "m", "input": "a", "background": True}, "background is true; the "),
    (RESPONSES, {"model": "m", "input": [OUTPUT]}, "No tool call found for function call"),
    (RESPONSES, {"model": "m", "input": [CALLED]}, "No tool output found for function call c1"),
    (
        RESPONSES,
        {"model": "m", "input": [{**CALLED, "call_id": ["c1"]}, OUTPUT]},
        "the call_id of a function_call is ['c1'], and it has to be a text",
    ),
    (
        RESPONSES,
        {"model": "m", "input": [CALLED, {**OUTPUT, "call_id": {"c": 1}}]},
        "the call_id of a function_call_output is {'c': 1}, and it has to be a text",
    ),
]


@pytest.mark.parametrize(("api", "body", "reason"), REFUSED)
async def test_what_openai_would_refuse_is_refused_and_uses_up_nothing(
    api: str, body: Any, reason: str, session: aiohttp.ClientSession
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body)
    async with LlmServer([say("Well.")]) as server:
        async with session.post(f"{server.url}/{api}", data=data) as response:
            error = (await response.json())["error"]
        assert response.status == 400
        assert error["message"].startswith(reason), error
        assert error["type"] == "invalid_request_error"
        assert (server.requests, server.unused) == ([], ["say('Well.')"])


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("api", [CHAT, RESPONSES])
async def test_half_a_character_is_answered_as_it_was_scripted(
    *, api: str, is_streamed: bool, session: aiohttp.ClientSession
) -> None:
    """JSON can say half of a pair of surrogates, and a tool that cuts texts gives one."""
    half = "\ud83d"
    async with LlmServer([say(half), http_error(400, half)]) as server:
        status, answer = await ask(session, server, api, half, stream=is_streamed)
        assert status == 200
        assert half in json.dumps(answer, ensure_ascii=False)
        status, answer = await ask(session, server, api, half)
        assert (status, answer["error"]["message"]) == (400, half)
        assert outcomes(server) == ["answered", "refused"]
        assert server.requests[0].last_text == half


async def test_a_result_of_an_earlier_response_needs_no_call(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([say("Well.")]) as server:
        body = {"model": "m", "input": [OUTPUT], "previous_response_id": "resp_1"}
        async with session.post(f"{server.url}/{RESPONSES}", json=body) as response:
            assert (await response.json())["previous_response_id"] == "resp_1"


async def test_a_request_beyond_the_script_is_told_which_it_was(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([say("Well.")]) as server:
        await ask(session, server, CHAT)
        status, answer = await ask(session, server, RESPONSES, "And why?")
        assert (status, answer["error"]["code"]) == (400, "script_error")
        assert answer["error"]["message"] == (
            "request 2 (POST /v1/responses, 'And why?'): all replies of the script are used up; "
            "there were 1"
        )
        assert outcomes(server) == ["answered", "unscripted"]


async def test_what_a_function_of_the_script_raises_is_answered(
    session: aiohttp.ClientSession,
) -> None:
    def confused(asked: LlmRequest) -> Any:
        raise ValueError(asked.last_text)

    async with LlmServer([confused]) as server:
        status, answer = await ask(session, server, CHAT)
        assert status == 400
        assert answer["error"]["message"].endswith("its function raised ValueError: Hello?")


async def test_other_paths_are_told_what_there_is(session: aiohttp.ClientSession) -> None:
    async with LlmServer() as server:
        async with session.get(f"{server.url}/embeddings") as response:
            assert response.status == 404
            assert "POST /v1/responses" in (await response.json())["error"]["message"]
        async with session.get(f"{server.url}/responses") as response:
            assert response.status == 405
            assert (await response.json())["error"]["type"] == "invalid_request_error"
        async with session.get(f"{server.url}/models") as response:
            assert [each["id"] for each in (await response.json())["data"]] == ["scripted-1"]


async def test_a_body_beyond_the_bound_is_refused(session: aiohttp.ClientSession) -> None:
    async with (
        LlmServer([say("Well.")]) as server,
        session.post(f"{server.url}/{CHAT}", data=io.BytesIO(b" " * (33 << 20))) as response,
    ):
        assert response.status == 413
        assert server.requests == []


async def test_more_requests_than_the_bound_are_not_taken(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.testing.llm.door.UNDER_WAY_MAX", 1)
    monkeypatch.setattr("holdfast.testing.llm.playback.REQUESTS_MAX", 2)
    async with LlmServer([stall(None, say("a")), always(say("b"))]) as server:
        first = asyncio.ensure_future(ask(session, server, CHAT))
        await server.wait_requests(outcome="stalled")
        assert (await ask(session, server, CHAT))[0] == 503
        server.release()
        assert (await first)[0] == 200
        assert (await ask(session, server, CHAT))[0] == 200
        status, answer = await ask(session, server, CHAT)
        assert (status, len(server.requests)) == (400, 2)
        assert answer["error"]["message"].endswith("the record is full")


async def test_replies_can_be_added_while_it_serves(session: aiohttp.ClientSession) -> None:
    async with LlmServer([say("a")]) as server:
        server.add(when("b?", say("b")), always(say("c")))
        for text in ("x", "b?", "x"):
            await ask(session, server, CHAT, text)
        assert [each.reply for each in server.requests] == ["say('a')", "say('b')", "say('c')"]
        assert [each.number for each in server.asked("x")] == [1, 3]
        assert [each.number for each in server.asked(lambda asked: asked.number > 1)] == [2, 3]


async def test_a_condition_may_look_at_what_was_asked_so_far(
    session: aiohttp.ClientSession,
) -> None:
    server = LlmServer()
    server.add(when(lambda _asked: len(server.requests) == 2, say("twice")), always(say("once")))
    async with server:
        for _ in range(2):
            await ask(session, server, CHAT)
    assert [each.reply for each in server.requests] == ["say('once')", "say('twice')"]


async def test_a_script_that_was_not_played_out_fails_the_test(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([say("a")]) as server:
        with pytest.raises(AssertionError, match=r"nobody asked for say\('a'\)"):
            server.assert_played()
        await ask(session, server, CHAT)
        server.assert_played()
        await ask(session, server, CHAT, "And why?")
        with pytest.raises(AssertionError, match=r"^request 2 had no reply: 'And why\?'$"):
            server.assert_played()


async def test_waiting_for_what_does_not_come_says_what_came(
    session: aiohttp.ClientSession,
) -> None:
    async with LlmServer([say("a")]) as server:
        await ask(session, server, CHAT)
        with pytest.raises(
            TimeoutError, match=r"1 of 2 requests came in 0.01 seconds; .* answered"
        ):
            await server.wait_requests(2, within=0.01)
        assert len(await server.wait_requests(matcher="Hello", outcome="answered")) == 1


async def test_a_wait_ends_when_the_request_comes(session: aiohttp.ClientSession) -> None:
    async with LlmServer([say("a"), say("b")]) as server:
        waiting = asyncio.ensure_future(server.wait_requests(2))
        await ask(session, server, CHAT)
        assert not waiting.done()
        await ask(session, server, CHAT)
        assert [each.number for each in await waiting] == [1, 2]


def test_a_test_that_blocks_is_answered_too() -> None:
    with LlmServer([say("Well.")]) as server:
        asked = urllib.request.Request(  # noqa: S310  # the address is the server's own
            f"{server.url}/{CHAT}", json.dumps(body_of(CHAT)).encode()
        )
        with urllib.request.urlopen(asked) as response:  # noqa: S310  # as above
            assert json.load(response)["choices"][0]["message"]["content"] == "Well."


async def test_two_servers_know_nothing_of_each_other(session: aiohttp.ClientSession) -> None:
    async with LlmServer([say("a")]) as one, LlmServer([say("b")]) as other:
        await ask(session, other, CHAT)
        assert (len(one.requests), len(other.requests)) == (0, 1)


def test_a_server_that_does_not_listen_says_so() -> None:
    server = LlmServer()
    with pytest.raises(InvalidArgumentError, match="does not listen yet: use it in a with block"):
        _ = server.url
    with server:
        pass
    with pytest.raises(InvalidArgumentError, match="has served already; make another one"):
        server.__enter__()


def test_a_taken_port_is_refused_by_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            InvalidArgumentError, match=rf"on 127\.0\.0\.1, port {port}: Address already in use"
        ):
            LlmServer(port=port).__enter__()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 100])
async def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"cannot listen on {host}, port 0: "):
        await LlmServer(host=host).__aenter__()


def test_the_kit_re_exports_the_server() -> None:
    assert ReExported is LlmServer
