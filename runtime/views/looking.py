"""Reading a consistent view of a live runtime in another thread, durable before it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .rows import LimitView, Rows

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..core import Core

T = TypeVar("T")


LANES = 2
"""Views that are read at the same time: a quick look need not wait for a long one."""


class Looks:
    """Which threads are reading now."""

    def __init__(self) -> None:
        """Begin with none."""
        # How many read in each lane, or wait to.
        self._busy = [0] * LANES

    async def look(self, core: Core, read: Callable[[Rows], T]) -> T:
        """What ``read`` gives, called in another thread with the rows as they are now.

        When this returns, all that the rows showed is durable. Cancelled, or when the runtime
        stops, it closes the view, and ``read`` gets a ``StoreFailedError`` at its next row.

        Raises:
            RuntimeClosedError, StoreFailedError: the runtime stopped, or the store failed.
        """
        view = core.store.view()
        rows = Rows(view, core.registry, core.lifecycle.outcomes.keeping, _limits(core))
        told: asyncio.Future[tuple[T, BaseException | None]]
        told, tell = core.answers.when_told(view.close)
        lane = self._busy.index(min(self._busy))
        self._busy[lane] += 1

        def done(result: T, error: BaseException | None) -> None:
            self._busy[lane] -= 1
            tell((result, error))

        core.threads.run(f"looks {lane}", lambda: read(rows), done)
        try:
            result, error = await told
        finally:
            view.close()
        if error is not None:
            raise error
        return result


def _limits(core: Core) -> tuple[LimitView, ...]:
    config, lifecycle = core.config, core.lifecycle
    return (
        LimitView("resident_attempts", len(core.attempts), config.resident_attempts_max),
        LimitView("retained_bytes", lifecycle.outcomes.retained_bytes, config.retained_bytes_max),
        LimitView("mailbox_invocations", None, config.mailbox_invocations_max),
        LimitView("signals", None, config.signals_max),
        LimitView("callbacks", None, config.callbacks_max),
        LimitView("unsteps_result_bytes", None, config.unsteps_result_bytes_max),
    )
