"""The whole suite with replay forced at every await: a plugin of pytest.

    python -m pytest -p tests.replay.plugin tests/runtime tests/laws ...

Every runtime in the process of the tests runs a handler again from its top, against its journal,
whenever anything arrives for it. Each test must end as it does without; those that count how often
a handler's code ran are left out by name, with the reason.
"""

import pytest

from holdfast import RuntimeConfig

COUNTS = "counts how often the code of a handler ran, which this changes"

LEFT_OUT = {
    "laws/test_always_replay.py": "compares handlers with and without",
    "laws/test_replay_cases.py::test_what_a_shared_handler_read_between_two_results": (
        "looks at a read that nothing followed, which is not recorded, and ends the attempt there"
    ),
    "runtime/test_sagas.py::test_once_begun_it_is_taken_back_although_the_error": COUNTS,
    "runtime/test_cancel.py::test_one_that_backs_off_is_woken_to_clean_up": COUNTS,
    "runtime/test_pause.py::test_a_resume_does_not_wait_for_the_next_attempt": COUNTS,
    "runtime/test_budget.py": "counts the functions that a call costs",
    "runtime/test_tracing.py::test_actions_are_spans_below_the_attempt": COUNTS,
    "kit/test_crash_everywhere.py::test_what_a_handler_keeps_in_the_process": COUNTS,
    "kit/test_crash_everywhere.py::test_what_the_call_raised_after_a_crash": COUNTS,
    "kit/test_stage.py::test_suspending_has_every_handler_that_waits_replay": COUNTS,
}
"""Beginnings of the ids of tests, and why."""


def pytest_configure() -> None:
    defaults = RuntimeConfig.__init__.__kwdefaults__
    assert defaults is not None
    assert defaults["always_replay"] is False, "the option is gone or its default is another one"
    defaults["always_replay"] = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [
        item for item in items if item.nodeid.removeprefix("tests/").startswith(tuple(LEFT_OUT))
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
