"""A promise that someone outside keeps, by its id, and what it tells whoever may keep it."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .durations import to_duration
from .errors import InvalidArgumentError
from .identity import parse_awakeable_id
from .links import NO_VALUE, Verb, make_link
from .serde import json_serde
from .syscalls import NO_QUESTION, Question

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

    from .syscalls import Syscalls

T_co = TypeVar("T_co", covariant=True)

MESSAGE_BYTES_MAX: Final = 16 * 1024
"""A message is shown to people and listed by the hundred; what is longer belongs into the state."""
TIMEOUT_MAX: Final = timedelta(days=36_525)

_ANY_JSON: Final = json_serde(Any)


@dataclass(frozen=True, slots=True, eq=False)
class Awakeable(Generic[T_co]):
    """Await it for what it is resolved with; give ``id`` to whoever will resolve it.

    Attributes:
        id: ``awk_`` and 40 hex digits; the same on every replay.
        future: the same promise as a future, for ``asyncio.wait`` and the like.
    """

    id: str
    future: "Future[T_co]"
    _syscalls: "Syscalls" = field(repr=False)

    def __await__(self) -> Generator[Any, None, T_co]:
        """What it is resolved with.

        Raises:
            AwakeableExpiredError: nobody resolved it before its deadline.
            TerminalError: it was rejected.
        """
        return self.future.__await__()

    def link(
        self,
        verb: Verb = "resolve",
        value: Any = NO_VALUE,
        *,
        expires_in: timedelta | float,
        base: str = "",
    ) -> str:
        """A signed URL by which whoever holds it may resolve (or reject) this, without a token.

        Opened in a browser it shows the message and a button, and changes nothing before that is
        pressed. It is the same on every replay. Do not put it where it is kept: it is a credential.

        Args:
            verb: what it is for, ``"resolve"`` or ``"reject"``.
            value: what it resolves with, any JSON value, or why it rejects, in at most 1 KiB. Left
                out, a program that posts to it says so in the body, and the button means ``None``.
            expires_in: how long it works, in seconds if it is a number.
            base: where this server is reached, ``https://agents.example.com``; without one, the
                link begins with its path.

        Raises:
            InvalidArgumentError: one of these does not fit.
        """
        return make_link(
            parse_awakeable_id(self.id),
            verb,
            value,
            expires_in=expires_in,
            base=base,
            now_ms=self._syscalls.now_ms(),
            sign=self._syscalls.sign_link,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AwakeableInfo:
    """An open awakeable, as whoever may resolve it sees it.

    Attributes:
        id: ``awk_`` and 40 hex digits; it is resolved by this.
        invocation_id: whose handler waits for it.
        service: the class of that handler, as callers say it.
        key: the key of its object; ``None`` for a service.
        handler: the handler that waits.
        message: what the handler says, any JSON value; ``None`` where it says nothing.
        schema: the JSON Schema that a value must fit; ``None`` where any does.
        created: when it was made, in UTC.
        deadline: when it is closed by itself, in UTC; ``None`` for never.
    """

    id: str
    invocation_id: str
    service: str
    key: str | None
    handler: str
    message: Any
    schema: Mapping[str, Any] | None
    created: datetime
    deadline: datetime | None


@dataclass(frozen=True, slots=True)
class AwakeablePage:
    """Some of the open awakeables, those of older invocations first.

    Attributes:
        awakeables: what is on this page. There may be none although there is a next one: a page
            looks at so many, and not all of them may be wanted.
        next: what to pass as ``after`` for the next page; ``None``: this is the last one.
    """

    awakeables: tuple[AwakeableInfo, ...]
    next: str | None

    def __iter__(self) -> Iterator[AwakeableInfo]:
        """Walk what is on this page."""
        return iter(self.awakeables)

    def __len__(self) -> int:
        """How many are on this page."""
        return len(self.awakeables)


def make_question(annotation: Any, message: Any, timeout: timedelta | float | None) -> Question:
    """What an awakeable with these options says of itself.

    Raises:
        InvalidArgumentError: the message cannot be encoded or is too long, or the timeout is none.
    """
    if annotation is Any and message is None and timeout is None:
        return NO_QUESTION
    said = None if message is None else _ANY_JSON.encode(message)
    if said is not None and len(said) > MESSAGE_BYTES_MAX:
        text = (
            f"the message of an awakeable has at most {MESSAGE_BYTES_MAX:,} bytes of JSON, and "
            f"this one has {len(said):,}; keep what is long in the state and say where it is"
        )
        raise InvalidArgumentError(text)
    duration = None if timeout is None else to_duration(timeout, "the timeout of an awakeable")
    if duration is not None and duration > TIMEOUT_MAX:
        text = f"the timeout of an awakeable is at most a hundred years, not {duration}"
        raise InvalidArgumentError(text)
    return Question(annotation=annotation, message=said, timeout=duration)
