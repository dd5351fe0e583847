"""A handler's loop in a world of its own: time that jumps to the next timer, and nothing else."""

import time
from asyncio import Task
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from holdfast.runtime.handler_loop import HandlerLoop, PumpResult

BEGIN = 1_700_000_000.0
"""When every world begins, in seconds since 1970."""


@dataclass(eq=False)
class Timer:
    """A timer command of a fake host."""

    when: float


class LoopWorld:
    """The host of one loop. It notes every command, and fires timers in the order they fall due."""

    def __init__(
        self, name: str = "Assistant/sam/ask (inv_1)", *, spin_callbacks_max: int = 1_000_000
    ) -> None:
        self.name = name
        self.time = BEGIN
        self.timers: list[Timer] = []
        self.commands: list[tuple[str, float]] = []
        self.reports: list[tuple[str, BaseException | None]] = []
        self.loop = HandlerLoop(self, spin_callbacks_max=spin_callbacks_max)

    # -- As ``LoopHost`` -----------------------------------------------------------------------

    def now(self) -> float:
        return self.time

    def set_timer(self, when: float) -> Timer:
        timer = Timer(when)
        self.timers.append(timer)
        self.commands.append(("set", when - BEGIN))
        return timer

    def cancel_timer(self, timer: Timer) -> None:
        self.timers.remove(timer)
        self.commands.append(("cancel", timer.when - BEGIN))

    def describer(self) -> Callable[[], str]:
        name = self.name
        return lambda: name

    def describe(self) -> str:
        return self.name

    def report(self, message: str, exception: BaseException | None) -> None:
        self.reports.append((message, exception))

    # -- What an attempt does ------------------------------------------------------------------

    def pump(
        self,
        callbacks_max: int = 1_000_000,
        seconds_max: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> PumpResult:
        return self.loop.pump(callbacks_max, clock() + seconds_max, clock)

    def pump_and_fire(self) -> None:
        """Pump, and let time pass, until neither brings anything about."""
        assert self.pump() is PumpResult.QUIESCENT
        while self.timers:
            # The earliest, and of those the oldest.
            timer = min(self.timers, key=lambda timer: timer.when)
            self.timers.remove(timer)
            self.time = max(self.time, timer.when)
            self.loop.fire_timer(timer)
            assert self.pump() is PumpResult.QUIESCENT

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Task[Any]:
        """Start a handler and run it until it waits."""
        task = self.loop.start(coroutine)
        self.pump()
        return task

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a handler to its end, as an attempt does, and give what it returned."""
        task = self.loop.start(coroutine)
        try:
            self.pump_and_fire()
            self.loop.cancel_remaining()
            self.pump_and_fire()
            assert task.done(), "the handler waits for something that never comes"
            return task.result()
        finally:
            self.loop.close()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a handler in a world of its own."""
    return LoopWorld().run(coroutine)
