"""When a failed attempt is tried again. Arithmetic only: no clock, no chance, no counting."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, cast

from .errors import (
    InvalidDefinitionError,
    RetryableError,
    read_retry_after,
)
from .groups import is_a, leaves_of

ErrorTypes = tuple[type[Exception], ...]

RETRY_AFTER_MAX: Final = timedelta(days=1)
"""The longest wait that a ``RetryableError`` can ask for; whoever says more is mistaken."""

_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after what delay a failed attempt is tried again, and for which errors.

    Attributes:
        initial_interval: the delay after the first failed attempt.
        factor: each further delay is this many times the one before.
        max_interval: no delay is longer.
        jitter: up to this part of each delay is left out by chance, 0 for none, 1 for all of it, so
            that many that failed together do not come back together. To a delay that a
            ``RetryableError`` asked for it is added instead.
        max_attempts: attempts in all, the first included; ``None`` means without end. Of a handler
            only those count that follow each other without progress: when the journal has grown
            since the last failed one, counting begins again.
        max_duration: of a step no attempt begins later than this after the first one began, also
            where nothing ran when it was due. Of a handler none is planned for later than this
            after the first of the failed ones that count ended; one that is late is made.
        on_max_attempts: what happens after the last one. ``"pause"`` keeps the invocation until a
            person resumes it; ``"fail"`` ends the step or the invocation with the last error.
            ``None``: a policy given to a step means ``"fail"``, any other ``"pause"``.
        retry_on: only these exceptions, and ``RetryableError``, are tried again; ``None``: all.
        stop_on: these are not, whatever ``retry_on`` says. An exception that is not tried again is
            final at once: a ``StepFailedError`` for the handler, or the handler's outcome.
    """

    initial_interval: timedelta = timedelta(milliseconds=500)
    factor: float = 2.0
    max_interval: timedelta = timedelta(seconds=60)
    jitter: float = 0.0
    max_attempts: int | None = 70
    max_duration: timedelta | None = None
    on_max_attempts: Literal["pause", "fail"] | None = None
    retry_on: ErrorTypes | None = None
    stop_on: ErrorTypes = ()

    def __post_init__(self) -> None:
        """Refuse a policy that could not be followed.

        Raises:
            InvalidDefinitionError: a negative interval, a factor below 1, no attempt at all, no
                time at all, a jitter beyond 0 to 1, or something that is no tuple of exceptions.
        """
        for name in ("initial_interval", "max_interval"):
            if not isinstance(getattr(self, name), timedelta):
                message = (
                    f"RetryPolicy: {name} is {getattr(self, name)!r:.80}, and it must be a "
                    f"timedelta, such as timedelta(seconds=1)"
                )
                raise InvalidDefinitionError(message)
        if self.initial_interval < timedelta(0) or self.max_interval < timedelta(0):
            message = "RetryPolicy: an interval must not be negative"
            raise InvalidDefinitionError(message)
        if not isinstance(cast("object", self.factor), int | float) or not self.factor >= 1:
            message = f"RetryPolicy: factor is {self.factor!r:.80}, and it must be 1 or more"
            raise InvalidDefinitionError(message)
        if not isinstance(cast("object", self.jitter), int | float) or not 0 <= self.jitter <= 1:
            message = f"RetryPolicy: jitter is {self.jitter!r:.80}, and it must be from 0 to 1"
            raise InvalidDefinitionError(message)
        if self.max_attempts is not None and (
            not isinstance(cast("object", self.max_attempts), int) or self.max_attempts < 1
        ):
            message = (
                f"RetryPolicy: max_attempts is {self.max_attempts!r:.80}, and it must be a whole "
                f"number; use 1 for no retry, None for no end"
            )
            raise InvalidDefinitionError(message)
        if self.max_duration is not None and (
            not isinstance(cast("object", self.max_duration), timedelta)
            or self.max_duration <= timedelta(0)
        ):
            message = (
                f"RetryPolicy: max_duration is {self.max_duration!r:.80}, and it must be a "
                f"timedelta above zero; use max_attempts=1 for no retry"
            )
            raise InvalidDefinitionError(message)
        if self.on_max_attempts not in {"pause", "fail", None}:
            message = f"RetryPolicy: on_max_attempts is {self.on_max_attempts!r}, not pause or fail"
            raise InvalidDefinitionError(message)
        _check_types("retry_on", () if self.retry_on is None else self.retry_on)
        _check_types("stop_on", self.stop_on)

    def retries(self, error: BaseException) -> bool:
        """Whether an attempt that raised ``error`` is tried again at all.

        A group counts as what is in it: one that stops, stops; all must be such as are retried.
        """
        return all(self._retries(each) for each in leaves_of(error))

    def _retries(self, error: BaseException) -> bool:
        kind = type(error)  # ``isinstance`` would ask the error for its class: see ``groups``.
        if issubclass(kind, self.stop_on):
            return False
        if self.retry_on is None or issubclass(kind, RetryableError):
            return True
        return issubclass(kind, self.retry_on)

    def delay_ms(
        self,
        attempts_failed: int,
        *,
        elapsed_ms: int = 0,
        asked_ms: int | None = None,
        chance: float = 0.0,
    ) -> int | None:
        """Milliseconds until the next attempt, or ``None`` when there is none left.

        Args:
            attempts_failed: attempts that count and have failed, the last one included.
            elapsed_ms: how much of ``max_duration`` has gone by.
            asked_ms: the delay that the error itself asks for, see ``find_asked_ms``.
            chance: from 0 to 1, drawn anew for each delay; only ``jitter`` looks at it.
        """
        if self.max_attempts is not None and attempts_failed >= self.max_attempts:
            return None
        if asked_ms is None:
            delay_ms = self._backoff_ms(attempts_failed) * (1 - self.jitter * chance)
        else:
            delay_ms = min(asked_ms, RETRY_AFTER_MAX / _MS) * (1 + self.jitter * chance)
        if self.max_duration is not None and elapsed_ms + delay_ms > self.max_duration / _MS:
            return None
        return round(delay_ms)

    def _backoff_ms(self, attempts_failed: int) -> float:
        max_ms = self.max_interval / _MS
        if not self.initial_interval:
            return 0  # However large the factor has become, and it may be no number by then.
        try:
            delay_ms = self.initial_interval / _MS * self.factor ** (attempts_failed - 1)
        except OverflowError:
            return max_ms
        return min(delay_ms, max_ms)


