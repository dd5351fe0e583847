"""The shapes of ``POST /v1/responses``.

A stream is typed events, numbered from 0 and named twice, in ``event:`` and in ``type``::

    response.created  ·  response.in_progress
    text:  output_item.added · content_part.added · output_text.delta... · output_text.done
           · content_part.done · output_item.done
    call:  output_item.added · function_call_arguments.delta... · function_call_arguments.done
           · output_item.done
    response.completed, or response.incomplete, or in the middle response.failed
"""

from collections.abc import Iterator
from typing import Any, Literal

from .answer import CREATED, FAILURE_TEXT, Answer, Frame, to_json
from .pieces import split_pieces
from .reply import Text, ToolCall, Usage

Status = Literal["in_progress", "completed", "incomplete", "failed"]

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and says where the request was silent."""

_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesEncoding:
    """One answer in this API."""

    def __init__(self, answer: Answer) -> None:
        """Write ``answer`` down."""
        self._answer = answer
        finish = answer.message.finish
        self._end: Status = "completed" if finish == "stop" else "incomplete"
        self._incomplete_reason = _INCOMPLETE_REASONS.get(finish)
        # The number of the next event.
        self._sequence = 0
        # The items whose end a stream has told of.
        self._output: list[dict[str, Any]] = []

    def body(self) -> dict[str, Any]:
        """A ``response``."""
        self._output = [
            self._item(index, part, self._end)
            for index, part in enumerate(self._answer.message.parts)
        ]
        return self._response(self._end)

    def frames(self) -> Iterator[Frame]:
        """Events, from ``response.created`` to ``response.completed``."""
        yield self._event("response.created", response=self._response("in_progress"))
        yield self._event("response.in_progress", response=self._response("in_progress"))
        for index, part in enumerate(self._answer.message.parts):
            empty = Text("") if isinstance(part, Text) else ToolCall(part.name, "")
            started = self._item(index, empty, "in_progress")
            if isinstance(part, Text):
                started["content"] = []
            yield self._event("response.output_item.added", output_index=index, item=started)
            if isinstance(part, Text):
                yield from self._text_frames(index, started["id"], part)
            else:
                yield from self._call_frames(index, started["id"], part)
            ended = self._item(index, part, self._end)
            yield self._event("response.output_item.done", output_index=index, item=ended)
            self._output.append(ended)
        yield self._event(f"response.{self._end}", "last", response=self._response(self._end))

    def failure_frames(self, frames_sent: int) -> Iterator[Frame]:
        """``response.failed``."""
        self._sequence = frames_sent
        yield self._event("response.failed", response=self._response("failed"))

    def _text_frames(self, index: int, item_id: str, text: Text) -> Iterator[Frame]:
        place = {"item_id": item_id, "output_index": index, "content_index": 0}
        yield self._event("response.content_part.added", **place, part=_part(""))
        for piece in split_pieces(text.text):
            yield self._event(
                "response.output_text.delta", "piece", **place, delta=piece, logprobs=[]
            )
        yield self._event("response.output_text.done", **place, text=text.text, logprobs=[])
        yield self._event("response.content_part.done", **place, part=_part(text.text))

    def _call_frames(self, index: int, item_id: str, call: ToolCall) -> Iterator[Frame]:
        place = {"item_id": item_id, "output_index": index}
        for piece in split_pieces(call.arguments):
            yield self._event(
                "response.function_call_arguments.delta", "piece", **place, delta=piece
            )
        yield self._event(
            "response.function_call_arguments.done",
            **place,
            name=call.name,
            arguments=call.arguments,
        )

    def _event(
        self, name: str, kind: Literal["frame", "piece", "last"] = "frame", /, **fields: Any
    ) -> Frame:
        event = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return Frame(b"event: " + name.encode() + b"\ndata: " + to_json(event) + b"\n\n", kind)

    def _item(self, index: int, part: Text | ToolCall, status: Status) -> dict[str, Any]:
        place = f"{self._answer.mark}_{index + 1}"
        if isinstance(part, Text):
            return {
                "id": f"msg_{place}",
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [_part(part.text)],
            }
        return {
            "id": f"fc_{place}",
            "type": "function_call",
            "status": status,
            "call_id": self._answer.call_id(index),
            "name": part.name,
            "arguments": part.arguments,
        }

    def _response(self, status: Status) -> dict[str, Any]:
        asked = self._answer.request.body
        echoed = {
            name: default if asked.get(name) is None else asked[name]
            for name, default in _ECHOED.items()
        }
        reason = self._incomplete_reason if status == "incomplete" else None
        has_ended = status in {"completed", "incomplete"}
        return {
            "id": f"resp_{self._answer.mark}",
            "object": "response",
            "created_at": CREATED,
            "completed_at": CREATED if status == "completed" else None,
            "status": status,
            "background": False,
            "error": _FAILURE if status == "failed" else None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self._answer.request.model,
            "output": list(self._output),
            "service_tier": "default",
            "usage": _usage(self._answer.usage) if has_ended else None,
            **echoed,
        }


_FAILURE = {"code": "server_error", "message": FAILURE_TEXT}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
