"""Threads in which a sync takes as long as a test wants."""

from collections.abc import Callable
from functools import partial
from typing import Any

from holdfast.runtime.testing import InlineThreads, settle


class HeldThreads(InlineThreads):
    """A sync has happened at once, and is heard of when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], None]] = []

    def run(
        self,
        lane: str,
        function: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        if lane == "store":
            self.hold(function, done)
        else:
            super().run(lane, function, done, afterwards)

    def hold(
        self, function: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Keep the sync, or what it came to, until it may end."""
        self.held.append(partial(done, function(), None))

    async def let_sync_end(self) -> None:
        held, self.held = self.held, []
        for report in held:
            report()
        await settle()


class SlowDisk(HeldThreads):
    """A sync has begun, and happens when the test says so."""

    def hold(
        self, function: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        self.held.append(lambda: done(function(), None))
