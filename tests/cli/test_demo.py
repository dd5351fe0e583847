"""``holdfast demo``: the real thing at a quicker pace, and its judge on made-up evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.demo.agent import STEPS
from holdfast.demo.model import BUSY_STEP
from holdfast.demo.verdict import VICTIM, Evidence, expected_answer, find_faults
from holdfast.testing.llm import LlmMessage, LlmRequest
from holdfast.testing.llm.request import Outcome
from tests.processes import holdfast


def request(step: str, outcome: Outcome, number: int) -> LlmRequest:
    return LlmRequest(
        number=number,
        at_seconds=2.0 * number,
        api="chat/completions",
        model="m",
        messages=(LlmMessage("user", f"{step}: and so on"),),
        tools=(),
        is_streamed=False,
        headers={"idempotency-key": f"key of {step}"},
        body={},
        outcome=outcome,
    )


@pytest.fixture
def evidence() -> Evidence:
    """What a demo leaves behind in which everything went as promised."""
    asked: list[tuple[str, Outcome]] = []
    for step in STEPS:
        if step == VICTIM:
            asked.append((step, "abandoned"))
        if step == BUSY_STEP:
            asked.append((step, "refused"))
        asked.append((step, "answered"))
    requests = [request(step, outcome, number) for number, (step, outcome) in enumerate(asked, 1)]
    return Evidence(
        requests=requests,
        asked_before=STEPS.index(VICTIM) + 1,
        answer=expected_answer(),
        repeated=expected_answer(),
    )


def changed(evidence: Evidence, number: int, **changes: object) -> Evidence:
    """The evidence, with request ``number`` otherwise."""
    requests = list(evidence.requests)
    requests[number - 1] = replace(requests[number - 1], **changes)  # type: ignore[arg-type]
    return replace(evidence, requests=requests)


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with holdfast("demo", "--pace", "0.3", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as demo:
        code = demo.wait_exit()
        assert code == 0, demo.stdout + demo.stderr
        for step in STEPS:
            assert step in demo.stdout
        assert "SIGKILL" in demo.stdout
        assert "outcome unknown" in demo.stdout
        assert "replayed" in demo.stdout
        assert "429, Retry-After: 1" in demo.stdout
        assert "No answered prompt was asked again" in demo.stdout
        assert max(map(len, demo.stdout.splitlines())) <= 80
        assert "\x1b[" not in demo.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_judge_finds_nothing_wrong_with_what_was_promised(evidence: Evidence) -> None:
    assert find_faults(evidence) == []


def test_the_judge_sees_an_answered_prompt_that_was_asked_again(evidence: Evidence) -> None:
    requests = [*evidence.requests, request("plan", "answered", 8)]
    assert find_faults(replace(evidence, requests=requests)) == [
        "plan was answered, then answered; it has to be answered"
    ]


def test_the_judge_sees_a_prompt_that_was_never_asked(evidence: Evidence) -> None:
    assert find_faults(replace(evidence, requests=evidence.requests[:-1])) == [
        "polish was never asked; it has to be answered"
    ]


def test_the_judge_sees_another_idempotency_key(evidence: Evidence) -> None:
    assert find_faults(changed(evidence, 4, headers={"idempotency-key": "another"})) == [
        "draft was asked with 2 idempotency keys instead of one"
    ]


def test_the_judge_sees_that_nothing_was_interrupted(evidence: Evidence) -> None:
    assert find_faults(changed(evidence, 3, outcome="answered")) == [
        "draft was answered, then answered; it has to be abandoned, then answered"
    ]


@pytest.mark.parametrize("asked_before", [0, 2])
def test_the_judge_sees_that_another_step_was_interrupted(
    asked_before: int, evidence: Evidence
) -> None:
    assert find_faults(replace(evidence, asked_before=asked_before)) == [
        "draft was not what the model was asked when the server was killed"
    ]


def test_the_judge_sees_a_busy_model_asked_too_early(evidence: Evidence) -> None:
    assert find_faults(changed(evidence, 6, at_seconds=10.7)) == [
        "review was asked again after 0.7 s instead of 1"
    ]


def test_the_judge_sees_a_wrong_or_changed_answer(evidence: Evidence) -> None:
    assert len(find_faults(replace(evidence, answer="nonsense"))) == 2
    assert len(find_faults(replace(evidence, repeated=None))) == 1
