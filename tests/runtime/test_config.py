"""A configuration that cannot be meant is refused where it is written."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast import InvalidArgumentError, RuntimeConfig


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"retention": 5}, r"retention is 5, and it must be a timedelta, such as"),
        ({"retention": timedelta(days=-1)}, "retention is -1 day"),
        ({"journal_retention": 5}, "journal_retention is 5, and it must be a timedelta"),
        ({"stop_grace": 5}, "stop_grace is 5, and it must be a timedelta"),
        ({"stop_grace": None}, "stop_grace is None"),
        ({"idle_ms_max": timedelta(seconds=1)}, "idle_ms_max is .*whole number"),
        ({"idle_ms_max": -1}, "idle_ms_max is -1"),
        ({"signals_max": True}, "signals_max is True"),
        ({"turn_seconds_max": "0.1"}, "turn_seconds_max is '0.1', and it must be a number"),
        ({"always_replay": "yes"}, "always_replay is 'yes', and it must be a bool"),
        ({"retry": 3}, "retry is 3, and it must be a RetryPolicy"),
        ({"turn_pumps_max": 0}, "turn_pumps_max is 0, and it must be a whole number above 0"),
        ({"maintenance_ms": 0}, "maintenance_ms is 0, and it must be a whole number above 0"),
        ({"collect_rows_max": 0}, "collect_rows_max is 0, and it must be"),
        ({"callbacks_max": 0}, "callbacks_max is 0, and it must be a whole number above 0"),
        ({"callback_timeout": timedelta(0)}, "callback_timeout is .*, and it must be above 0"),
        ({"callback_timeout": timedelta(-1)}, "callback_timeout is .*, and it must be above 0"),
        ({"stop_grace": timedelta(-1)}, "stop_grace is .*, and it must be no less than 0"),
        ({"tide_mark": "strickt"}, "tide_mark is 'strickt'"),
    ],
)
def test_a_field_that_cannot_be_meant_is_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"RuntimeConfig: {sentence}"):
        RuntimeConfig(**options)


def test_what_is_left_to_another_field_may_be_none_and_bounds_may_be_zero() -> None:
    config = RuntimeConfig(journal_retention=None, blocking_ms_max=0, turn_seconds_max=1)
    assert config.journal_retention is None
    assert RuntimeConfig(stop_grace=timedelta(0)).stop_grace == timedelta(0)
