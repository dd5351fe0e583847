"""A named value of a workflow that somebody gives once: a handler of it, or a program outside."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import ContextMisuseError, TerminalError
from .identity import check_label
from .pydantic_models import check_not_hidden, may_class_hide_secrets
from .serde import Serde
from .syscalls import Syscalls

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

T = TypeVar("T")


class Promise(Generic[T]):
    """Await it for its value; ``ctx.promise`` makes these, any number for one name.

    It belongs to the workflow's key and not to a handler: it may be resolved before ``run`` starts,
    and is there until the workflow is forgotten. The first completion stands.

    Attributes:
        name: what the workflow calls it.
    """

    __slots__ = ("_serde", "_syscalls", "name")

    def __init__(self, name: str, serde: Serde[Any], syscalls: Syscalls) -> None:
        """``ctx.promise`` makes these.

        Raises:
            ContextMisuseError: this is no handler of a workflow.
            InvalidArgumentError: that is no name.
        """
        if not syscalls.is_workflow:
            message = (
                f"{syscalls.target}: only workflows have promises; derive the class from Workflow, "
                f"or use ctx.awakeable() and hand its id to whoever will resolve it"
            )
            raise ContextMisuseError(message)
        self.name = check_label(name, "promise")
        self._serde = serde
        self._syscalls = syscalls

    def __repr__(self) -> str:
        """For messages: its name."""
        return f"<promise {self.name!r}>"

    def __await__(self) -> Generator[Any, None, T]:
        """What it is resolved with.

        Raises:
            TerminalError: it was rejected.
        """
        return self.value().__await__()

    def value(self) -> "Future[T]":
        """The same as a future, for ``asyncio.wait`` and the like."""
        return self._syscalls.await_promise(self.name, self._serde)

    def peek(self) -> "Future[T | None]":
        """What it is resolved with, or ``None`` as long as it is not; waits for nothing.

        Raises:
            TerminalError: (from the future) it was rejected.
        """
        return self._syscalls.peek_promise(self.name, self._serde)

    def resolve(self, value: T) -> "Future[None]":
        """Give it its value, of its type. It is done when this returns.

        Raises:
            InvalidArgumentError: the value is of another type; nothing happened.
            TerminalError: (from the future) with status 409: it was completed before, and stays
                as it is.
        """
        return self._syscalls.complete_promise(self.name, encode_checked(self._serde, value))

    def reject(self, reason: str | TerminalError) -> "Future[None]":
        """Have everyone who awaits it get a ``TerminalError``.

        Raises:
            TerminalError: (from the future) with status 409: it was completed before, and stays
                as it is.
        """
        error = reason if isinstance(reason, TerminalError) else TerminalError(reason)
        return self._syscalls.complete_promise(self.name, error)


def encode_checked(serde: Serde[Any], value: Any) -> bytes:
    """The bytes of ``value``, which can be decoded again.

    Raises:
        InvalidArgumentError: it is of another type than its ``serde``, or a part of it is hidden.
    """
    data = serde.encode(value)
    serde.decode(data)
    if may_class_hide_secrets(value.__class__):
        check_not_hidden(data)
    return data
