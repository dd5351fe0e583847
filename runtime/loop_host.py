"""What a handler's loop needs from the attempt it belongs to."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol


class LoopHost(Protocol):
    """What a loop needs from the attempt it belongs to."""

    def now(self) -> float:
        """Give the handler's time, in seconds since 1970; moves with deliveries, never back."""
        ...

    def set_timer(self, when: float) -> Hashable:
        """Issue the command for a timer; ``fire_timer`` is called with what this returns."""
        ...

    def cancel_timer(self, timer: Any) -> None:
        """Issue the command that takes back a timer that has not fired; called once for each."""
        ...

    def describe(self) -> str:
        """Name the handler and the invocation, for messages. Alike in every attempt."""
        ...

    def describer(self) -> Callable[[], str]:
        """Give what says the same when the attempt is over, and does not hold on to it."""
        ...

    def report(self, message: str, exception: BaseException | None) -> None:
        """Log what went wrong in the background. It changes nothing."""
        ...


class DeadHost:
    """The host of a closed loop: it has the name and the time of the last one, and does nothing."""

    def __init__(self, host: LoopHost) -> None:
        """Take over what may still be asked."""
        self._now = host.now()
        # Few loops are asked anything once they are closed.
        self._describe = host.describer()

    def now(self) -> float:
        """Give the time at which the attempt ended."""
        return self._now

    def set_timer(self, when: float) -> Hashable:
        """Do nothing."""
        return when

    def cancel_timer(self, timer: Any) -> None:
        """Do nothing."""

    def describe(self) -> str:
        """As ``LoopHost.describe``."""
        return self._describe()

    def describer(self) -> Callable[[], str]:
        """As ``LoopHost.describer``."""
        return self._describe

    def report(self, message: str, exception: BaseException | None) -> None:
        """Do nothing."""