def find_asked_ms(error: BaseException, now_ms: int) -> int | None:
    """The delay that ``error``, or the most patient of a group, asks for at ``now_ms``.

    ``now_ms`` is milliseconds since 1970; ``None``: it does not ask for any.
    """
    asked = [
        wait_ms
        for each in leaves_of(error)
        if is_a(each, RetryableError)
        and (wait_ms := _wait_ms(getattr(each, "retry_after", None), now_ms)) is not None
    ]
    return max(asked, default=None)


def _wait_ms(retry_after: object, now_ms: int) -> int | None:
    """The wait that an error says; ``None``: it says none, or something that is no wait.

    Whoever made the error, or a class of its own, may have put anything there, and what a failed
    attempt leads to is decided where nothing may go wrong any more.
    """
    try:
        moment = read_retry_after(retry_after)
        if isinstance(moment, datetime):
            return max(0, round(moment.timestamp() * 1000) - now_ms)
    except Exception:  # noqa: BLE001  # as just said; also of what cannot be shown in a message
        return None
    return None if moment is None else max(0, round(moment / _MS))


def _check_types(name: str, types: object) -> None:
    """Refuse what ``isinstance`` would not take, or what no attempt fails with."""
    if isinstance(types, tuple) and all(
        isinstance(each, type) and issubclass(each, Exception)
        for each in cast("tuple[object, ...]", types)
    ):
        return
    message = (
        f"RetryPolicy: {name} is a tuple of exception classes, as in {name}=(ConnectionError,), "
        f"but this is {types!r:.80}"
    )
    raise InvalidDefinitionError(message)


DEFAULT_RETRY = RetryPolicy()
"""500 ms, doubling to 60 s, 70 attempts, then paused: Restate's defaults."""
