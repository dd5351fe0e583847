"""A message on its way to whoever asked, and what an API has to say of it.

Ids come from what was asked and what is answered, and the time stands still. So the same prompt
gets the same answer to the last byte: in every run, in whatever order requests come, and again
after a crash in which its first answer was lost.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from .pieces import count_pieces
from .reply import Message, ToolCall, Usage
from .request import LlmRequest

CREATED = 1_700_000_000
"""When everything was made, whatever the clock says: seconds of Unix time."""

FAILURE_TEXT = "The server had an error while processing your request."


@dataclass(frozen=True, slots=True)
class Answer:
    """A message for a request, and what it costs; ``mark`` is what all its ids have in common."""

    request: LlmRequest
    message: Message
    usage: Usage
    mark: str

    def call_id(self, index: int) -> str:
        """The id by which the result of the call that is part ``index`` names it."""
        return f"call_{self.mark}_{index + 1}"


def make_answer(request: LlmRequest, message: Message, usage: Usage | None) -> Answer:
    """``message`` as the answer to ``request``; what it costs is counted where that is ``None``."""
    made_of = to_json({"body": request.body, "message": repr(message)})
    mark = hashlib.sha256(made_of).hexdigest()[:16]
    return Answer(request, message, usage or _count_usage(request, message), mark)


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream, as bytes.

    ``kind`` is ``"piece"`` for a part of the text or of arguments, ``"last"`` for what completes
    the answer to those who read no further, and ``"frame"`` for all else.
    """

    data: bytes
    kind: Literal["frame", "piece", "last"] = "frame"


class Encoding(Protocol):
    """How one of the two APIs writes one answer down. Used once, by either method."""

    def body(self) -> dict[str, Any]:
        """The whole answer, for whoever did not ask for a stream."""
        ...

    def frames(self) -> Iterator[Frame]:
        """The answer as a stream."""
        ...

    def failure_frames(self, frames_sent: int) -> Iterator[Frame]:
        """What a stream says instead of going on, when the provider fails after so many frames."""
        ...


def _count_usage(request: LlmRequest, message: Message) -> Usage:
    """What is said to be the cost: the pieces of every text, on either side."""
    asked = sum(count_pieces(each.text) for each in request.messages)
    names = sum(count_pieces(part.name) for part in message.parts if isinstance(part, ToolCall))
    return Usage(input_tokens=asked, output_tokens=message.count_pieces() + names)


def to_json(value: dict[str, Any]) -> bytes:
    """``value`` as JSON in UTF-8, on one line."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # Half of a pair of surrogates has no UTF-8; JSON can spell it.
        return json.dumps(value, separators=(",", ":")).encode()
