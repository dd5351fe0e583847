"""Promises of workflows that nobody ever starts, and what becomes of them.

A promise may be completed before its workflow is started. With the workflow it is forgotten; where
that never comes, nothing else would lead to it. So all promises are looked through now and then, a
few at a time, and one whose workflow is not there goes when the workflow's retention is over, as
counted from the promise's own completion.
"""

from itertools import islice

from ..journal import keys
from ..journal.records import decode_promise
from ..objects.identity import Target
from ..objects.service import RUN
from .lifecycle import Lifecycle

SWEEP_MS = 3_600_000
"""Promises are looked through at most this often."""
SWEEP_ROWS = 200
"""Promises looked at in one go."""


class EarlyPromises:
    """Looks through the promises of all workflows."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """Begin with a look through all of them being due."""
        self._lifecycle = lifecycle
        # Where the look goes on; ``None``: between two of them.
        self._cursor: bytes | None = None
        self._next_sweep_ms = 0

    def sweep(self) -> None:
        """Forget what was kept long enough; looks at a bounded number, and now and then only."""
        now_ms, commits = self._lifecycle.clock.now_ms(), self._lifecycle.commits
        if self._cursor is None:
            if now_ms < self._next_sweep_ms:
                return
            self._cursor = keys.PROMISE
            self._next_sweep_ms = now_ms + SWEEP_MS
        looked_at = list(islice(commits.scan(self._cursor, keys.after(keys.PROMISE)), SWEEP_ROWS))
        for key, row in looked_at:
            if self._is_over(key, decode_promise(row).completed_ms, now_ms):
                commits.delete(key)
        self._cursor = looked_at[-1][0] + b"\0" if len(looked_at) == SWEEP_ROWS else None

    def _is_over(self, key: bytes, completed_ms: int, now_ms: int) -> bool:
        service, stop = keys.split_text(key, len(keys.PROMISE))
        name, _ = keys.split_text(key, stop)
        lifecycle = self._lifecycle
        _, handler = lifecycle.registry.find_code(Target(service, name, RUN))
        if completed_ms + lifecycle.outcomes.keeping.times(handler).outcome_ms > now_ms:
            return False
        return lifecycle.commits.get(keys.workflow(service, name)) is None
