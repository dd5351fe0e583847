"""The verbs of sagas, as a part of what a handler can say (``handler_port``)."""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..journal.entry import Compensation
from ..objects.groups import is_a
from ..objects.identity import Target
from ..objects.saga import NotCompensated
from ..objects.syscalls import Action, StepOptions
from .commands import Commands
from .compensations import SETTLE, Begin, Compensations, PutOff, Registered
from .giving_up import start_compensation
from .handler_loop import HandlerLoop
from .lifecycle import logger
from .task_groups import ender_of


class SagaVerbs:
    """Answers the saga's part of ``Syscalls``."""

    _commands: Commands
    _loop: HandlerLoop

    @abstractmethod
    def run(self, name: str, action: Action, options: StepOptions) -> "asyncio.Future[Any]":
        """As ``Syscalls.run``."""

    @abstractmethod
    def _is_refused(self, *, is_brief: bool = False) -> bool:
        """Whether what is asked is not heard any more."""

    def add_compensation(
        self, name: str, begin: Begin, *, call: tuple[Target, bytes] | None
    ) -> int:
        """As ``Syscalls.add_compensation``."""
        if self._is_refused():
            return -1
        commands = self._commands
        if call is not None:
            _, handler = commands.lifecycle.registry.get_handler(call[0])
            handler.decode_argument(call[1])
        index, _ = commands.issue(Compensation(name))
        if commands.compensations is None:
            commands.compensations = Compensations(
                partial(start_compensation, commands),
                partial(self.run, SETTLE, Action(_do_nothing, (), {}), StepOptions()),
            )
        commands.compensations.add(index, Registered(name, begin, is_call=call is not None))
        return index

    def forget_compensations(self, indexes: Sequence[int]) -> None:
        """As ``Syscalls.forget_compensations``."""
        if self._commands.compensations is not None and not self._commands.is_over:
            self._commands.compensations.forget(indexes)

    async def compensate(
        self, indexes: Sequence[int], error: BaseException
    ) -> tuple[NotCompensated, ...]:
        """As ``Syscalls.compensate``."""
        commands = self._commands
        if commands.is_over or commands.compensations is None:
            return ()
        await self._end_where_failing(error)
        put_off = PutOff()

        async def interrupted(interruption: asyncio.CancelledError) -> None:
            await self._end_where_failing(interruption)
            put_off.interruptions.append(interruption)

        commands.hold_cancellation()
        failed = await commands.compensations.run(indexes, interrupted)
        is_told = commands.release_cancellation()
        self.report_not_compensated(failed)
        if not is_told and not is_a(error, asyncio.CancelledError):
            put_off.tell_again()
        return failed

    async def _end_where_failing(self, error: BaseException) -> None:
        """End the attempt where it fails, with ``error`` or with what has caused that.

        A task group that an error brings down cancels its other tasks. If that error is no
        outcome, it need not come in the next attempt, and nobody would be cancelled then.
        """
        commands, task = self._commands, asyncio.current_task()
        cause = error
        if is_a(error, asyncio.CancelledError):
            cause = ender_of(task) or error
        if not commands.is_outcome(cause):
            commands.failing = commands.failing or cause
            self._loop.drop_ready()
            await self._loop.create_future()  # The attempt ends here.

    def report_not_compensated(self, failed: Sequence[NotCompensated]) -> None:
        """Log what could not be taken back, once."""
        name = self._commands.invocation.name
        if not self._commands.cursor.is_replaying:
            for each in failed:
                logger.error("%s: %s was not compensated: %s", name, each.name, each.reason)


async def _do_nothing() -> None:
    """The action of a step that is there for its place in the order."""
