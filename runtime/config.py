"""Every limit and delay of a runtime, with its unit in its name."""

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Literal

from ..objects.errors import InvalidArgumentError
from ..objects.options import RETENTIONS, find_retention_problem
from ..objects.retry import DEFAULT_RETRY, RetryPolicy

CALLBACK_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=5),
    max_interval=timedelta(hours=1),
    jitter=0.2,
    max_attempts=None,
    max_duration=timedelta(days=3),
)
"""5 s, doubling to an hour, for three days: whoever is down over a weekend is told on Monday."""


_ABOVE_ZERO = frozenset(
    {"turn_pumps_max", "maintenance_ms", "collect_rows_max", "callback_timeout", "callbacks_max"}
)
"""With none of these the work that they bound would never be done, or never end."""
_LIMITS_IN_TIME = frozenset({"callback_timeout", "stop_grace"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """How a runtime behaves; a class, a handler or a step may say otherwise for itself."""

    retry: RetryPolicy = field(default=DEFAULT_RETRY)
    """What happens when a handler or a step raises something that is not terminal."""

    idle_ms_max: int = 60_000
    """An attempt that waits longer than this for timers, calls or awakeables leaves memory."""

    resident_attempts_max: int = 10_000
    """Attempts in memory; beyond it those that have waited longest leave, however short."""

    mailbox_invocations_max: int = 10_000
    """Calls that may wait at one key; the next one from outside is refused."""

    signals_max: int = 1_000
    """Signals that may wait for one invocation to await them; the next one from outside is
    refused."""

    retention: timedelta = timedelta(hours=24)
    """How long a completed invocation is kept, from its completion."""

    journal_retention: timedelta | None = None
    """How long its journal and the past of its state are kept, within the retention; ``None``:
    as ``retention``."""

    idempotency_retention: timedelta | None = None
    """How long its idempotency key counts, from its completion, and its outcome is kept at
    least; ``None``: as ``retention``."""

    workflow_retention: timedelta | None = None
    """How long a workflow is kept after its ``run``, with its state and its promises; ``None``: as
    ``retention``."""

    retained_bytes_max: int = 1 << 30
    """Bytes of completed invocations kept in all; beyond it the oldest go before their time."""

    idempotency_strict: bool = False
    """Refuse a duplicate whose body is another one, instead of answering the first result."""

    heartbeat_write_ms: int = 1_000
    """Between two writes of how far an action says that it has come; a killed process loses this
    much of it."""

    turn_pumps_max: int = 256
    """Handlers run in one turn before the batch is written and the loop sees to others."""

    turn_seconds_max: float = 0.01
    """The same bound in time."""

    pump_callbacks_max: int = 1_000
    """Callbacks of one handler before others get their turn."""

    spin_callbacks_max: int = 1_000_000
    """Callbacks of one handler without any delivery before it counts as spinning."""

    blocking_ms_max: int = 100
    """A handler that keeps the loop for longer, in one go, is reported in the log with its stack,
    once per place. 0 reports nothing."""

    state_cache_bytes: int = 64 << 20
    """Live state values kept between turns, so that a hot key is not decoded each time."""

    unsteps_result_bytes_max: int = 1_024
    """A larger result of a call without steps and without idempotency key is not kept."""

    always_replay: bool = False
    """For development: whenever something arrives for a handler that waits, run it again from its
    top, against its journal, so that code that is not deterministic shows at once."""

    tide_mark: Literal["overlapped", "strict"] = "overlapped"
    """How the mark is written that tells a later start how much must be there: after each sync,
    or before each acknowledgement, which costs another fsync and finds damage to the very last."""

    callback_retry: RetryPolicy = field(default=CALLBACK_RETRY)
    """When a URL that was not told the outcome of an invocation is told again."""

    callback_timeout: timedelta = timedelta(seconds=30)
    """How long such a request may take, connecting included."""

    callbacks_max: int = 32
    """Such requests at the same time; further ones wait. A host that takes a tenth of the timeout
    to answer, or longer, gets an eighth of them, until it is quick again."""

    stop_grace: timedelta = timedelta(seconds=5)
    """How long a graceful stop lets running actions finish."""

    maintenance_ms: int = 1_000
    """Between two rounds of background work: retention, log size, idle attempts."""

    collect_rows_max: int = 2_000
    """Rows that retention may delete in one slice of its work."""

    collect_seconds_max: float = 0.001
    """The same bound in time. Between two slices everybody else has their turn, for four times as
    long as the slice took when there is something to do."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, here and not where it is first looked at.

        Raises:
            InvalidArgumentError: a field is of another type, negative, or 0 where that would let
                nothing be done; or a time to keep something is longer than a hundred years.
        """
        for each in fields(self):
            _check(each.name, getattr(self, each.name), each.default)
        for name in RETENTIONS:
            problem = find_retention_problem(name, getattr(self, name))
            if problem is not None:
                message = f"RuntimeConfig: {problem}"
                raise InvalidArgumentError(message)


def _check(name: str, value: object, default: object) -> None:
    """See that ``value`` is of the kind that ``default`` is; ``None`` stands for a time."""
    match default:
        case str():
            kind, is_good = '"overlapped" or "strict"', value in {"overlapped", "strict"}
        case bool():
            kind, is_good = "a bool", isinstance(value, bool)
        case int() | float():
            is_whole = isinstance(default, int)
            kind = "a whole number" if is_whole else "a number"
            kind += " above 0" if name in _ABOVE_ZERO else ", 0 or more"
            is_good = (
                isinstance(value, int if is_whole else int | float)
                and not isinstance(value, bool)
                and value >= 0
            )
        case RetryPolicy():
            kind, is_good = "a RetryPolicy", isinstance(value, RetryPolicy)
        case _:
            kind = "a timedelta, such as timedelta(hours=1)"
            is_good = isinstance(value, timedelta) or (value is None and default is None)
            if name in _LIMITS_IN_TIME and is_good:
                kind = f"{'above' if name in _ABOVE_ZERO else 'no less than'} 0"
                is_good = isinstance(value, timedelta) and value >= timedelta(0)
    if name in _ABOVE_ZERO and not value:
        is_good = False
    if not is_good:
        message = f"RuntimeConfig: {name} is {value!r:.80}, and it must be {kind}"
        raise InvalidArgumentError(message)
