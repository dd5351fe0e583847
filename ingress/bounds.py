"""How much one door holds at this moment, and how much it may: requests, and bodies under way.

Nothing here waits and nothing queues. Whoever comes when a door is full is told so at once, with
the seconds after which to try again, and what is under way is not disturbed. Which connection a
request came on is the transport's affair; these two bounds are the same for all of them.
"""

from .options import HttpOptions
from .problems import Refusal, RefusedError


class Bounds:
    """The counters of one door. Used on one loop only."""

    __slots__ = ("_options", "body_bytes", "requests")

    def __init__(self, options: HttpOptions) -> None:
        """Nothing is held yet."""
        self._options = options
        # Requests whose heads were in order and that have not been answered, waiting calls as well.
        self.requests = 0
        # Of bodies that have begun to arrive and are not whole yet, over all requests.
        self.body_bytes = 0

    def enter(self) -> None:
        """Let one more request in; each that is let in must ``leave``.

        Raises:
            RefusedError: there are as many as there may be; nothing was changed.
        """
        if self.requests >= self._options.requests_max:
            message = (
                f"{self.requests} requests are being answered, which is as many as there may be "
                f"(HttpOptions.requests_max, --max-concurrent); try again soon"
            )
            raise RefusedError(Refusal.BUSY, message)
        self.requests += 1

    def leave(self) -> None:
        """Say that a request was answered, or that nobody waits for its answer any more."""
        self.requests -= 1

    def receive(self, size: int) -> None:
        """Make room for ``size`` further bytes of a body; each that got it must ``release``.

        Raises:
            RefusedError: there is none; nothing was changed.
        """
        if self.body_bytes + size > self._options.bodies_bytes_max:
            message = (
                f"bodies of {self.body_bytes} bytes are being received, and there is room for "
                f"{self._options.bodies_bytes_max} (HttpOptions.bodies_bytes_max); try again soon"
            )
            raise RefusedError(Refusal.CROWDED, message)
        self.body_bytes += size

    def release(self, size: int) -> None:
        """Give the room of ``size`` bytes back."""
        self.body_bytes -= size
