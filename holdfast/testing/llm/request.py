"""What was asked: one request, read out of the body of either API.

The body is kept whole; what tests and conditions look at is drawn out of it: texts, tools, the
model. What OpenAI would refuse is refused here, with its words where they are known.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .conversation import check_chat_calls, check_responses_calls
from .errors import BadRequestError
from .json_values import is_array, is_object

Api = Literal["chat/completions", "responses"]

Outcome = Literal["pending", "stalled", "answered", "refused", "broken", "abandoned", "unscripted"]
"""What has become of a request.

``pending``: it is being answered. ``stalled``: it is in a scripted silence. ``answered``: the whole
message was sent. ``refused``: the scripted error was. ``broken``: it ended early, as scripted.
``abandoned``: the caller left, or the server closed, before the end. ``unscripted``: the script had
no reply for it, or could not make one.
"""


@dataclass(frozen=True, slots=True)
class LlmMessage:
    """One message of a conversation: who says it, and its text, which may be empty."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmRequest:
    """One request, as it was recorded.

    Attributes:
        number: 1 for the first request of a server.
        at_seconds: when it came, in seconds since the server was made; never goes back.
        api: which of the two APIs was asked.
        model: the model that was asked for.
        messages: the conversation; instructions come first, as a message of ``"system"``.
        tools: the names of the tools that were offered.
        is_streamed: whether a stream was asked for.
        headers: the headers, names in lower case; without ``authorization``, as a record of it may
            be printed.
        body: the whole body.
        outcome: what had become of it when this was read.
        reply: the words of the reply that it got, if it got one.
    """

    number: int
    at_seconds: float
    api: Api
    model: str
    messages: tuple[LlmMessage, ...]
    tools: tuple[str, ...]
    is_streamed: bool
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    outcome: Outcome = "pending"
    reply: str | None = None

    @property
    def last_text(self) -> str:
        """The text of the last message: a question, or what a tool gave."""
        return self.messages[-1].text

    @property
    def text(self) -> str:
        """The texts of all messages, one after the other, a line feed between them."""
        return "\n".join(message.text for message in self.messages)


def read_request(api: Api, headers: Mapping[str, str], body: bytes) -> LlmRequest:
    """The request in ``body``, with no number and no time yet.

    Raises:
        BadRequestError: OpenAI would refuse it, or asks for what is not scripted here.
    """
    fields = _read_json(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        message = "you must provide a model parameter"
        raise BadRequestError(message, "model")
    messages = _read_chat(fields) if api == "chat/completions" else _read_responses(fields)
    return LlmRequest(
        number=0,
        at_seconds=0.0,
        api=api,
        model=model,
        messages=tuple(messages),
        tools=tuple(_read_tools(fields)),
        is_streamed=_read_flag(fields, "stream"),
        headers={
            name.lower(): value
            for name, value in headers.items()
            if name.lower() != "authorization"
        },
        body=fields,
    )


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not is_object(fields):
        message = (
            "We could not parse the JSON body of your request: it has to be a JSON object in UTF-8"
        )
        raise BadRequestError(message)
    return fields


def _read_chat(fields: dict[str, Any]) -> list[LlmMessage]:
    messages = _read_objects(fields.get("messages"), "messages")
    if not messages:
        message = "[] is too short - 'messages'"
        raise BadRequestError(message, "messages")
    for index, each in enumerate(messages):
        if not isinstance(each.get("role"), str):
            message = f"messages[{index}] has no role"
            raise BadRequestError(message, f"messages.[{index}].role")
        if each.get("tool_calls") is not None:
            _read_objects(each["tool_calls"], f"messages.[{index}].tool_calls")
    if fields.get("n") not in (None, 1):
        message = f"n is {fields['n']!r}; the scripted server gives one choice"
        raise BadRequestError(message, "n")
    check_chat_calls(messages)
    return [LlmMessage(each["role"], _read_text(each.get("content"))) for each in messages]


def _read_responses(fields: dict[str, Any]) -> list[LlmMessage]:
    given = fields.get("input")
    messages: list[LlmMessage] = []
    instructions = fields.get("instructions")
    if isinstance(instructions, str):
        messages.append(LlmMessage("system", instructions))
    if _read_flag(fields, "background"):
        message = "background is true; the scripted server answers in the foreground only"
        raise BadRequestError(message, "background")
    if isinstance(given, str):
        return [*messages, LlmMessage("user", given)]
    items = _read_objects(given, "input")
    if not items:
        message = "input is empty; it has to be a text or a list of items"
        raise BadRequestError(message, "input")
    continues = any(fields.get(name) for name in ("previous_response_id", "conversation"))
    check_responses_calls(items, continues=continues)
    return messages + [_read_item(item) for item in items]


def _read_item(item: dict[str, Any]) -> LlmMessage:
    if item.get("type") == "function_call_output":
        return LlmMessage("tool", _read_text(item.get("output")))
    role = item.get("role")
    if not isinstance(role, str):
        role = "assistant" if item.get("type") == "function_call" else str(item.get("type"))
    return LlmMessage(role, _read_text(item.get("content")))


def _read_text(content: Any) -> str:
    """The text of a message, which is one string or a list of parts, of which images have none."""
    if isinstance(content, str):
        return content
    if not is_array(content):
        return ""
    texts = [part.get("text") for part in content if is_object(part)]
    return "".join(text for text in texts if isinstance(text, str))


def _read_tools(fields: dict[str, Any]) -> list[str]:
    """The names of the tools: nested in the one API, flat in the other."""
    names: list[str] = []
    for tool in _read_objects(fields.get("tools") or [], "tools"):
        function = tool.get("function")
        holder = function if is_object(function) else tool
        names.append(str(holder.get("name", tool.get("type"))))
    return names


def _read_objects(value: Any, name: str) -> list[dict[str, Any]]:
    if not is_array(value) or not all(is_object(each) for each in value):
        message = f"{name} is missing, or is no list of objects"
        raise BadRequestError(message, name)
    return value


def _read_flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        message = f"{name} is {value!r}, and it has to be true or false"
        raise BadRequestError(message, name)
    return value is True
