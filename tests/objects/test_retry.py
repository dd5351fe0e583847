"""Retry policies: arithmetic, and which errors are worth another attempt."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import (
    InvalidArgumentError,
    InvalidDefinitionError,
    RetryableError,
    RetryPolicy,
    TerminalError,
)
from holdfast.objects.retry import RETRY_AFTER_MAX, find_asked_ms

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
SECOND = timedelta(seconds=1)


def test_delays_double_up_to_the_longest_and_end_with_the_last_attempt() -> None:
    policy = RetryPolicy(initial_interval=SECOND, max_interval=5 * SECOND, max_attempts=6)

    assert [policy.delay_ms(failed) for failed in range(1, 7)] == [
        1000,
        2000,
        4000,
        5000,
        5000,
        None,
    ]


def test_a_policy_without_end_has_a_delay_for_any_attempt() -> None:
    assert RetryPolicy(max_attempts=None).delay_ms(1_000_000) == 60_000


@given(failed=st.integers(1, 50), jitter=st.floats(0, 1), chance=st.floats(0, 1))
def test_jitter_only_takes_away(failed: int, jitter: float, chance: float) -> None:
    plain = RetryPolicy(max_attempts=None).delay_ms(failed)
    delay = RetryPolicy(max_attempts=None, jitter=jitter).delay_ms(failed, chance=chance)

    assert plain is not None
    assert delay is not None
    assert plain * (1 - jitter) - 1 <= delay <= plain


def test_jitter_is_added_to_a_wait_that_the_error_asked_for() -> None:
    policy = RetryPolicy(jitter=0.5)

    assert policy.delay_ms(1, asked_ms=10_000, chance=0) == 10_000
    assert policy.delay_ms(1, asked_ms=10_000, chance=1) == 15_000


def test_no_attempt_begins_after_the_longest_duration() -> None:
    policy = RetryPolicy(initial_interval=SECOND, factor=1, max_duration=10 * SECOND)

    assert policy.delay_ms(1, elapsed_ms=9_000) == 1000
    assert policy.delay_ms(1, elapsed_ms=9_001) is None
    assert policy.delay_ms(1, elapsed_ms=0, asked_ms=10_001) is None


def test_a_wait_that_is_asked_for_is_a_day_at_most() -> None:
    policy = RetryPolicy()

    assert policy.delay_ms(1, asked_ms=10**15) == RETRY_AFTER_MAX / timedelta(milliseconds=1)
    assert policy.delay_ms(70, asked_ms=1) is None, "it counts as an attempt like any other"


@pytest.mark.parametrize(
    ("retry_after", "expected_ms"),
    [
        (None, None),
        ("2", 2000),
        (" 1.5 ", 1500),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30_000),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30_000),
        ("Sun Mar  1 12:00:30 2026", 30_000),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
        ("-4", 0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("1e999", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
        ("Sun, 01 Mar 99999999999999999999 12:00:30 GMT", None),
        (2, 2000),
        (0.25, 250),
        (-1, 0),
        (timedelta(minutes=1), 60_000),
        (timedelta(seconds=-1), 0),
    ],
)
def test_a_wait_is_a_timedelta_or_seconds_or_what_a_header_says(
    retry_after: Any, expected_ms: int | None
) -> None:
    error = RetryableError("busy", retry_after=retry_after)

    assert error.message == "busy"
    assert find_asked_ms(error, NOW_MS) == expected_ms


@pytest.mark.parametrize("retry_after", [[1], b"1", True, float("nan"), float("inf"), 1e300])
def test_a_wait_of_another_type_is_refused_with_what_it_is(retry_after: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="retry_after is a timedelta, a number of sec"):
        RetryableError("busy", retry_after=retry_after)


@pytest.mark.parametrize(
    ("put_there", "expected_ms"),
    [
        (5, 5000),
        ("2", 2000),
        (float("nan"), None),
        (True, None),
        ([1], None),
    ],
)
def test_whatever_was_put_where_the_wait_stands_is_a_wait_or_none(
    put_there: Any, expected_ms: int | None
) -> None:
    error = RetryableError("busy")
    error.retry_after = put_there

    assert find_asked_ms(error, NOW_MS) == expected_ms


@pytest.mark.parametrize("factor", [2.0, float("inf")])
def test_no_interval_stays_none_however_often_it_grows(factor: float) -> None:
    policy = RetryPolicy(initial_interval=timedelta(0), factor=factor, max_attempts=None)

    assert [policy.delay_ms(failed) for failed in (1, 2, 2_000)] == [0, 0, 0]


def test_a_group_waits_for_the_most_patient() -> None:
    errors = [RetryableError("a", retry_after=3), OSError(), RetryableError("b", retry_after=5)]
    group = ExceptionGroup("", [ExceptionGroup("", errors[:1]), *errors[1:]])

    assert find_asked_ms(group, NOW_MS) == 5000


def test_what_stops_wins_over_what_is_retried() -> None:
    policy = RetryPolicy(retry_on=(OSError,), stop_on=(FileNotFoundError,))

    assert policy.retries(ConnectionError())
    assert not policy.retries(FileNotFoundError())
    assert not policy.retries(ValueError())
    assert policy.retries(RetryableError()), "it says itself that it is worth another attempt"
    assert not RetryPolicy(stop_on=(RetryableError,)).retries(RetryableError())
    assert RetryPolicy().retries(KeyboardInterrupt())


def test_a_group_is_retried_when_all_in_it_are() -> None:
    policy = RetryPolicy(retry_on=(OSError,))

    assert policy.retries(ExceptionGroup("", [ConnectionError(), TimeoutError()]))
    assert not policy.retries(ExceptionGroup("", [ConnectionError(), ValueError()]))
    assert not policy.retries(ExceptionGroup("", [ExceptionGroup("", [ValueError()])]))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"jitter": 1.5}, "jitter is 1.5, and it must be from 0 to 1"),
        ({"jitter": float("nan")}, "jitter is nan"),
        ({"jitter": "half"}, "jitter is 'half'"),
        ({"initial_interval": 5}, "initial_interval is 5, and it must be a timedelta"),
        ({"max_interval": None}, "max_interval is None, and it must be a timedelta"),
        ({"factor": "2"}, "factor is '2', and it must be 1 or more"),
        ({"max_attempts": "3"}, "max_attempts is '3', and it must be a whole number"),
        ({"max_duration": timedelta(0)}, "max_duration is .* timedelta above zero"),
        ({"max_duration": 5}, "max_duration is 5, and it must be a timedelta"),
        ({"retry_on": ConnectionError}, r"as in retry_on=\(ConnectionError,\)"),
        ({"retry_on": (KeyboardInterrupt,)}, "retry_on is a tuple of exception classes"),
        ({"stop_on": ("ValueError",)}, "stop_on is a tuple of exception classes"),
        ({"stop_on": [ValueError]}, "stop_on is a tuple of exception classes"),
        ({"stop_on": None}, "stop_on is a tuple of exception classes"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidDefinitionError, match=sentence):
        RetryPolicy(**options)


def test_a_retryable_error_is_no_outcome() -> None:
    assert not issubclass(RetryableError, TerminalError)
    assert str(RetryableError("busy")) == "[HF0016] busy"
