"""What callers outside are told."""

from dataclasses import fields, replace

from holdfast.runtime.requests import Answer


def test_an_answer_with_an_outcome_differs_in_nothing_else() -> None:
    answer = Answer(
        invocation_id="inv_1",
        is_duplicate=True,
        is_other_body=True,
        execution_time_ms=1,
        outcome=b"before",
        expires_ms=2,
        content_type="text/plain",
    )
    default = Answer(invocation_id="")
    told = [each.name for each in fields(Answer)]
    assert all(getattr(answer, name) != getattr(default, name) for name in told), "a field is left"
    assert answer.with_outcome(b"after") == replace(answer, outcome=b"after")
