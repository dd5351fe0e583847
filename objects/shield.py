"""A section that a cancellation does not reach into."""

from collections.abc import Generator
from types import TracebackType, coroutine
from typing import Any, Self

from .syscalls import Syscalls


class Shield:
    """``async with ctx.shield():`` a cancellation that comes meanwhile is applied at its end.

    Sections may be nested, and may be open in several tasks of the handler; the last one that is
    left lets the cancellation through.
    """

    __slots__ = ("_syscalls",)

    def __init__(self, syscalls: Syscalls) -> None:
        """``Context.shield`` makes these."""
        self._syscalls = syscalls

    async def __aenter__(self) -> Self:
        """Begin the section.

        Raises:
            ContextMisuseError: this is no handler, or it has ended.
        """
        self._syscalls.hold_cancellation()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the section.

        Raises:
            asyncio.CancelledError: the invocation was canceled meanwhile. What the section itself
                raised is its context.
        """
        if self._syscalls.release_cancellation():
            await _give_way()


@coroutine
def _give_way() -> Generator[Any, Any, None]:
    """Where a task that was cancelled notices, without loading asyncio for its ``sleep``."""
    yield
