"""What a model may answer, as values: a message, an error or nothing, and what befalls it.

They know nothing of HTTP or of either API. ``words`` makes them, and ``delivery`` plays them.
"""

from dataclasses import dataclass
from typing import Literal

from .bounds import TOKENS_MAX, check_count
from .pieces import count_pieces

Finish = Literal["stop", "length", "content_filter"]
"""Why a message ends; the other two make it an incomplete one."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words of the model."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; ``arguments`` is what a model would send: JSON, if it is well."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """An answer as a client hopes for: texts and calls of tools, in order."""

    parts: tuple[Text | ToolCall, ...]
    finish: Finish = "stop"

    def count_pieces(self) -> int:
        """How many pieces it is streamed in."""
        return sum(
            count_pieces(part.text if isinstance(part, Text) else part.arguments)
            for part in self.parts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error status instead of an answer; ``kind`` is the ``type`` of OpenAI's error object."""

    status: int
    message: str
    kind: str
    code: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The connection ends before a byte has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an answer says that it cost, where that is not to be counted.

    Attributes:
        input_tokens: of the prompt, the cached ones included.
        output_tokens: of the answer, those of reasoning included.
        cached_tokens: of the prompt, how many came from a cache.
        reasoning_tokens: of the answer, how many nobody sees.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no bill has.

        Raises:
            InvalidArgumentError: a number is negative or no number, or a part exceeds its whole.
        """
        check_count("Usage: input_tokens", self.input_tokens, 0, TOKENS_MAX)
        check_count("Usage: output_tokens", self.output_tokens, 0, TOKENS_MAX)
        check_count("Usage: cached_tokens", self.cached_tokens, 0, self.input_tokens)
        check_count("Usage: reasoning_tokens", self.reasoning_tokens, 0, self.output_tokens)


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is sent for ``seconds``, or until released where that is ``None``.

    It comes before the first byte of the answer, or in a stream after ``after_pieces`` of it.
    """

    seconds: float | None
    after_pieces: int


@dataclass(frozen=True, slots=True)
class Break:
    """How a message ends early, after ``after_pieces`` of it."""

    how: Literal["cut", "malformed", "failed"]
    after_pieces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the model. ``say``, ``call_tool`` and the other words make one.

    Attributes:
        title: the words that made it, for messages.
        content: what is answered.
        usage: what it says that it cost; counted where that is ``None``.
        pace_seconds: how long each piece takes; the server decides where that is ``None``.
        silence: a scripted silence.
        ends: how the message ends early, if it does.
    """

    title: str
    content: Message | Failure | NoAnswer
    usage: Usage | None = None
    pace_seconds: float | None = None
    silence: Silence | None = None
    ends: Break | None = None

    def __str__(self) -> str:
        """The words that made it."""
        return self.title
