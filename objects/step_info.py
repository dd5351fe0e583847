"""What the code inside a step's action may know about the step.

The runtime sets ``current_step`` in the context an action runs in, and nowhere else.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from msgspec import Struct

from .errors import ContextMisuseError, InvalidArgumentError
from .serde import packed_serde

DETAILS_BYTES_MAX: Final = 64 << 10
"""What a heartbeat says is at most this long, as MessagePack."""

_DETAILS: Final = packed_serde(Any)


class StepInfo(Struct, frozen=True, kw_only=True):
    """The step whose action runs.

    Attributes:
        name: the name given to ``ctx.run``.
        attempt: which attempt this is, 1 for the first.
        idempotency_key: the same in every attempt, retry and restart of this step, and another one
            for every other step. Hand it to whoever can tell a repetition by it.
        invocation_id: the text id of the invocation that asked for the step.
        details: what the attempt before said last with ``heartbeat``, as builtins; ``None`` if
            nothing. It does not change while an attempt runs.
    """

    name: str
    attempt: int
    idempotency_key: str
    invocation_id: str
    details: Any = None
    beat: Callable[[bytes | None], None] | None = None
    """Who hears a heartbeat; nobody where a test has made this."""

    def __repr__(self) -> str:
        """What a person wants to know of it."""
        return f"StepInfo({self.name!r}, attempt={self.attempt}, key={self.idempotency_key!r})"

    def heartbeat(self, details: Any = None) -> None:
        """Say that the action is alive, and with ``details`` how far it has come.

        The time of ``heartbeat_timeout`` begins anew. The next attempt, and a ``verify``, get the
        last details, also after a crash; they are written about once a second, so a killed process
        may lose the last ones. Cheap enough for each token of a model's answer. It may be called
        from the action's task, and from its thread.

        Args:
            details: what MessagePack can say, up to 64 KiB; ``None`` leaves what was said before.

        Raises:
            InvalidArgumentError: the details cannot be written. Nothing was said.
            asyncio.CancelledError: in a thread, once nobody wants the result any more, or a time
                limit was reached: end now.
        """
        data = None if details is None else _encode_details(self.name, details)
        if self.beat is not None:
            self.beat(data)


def decode_details(data: bytes | None) -> Any:
    """What ``heartbeat`` was given, as builtins."""
    return None if data is None else _DETAILS.decode(data)


def _encode_details(name: str, details: object) -> bytes:
    try:
        data = _DETAILS.encode(details)
    except InvalidArgumentError as error:
        message = f"step {name!r}: heartbeat details: {error.message}"
        raise InvalidArgumentError(message) from error
    if len(data) > DETAILS_BYTES_MAX:
        message = (
            f"step {name!r}: heartbeat details take {len(data)} bytes, and may take "
            f"{DETAILS_BYTES_MAX}; say where the work is, and keep the work itself elsewhere"
        )
        raise InvalidArgumentError(message)
    return data


current_step: ContextVar[StepInfo] = ContextVar("holdfast_step")
"""The step whose action runs here; unset outside of actions."""


def step_info() -> StepInfo:
    """The step whose action calls this.

    Raises:
        ContextMisuseError: called outside of an action.
    """
    info = current_step.get(None)
    if info is None:
        message = (
            "step_info() was called outside of a step; call it inside the function that is given "
            "to ctx.run, or in what that function calls"
        )
        raise ContextMisuseError(message)
    return info
