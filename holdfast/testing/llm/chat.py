"""The shapes of ``POST /v1/chat/completions``.

A stream is ``chat.completion.chunk`` objects and then ``[DONE]``::

    delta {role, content}  ·  delta {content}...  ·  delta {tool_calls: [{index, id, name}]}
    ·  delta {tool_calls: [{index, arguments}]}...  ·  delta {} with the finish reason
    ·  no choice, with the usage, if ``stream_options`` asks for it  ·  [DONE]
"""

from collections.abc import Iterator
from typing import Any

from .answer import CREATED, FAILURE_TEXT, Answer, Frame, to_json
from .json_values import is_object
from .pieces import split_pieces
from .reply import Text, ToolCall, Usage


class ChatEncoding:
    """One answer in this API."""

    def __init__(self, answer: Answer) -> None:
        """Write ``answer`` down."""
        self._answer = answer
        self._texts = [part.text for part in answer.message.parts if isinstance(part, Text)]
        # Each with the id by which its result names it.
        self._calls = [
            (answer.call_id(index), part)
            for index, part in enumerate(answer.message.parts)
            if isinstance(part, ToolCall)
        ]
        options = answer.request.body.get("stream_options")
        self._tells_usage = is_object(options) and options.get("include_usage") is True

    def body(self) -> dict[str, Any]:
        """A ``chat.completion``."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._texts) if self._texts else None,
            "refusal": None,
            "annotations": [],
        }
        if self._calls:
            message["tool_calls"] = [_call(call_id, call) for call_id, call in self._calls]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason(),
        }
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": _usage(self._answer.usage),
        }

    def frames(self) -> Iterator[Frame]:
        """Chunks, and ``[DONE]``."""
        yield self._delta(
            {"role": "assistant", "content": "" if self._texts else None, "refusal": None}
        )
        for text in self._texts:
            for piece in split_pieces(text):
                yield self._delta({"content": piece}, is_piece=True)
        for index, (call_id, call) in enumerate(self._calls):
            opening = {"index": index, **_call(call_id, ToolCall(call.name, ""))}
            yield self._delta({"tool_calls": [opening]})
            for piece in split_pieces(call.arguments):
                part = {"index": index, "function": {"arguments": piece}}
                yield self._delta({"tool_calls": [part]}, is_piece=True)
        yield Frame(self._chunk([_choice({}, self._finish_reason())]), "last")
        if self._tells_usage:
            yield Frame(self._chunk([], _usage(self._answer.usage)))
        yield Frame(b"data: [DONE]\n\n")

    def failure_frames(self, frames_sent: int) -> Iterator[Frame]:  # noqa: ARG002  # not numbered
        """An error where a chunk would be; no ``[DONE]`` comes after it."""
        error = {"message": FAILURE_TEXT, "type": "server_error", "param": None, "code": None}
        yield Frame(_data({"error": error}))

    def _delta(self, delta: dict[str, Any], *, is_piece: bool = False) -> Frame:
        return Frame(self._chunk([_choice(delta, None)]), "piece" if is_piece else "frame")

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**self._head("chat.completion.chunk"), "choices": choices}
        if self._tells_usage:
            chunk["usage"] = usage
        return _data(chunk)

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._answer.mark}",
            "object": kind,
            "created": CREATED,
            "model": self._answer.request.model,
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }

    def _finish_reason(self) -> str:
        finish = self._answer.message.finish
        return "tool_calls" if self._calls and finish == "stop" else finish


def _call(call_id: str, call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call_id, "type": "function", "function": function}


def _choice(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
