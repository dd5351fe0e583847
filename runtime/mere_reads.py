"""Calls that only read, let in on a disk that has no room for new work.

Whether a shared handler only reads is known when it has. So one that somebody waits for is let in:
its rows are new and gone in one batch, which is not written, and no outcome is kept. Its first
command, which would be new work, is refused as that is at the door; so is what it would need rows
for otherwise, which is another attempt of it, and to wait for room in memory.
"""

from typing import ClassVar, NoReturn

from ..journal.entry import Command
from ..objects.definition import HandlerDefinition
from ..objects.errors import StoreFullError, TerminalError
from .attempt import Attempt
from .commands import Commands
from .disk_room import NEARLY_FULL
from .failures import failure_of
from .requests import CallRequest


def is_let_in(request: CallRequest, handler: HandlerDefinition, *, wait: bool) -> bool:
    """Whether a call may turn out to be a mere read, of which nobody has to be told later."""
    return (
        wait
        and handler.shared
        and not request.delay_ms
        and request.idempotency_key is None
        and request.callback is None
    )


class ReadCommands(Commands):
    """Refuses whatever would be written."""

    def save(self) -> NoReturn:
        """As ``Commands.save``, of which nothing is left but the refusal."""
        message = (
            f"{NEARLY_FULL}, so a shared handler is answered as long as it only reads, and no new "
            f"work is accepted; free some space"
        )
        raise TerminalError(message, status_code=507, type_name=StoreFullError.__name__)

    def write(self, command: Command) -> NoReturn:
        """As ``save``."""
        del command
        self.save()


class ReadAttempt(Attempt):
    """An attempt that may read."""

    commands_type: ClassVar[type[Commands]] = ReadCommands

    def _fail_attempt(self, error: BaseException) -> None:
        """As ``Attempt``'s, but nothing is tried again: that would be rows."""
        self._error = error
        try:
            self._commands.save()
        except TerminalError as refusal:
            refusal.__cause__ = error
            self._end_badly(failure_of(refusal), "the disk is nearly full")
