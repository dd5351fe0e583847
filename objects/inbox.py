"""What others hand to a turn that is under way: messages, which it reads when it likes.

A message is a send that says ``mode="steer"``. It waits behind the turn as any call does; what the
turn takes is done with that, and what it leaves becomes a turn of its own.
"""

from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import ContextMisuseError
from .serde import asked_serde, json_serde
from .syscalls import Syscalls

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

T = TypeVar("T")


class Inbox(Generic[T]):
    """The messages for the turn under way whose argument fits; ``ctx.inbox`` makes these.

    Any number may be made, for one type or several: they read from the same mailbox. A message
    that no type fits stays where it is.
    """

    __slots__ = ("_all", "_one", "_syscalls")

    def __init__(self, annotation: Any, syscalls: Syscalls) -> None:
        """``ctx.inbox`` makes these.

        Raises:
            ContextMisuseError: this is no exclusive handler of a virtual object.
            InvalidDefinitionError: no value of this type could ever be decoded.
        """
        if not syscalls.has_inbox:
            message = (
                f"{syscalls.target}: only an exclusive handler of a virtual object has an inbox, "
                f"because only its turn can be steered; use a promise in a workflow, and a signal "
                f"or an awakeable elsewhere"
            )
            raise ContextMisuseError(message)
        self._one = asked_serde(annotation)
        self._all = json_serde(GenericAlias(list, (annotation,)))
        self._syscalls = syscalls

    def get(self) -> "Future[T]":
        """The next message that fits, as soon as there is one; its sender's outcome is ``null``.

        Whoever cancels it, as ``asyncio.timeout`` does, takes no message: a later one stays.
        """
        return self._syscalls.read_messages(self._one, takes_all=False)

    def drain(self) -> "Future[list[T]]":
        """All messages that fit and are there when the handler next waits; waits for none."""
        return self._syscalls.read_messages(self._all, takes_all=True)
