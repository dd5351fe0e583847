"""The scripted model as OpenAI's own client sees it: its types fit, and errors are its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from holdfast.testing.llm import (
    LlmServer,
    call_tool,
    cut_after,
    fail_after,
    http_error,
    malformed_after,
    rate_limited,
    say,
    server_error,
    stall,
    together,
)

openai: Any = pytest.importorskip(
    "openai", reason="the extra `test` brings OpenAI's client: pip install -e '.[test]'"
)
chat_types: Any = pytest.importorskip("openai.types.chat")
response_types: Any = pytest.importorskip("openai.types.responses")

USER = {"role": "user", "content": "What is the weather in Oslo?"}
ANSWER = together(say("Let me look."), call_tool("weather", city="Oslo"), call_tool("time"))
TOOL: dict[str, Any] = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {},
}


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as started:
        yield started


@pytest.fixture
def client(server: LlmServer) -> Iterator[Any]:
    with openai.OpenAI(base_url=server.url, api_key="any", max_retries=0) as made:
        yield made


def raw_events(raw: Any) -> Iterator[Any]:
    for line in raw.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def test_every_object_of_a_chat_is_valid(server: LlmServer, client: Any) -> None:
    server.add(ANSWER, ANSWER)
    asked: dict[str, Any] = {
        "model": "m",
        "messages": [USER],
        "tools": [{"type": "function", "function": TOOL}],
    }
    raw = client.chat.completions.with_raw_response.create(**asked)
    chat_types.ChatCompletion.model_validate_json(raw.text)
    with client.chat.completions.with_streaming_response.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ) as streamed:
        for event in raw_events(streamed):
            chat_types.ChatCompletionChunk.model_validate(event)
    assert len(server.requests) == 2


def test_every_object_of_a_response_is_valid(server: LlmServer, client: Any) -> None:
    server.add(ANSWER, ANSWER, fail_after(2), say("Well", finish="length"))
    asked: dict[str, Any] = {
        "model": "m",
        "input": [USER],
        "tools": [{"type": "function", "strict": True, **TOOL}],
    }
    raw = client.responses.with_raw_response.create(**asked)
    response_types.Response.model_validate_json(raw.text)
    event_type: TypeAdapter[Any] = TypeAdapter(response_types.ResponseStreamEvent)
    for last in ("response.completed", "response.failed", "response.incomplete"):
        with client.responses.with_streaming_response.create(**asked, stream=True) as streamed:
            events = [event_type.validate_python(event) for event in raw_events(streamed)]
        assert events[-1].type == last


def test_a_tool_loop_over_chats(server: LlmServer, client: Any) -> None:
    server.add(ANSWER, say("Rain, at noon."))
    messages: list[Any] = [USER]
    message = client.chat.completions.create(model="m", messages=messages).choices[0].message
    assert message.content == "Let me look."
    assert [call.function.name for call in message.tool_calls] == ["weather", "time"]
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    messages.append(message)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls
    ]
    answer = client.chat.completions.create(model="m", messages=messages).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("Rain, at noon.", "stop")
    assert server.requests[1].last_text == "rain"


def test_a_tool_loop_over_responses(server: LlmServer, client: Any) -> None:
    server.add(ANSWER, say("Rain, at noon."))
    items: list[Any] = [USER]
    response = client.responses.create(model="m", input=items)
    assert response.output_text == "Let me look."
    items += response.output
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["weather", "time"]
    items += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        for call in calls
    ]
    assert client.responses.create(model="m", input=items).output_text == "Rain, at noon."
    assert server.requests[1].last_text == "rain"


def test_a_streamed_chat_is_put_together_by_the_client(server: LlmServer, client: Any) -> None:
    server.add(ANSWER)
    with client.chat.completions.stream(model="m", messages=[USER]) as stream:
        for _event in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Let me look."
    assert [call.function.arguments for call in message.tool_calls] == ['{"city":"Oslo"}', "{}"]


def test_a_streamed_response_is_put_together_by_the_client(server: LlmServer, client: Any) -> None:
    server.add(ANSWER)
    with client.responses.stream(model="m", input="What is the weather?") as stream:
        text = "".join(
            event.delta for event in stream if event.type == "response.output_text.delta"
        )
        response = stream.get_final_response()
    assert text == response.output_text == "Let me look."
    assert [item.arguments for item in response.output[1:]] == ['{"city":"Oslo"}', "{}"]


def test_the_client_comes_again_after_429_and_500(server: LlmServer, client: Any) -> None:
    server.add(rate_limited(retry_after=0.01), server_error(), say("Well."))
    patient = client.with_options(max_retries=2)
    assert patient.responses.create(model="m", input="Hello?").output_text == "Well."
    assert [each.outcome for each in server.requests] == ["refused", "refused", "answered"]


def test_the_client_does_not_come_again_when_the_script_is_over(
    server: LlmServer, client: Any
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"request 1 .*: the script is empty"):
        client.with_options(max_retries=5).responses.create(model="m", input="Hello?")
    assert len(server.requests) == 1


def test_errors_are_the_ones_of_their_status(server: LlmServer, client: Any) -> None:
    server.add(http_error(401, "Incorrect API key", code="invalid_api_key"), rate_limited())
    with pytest.raises(openai.AuthenticationError) as refused:
        client.responses.create(model="m", input="Hello?")
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="m", messages=[USER])


def test_a_cut_stream_raises_after_its_pieces(server: LlmServer, client: Any) -> None:
    server.add(cut_after(2, say("one two three")))
    stream = client.chat.completions.create(model="m", messages=[USER], stream=True)
    texts: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        texts.extend(chunk.choices[0].delta.content for chunk in stream)
    assert texts == ["", "one", " two"]
    server.add(cut_after(1), malformed_after(1), fail_after(1))
    with pytest.raises(openai.APIConnectionError):
        client.responses.create(model="m", input="Hello?")
    with pytest.raises(json.JSONDecodeError):
        list(client.responses.create(model="m", input="Hello?", stream=True))
    with pytest.raises(openai.APIError, match="had an error while processing"):
        list(client.chat.completions.create(model="m", messages=[USER], stream=True))


def test_a_stall_is_a_timeout_of_the_client(server: LlmServer, client: Any) -> None:
    server.add(stall())
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.05).responses.create(model="m", input="Hello?")


async def test_the_async_client_is_answered_too(server: LlmServer) -> None:
    server.add(say("Well."))
    async with openai.AsyncOpenAI(base_url=server.url, api_key="any") as client:
        assert (await client.responses.create(model="m", input="Hello?")).output_text == "Well."


def test_the_models_are_listed(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["scripted-1"]
