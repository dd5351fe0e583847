"""When what failed is tried again: a policy's arithmetic, with the time, chance and what counts.

A failed attempt of a handler counts against its policy only if it made no progress: when its
journal has grown since the last failed one, counting begins again with this one. So an invocation
that gets further each time is never given up, and waiting for a person costs nothing.

Nothing is staged here; the counters are fields of rows that the caller writes.
"""

from enum import Enum, auto

from ..objects.retry import RetryPolicy, find_asked_ms
from .mistakes import is_mistake
from .open_invocation import OpenInvocation
from .seams import Clock, Randomness

_CHANCE_BYTES = 4


class Verdict(Enum):
    """What becomes of a handler whose attempt failed and that is not tried again."""

    PAUSE = auto()
    """A person decides."""
    FAIL = auto()
    """The error is the outcome."""


class Retries:
    """Says how long to wait before the next attempt of a handler or a step."""

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        """Take the time and the chance from these."""
        self._clock = clock
        self._randomness = randomness

    def find_delay_ms(
        self, policy: RetryPolicy, error: BaseException, *, failures: int, since_ms: int
    ) -> int | None:
        """Milliseconds until the next attempt; ``None``: there is none left.

        Args:
            policy: the rule.
            error: what the last attempt failed with.
            failures: failed attempts that count, the last one included.
            since_ms: when the time that ``max_duration`` bounds began.
        """
        now_ms = self._clock.now_ms()
        chance = 0.0
        if policy.jitter:
            drawn = self._randomness.token(_CHANCE_BYTES)
            chance = int.from_bytes(drawn, "big") / (1 << 8 * _CHANCE_BYTES)
        return policy.delay_ms(
            failures,
            elapsed_ms=now_ms - since_ms,
            asked_ms=find_asked_ms(error, now_ms),
            chance=chance,
        )

    def find_too_late(self, policy: RetryPolicy, *, since_ms: int) -> str:
        """Why no attempt may begin any more, although one is due; nothing where it may.

        What was due within ``max_duration`` comes later where nothing ran meanwhile.
        """
        limit = policy.max_duration
        if limit is None or self._clock.now_ms() - since_ms <= limit.total_seconds() * 1000:
            return ""
        return f"no other attempt may begin, because its max_duration of {limit} is over"

    def judge(
        self, invocation: OpenInvocation, policy: RetryPolicy, error: BaseException
    ) -> int | Verdict:
        """Count a failed attempt of a handler in its record; gives the delay, or what else."""
        record, details = invocation.record, invocation.record.need_details()
        if record.failures == 0 or invocation.next_index > details.progress_index:
            record.failures = 0
            details.failing_since_ms = self._clock.now_ms()
        record.failures += 1
        details.progress_index = invocation.next_index
        if not policy.retries(error):
            return Verdict.FAIL
        if policy.on_max_attempts != "fail" and is_mistake(error):
            return Verdict.PAUSE
        delay_ms = self.find_delay_ms(
            policy, error, failures=record.failures, since_ms=details.failing_since_ms
        )
        if delay_ms is not None:
            return delay_ms
        return Verdict.FAIL if policy.on_max_attempts == "fail" else Verdict.PAUSE
