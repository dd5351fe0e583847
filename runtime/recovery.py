"""Taking up what was under way when the last process ended, a few in each turn.

Whatever has a live row needs an attempt, and there may be ten thousand of them, each with a replay
and a step to start. Whoever calls first does not wait for all of that: a start takes up as many as
fit into a turn, and the rest comes in between everybody else's work, oldest first.

Until then such an invocation is what one that left memory is: its rows hold its turn, and whatever
happens to it begins its attempt, or ends it. So it does not matter who comes first; what has a live
row and no attempt when this comes by is begun here.
"""

from itertools import islice

from ..journal import keys
from ..objects.identity import InvocationId
from .lifecycle import Lifecycle

RECOVERING_AT_ONCE_MAX = 16
"""As long as so many attempts wait to be run, or as many as a turn runs at most, only one more is
taken up in a turn: a new call gets behind them, and waits for a few milliseconds of their work,
not for all of it."""


class Recovery:
    """One pass over the live rows. Belongs to the loop's thread."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """Begin at the oldest; nothing is taken up yet."""
        self._lifecycle = lifecycle
        self._count_max = min(RECOVERING_AT_ONCE_MAX, lifecycle.config.turn_pumps_max)
        self._start, self._end = keys.prefix_range(keys.LIVE)

    def go_on(self, waiting: int) -> bool:
        """Begin attempts of the next few; ``False``: all that was live has been taken up.

        Args:
            waiting: how many attempts wait to be run now.
        """
        count = max(1, self._count_max - waiting)
        rows = list(islice(self._lifecycle.commits.scan(self._start, self._end), count))
        for key, _ in rows:
            self._lifecycle.revive(InvocationId(key[1:]))
            self._start = key + b"\x00"
        return len(rows) == count
