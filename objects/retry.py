"""When a failed attempt is tried again. Arithmetic only: no clock, no waiting, no counting."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from .errors import InvalidDefinitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after what delay a failed attempt is tried again.

    Attributes:
        initial_interval: the delay after the first failed attempt.
        factor: each further delay is this many times the one before.
        max_interval: no delay is longer.
        max_attempts: attempts in all, the first included; ``None`` means without end.
        on_max_attempts: what happens after the last one. ``"pause"`` keeps the invocation until a
            person resumes it; ``"fail"`` ends the step or the invocation with the last error.
            ``None``: a policy given to a step means ``"fail"``, any other ``"pause"``.
    """

    initial_interval: timedelta = timedelta(milliseconds=500)
    factor: float = 2.0
    max_interval: timedelta = timedelta(seconds=60)
    max_attempts: int | None = 70
    on_max_attempts: Literal["pause", "fail"] | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that could not be followed.

        Raises:
            InvalidDefinitionError: a negative interval, a factor below 1, no attempt at all.
        """
        if self.initial_interval < timedelta(0) or self.max_interval < timedelta(0):
            message = "RetryPolicy: an interval must not be negative"
            raise InvalidDefinitionError(message)
        if not self.factor >= 1:
            message = f"RetryPolicy: factor is {self.factor}, and it must be 1 or more"
            raise InvalidDefinitionError(message)
        if self.max_attempts is not None and self.max_attempts < 1:
            message = f"RetryPolicy: max_attempts is {self.max_attempts}; use 1 for no retry"
            raise InvalidDefinitionError(message)
        if self.on_max_attempts not in {"pause", "fail", None}:
            message = f"RetryPolicy: on_max_attempts is {self.on_max_attempts!r}, not pause or fail"
            raise InvalidDefinitionError(message)

    def delay_ms(self, attempts_failed: int) -> int | None:
        """Milliseconds until the next attempt, or ``None`` when there is none left."""
        if self.max_attempts is not None and attempts_failed >= self.max_attempts:
            return None
        initial_ms = self.initial_interval / timedelta(milliseconds=1)
        max_ms = self.max_interval / timedelta(milliseconds=1)
        try:
            delay_ms = initial_ms * self.factor ** (attempts_failed - 1)
        except OverflowError:
            delay_ms = max_ms
        return round(min(delay_ms, max_ms))


DEFAULT_RETRY = RetryPolicy()
"""500 ms, doubling to 60 s, 70 attempts, then paused: Restate's defaults."""
