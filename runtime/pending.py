"""A command that has no completion yet: what it waits for, and whom to tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from msgspec import Struct

from ..journal import keys
from ..objects.identity import InvocationId
from ..objects.serde import Serde
from .loop_futures import HandlerFuture
from .step_plan import StepPlan


@dataclass(slots=True, eq=False)
class DurableTimer:
    """A timer command, for the handler's loop to hold."""

    index: int


class Awaited(Enum):
    """What a pending command waits for."""

    STEP = auto()
    TIMER = auto()
    CALL = auto()
    OUTCOME = auto()
    AWAKEABLE = auto()
    PROMISE = auto()
    MESSAGE = auto()
    MESSAGES = auto()
    SIGNAL = auto()
    ANSWER = auto()
    """The completion is written in the decision that issues the command."""


class Pending(Struct):
    """A command that the handler has issued and that has no completion."""

    awaited: Awaited
    future: HandlerFuture[Any] | None = None
    """Who is told; ``None`` for a timer of the handler's loop."""
    result: Serde[Any] | None = None
    timer: DurableTimer | None = None
    due_ms: int = 0
    callee: InvocationId | None = None
    name: str = ""
    """Of the promise or the signal that is awaited."""
    refused_sequence: int = 0
    """Of the last message that came and does not fit."""
    plan: StepPlan | None = None
    is_recorded: bool = False
    """For a step: an earlier attempt issued it, so its action may have run."""
    is_started: bool = False
    """For a step: ``Steps`` has been told of it."""

    def find_row(self, id_: InvocationId, index: int) -> bytes | None:
        """The key of the row that says who awaits this, where whoever completes it looks there.

        ``index`` is the command's, ``id_`` whose it is. A promise's row belongs to its object.
        """
        match self.awaited:
            case Awaited.SIGNAL:
                return keys.signalled(id_, self.name, index)
            case Awaited.OUTCOME:
                assert self.callee is not None, "attached to nobody"
                return keys.attached(self.callee, id_, index)
            case Awaited.MESSAGE:
                return keys.message(id_, index)
            case _:
                return None


def find_callees(pending: Iterable[Pending]) -> list[InvocationId] | None:
    """The callees waited for, when nothing but their outcomes can move the handler.

    A future that nobody awaits moves nobody: an awakeable that was asked for and then left.
    """
    callees: list[InvocationId] = []
    for each in pending:
        if each.future is not None and not _is_awaited(each.future):
            continue
        if each.callee is None:
            return None
        callees.append(each.callee)
    return callees or None


def _is_awaited(future: HandlerFuture[Any]) -> bool:
    return bool(future._callbacks)  # noqa: SLF001  # asyncio tells nobody else


class Issuer(Protocol):
    """Whoever has issued a command."""

    def cancel(self, index: int) -> None:
        """The handler no longer wants the completion of command ``index``."""
        ...


class DurableFuture(HandlerFuture[Any]):
    """The future of a command. Cancelling it is a command of its own."""

    __slots__ = ("commands", "index")

    commands: Issuer
    index: int

    def cancel(self, msg: Any | None = None) -> bool:
        """As ``Future.cancel``; recorded, and what runs for it is told to end."""
        if not self.done():
            self.commands.cancel(self.index)
        return super().cancel(msg)
