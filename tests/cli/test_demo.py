"""``holdfast demo``: the real thing at a quicker pace, and its judge on made-up evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.demo.agent import STEPS
from holdfast.demo.ledger import Event, Ledger, LedgerLine
from holdfast.demo.story import VICTIM, Evidence, expected_answer, find_faults
from tests.processes import holdfast

EVENTS: tuple[Event, ...] = ("called", "halfway", "answered")


def line(event: Event, step: str, process: int) -> LedgerLine:
    return LedgerLine(event=event, step=step, idempotency_key=f"key of {step}", process=process)


@pytest.fixture
def evidence() -> Evidence:
    """What a demo leaves behind in which everything went as promised."""
    at = STEPS.index(VICTIM)
    lines = [line(event, step, 1) for step in STEPS[:at] for event in EVENTS]
    lines += [line("called", VICTIM, 1), line("halfway", VICTIM, 1)]
    lines += [line(event, step, 2) for step in STEPS[at:] for event in EVENTS]
    return Evidence(lines=lines, killed=1, answer=expected_answer(), repeated=expected_answer())


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with holdfast("demo", "--pace", "0.3", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as demo:
        code = demo.wait_exit()
        assert code == 0, demo.stdout + demo.stderr
        for step in STEPS:
            assert step in demo.stdout
        assert "SIGKILL" in demo.stdout
        assert "outcome unknown" in demo.stdout
        assert "replayed" in demo.stdout
        assert "No finished step ran again" in demo.stdout
        assert max(map(len, demo.stdout.splitlines())) <= 80
        assert "\x1b[" not in demo.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_judge_finds_nothing_wrong_with_what_was_promised(evidence: Evidence) -> None:
    assert find_faults(evidence) == []


def test_the_judge_sees_a_finished_step_that_ran_again(evidence: Evidence) -> None:
    lines = [*evidence.lines, line("called", STEPS[0], 2)]
    assert find_faults(replace(evidence, lines=lines)) == ["plan ran 2 times instead of 1"]


def test_the_judge_sees_a_step_that_never_ran(evidence: Evidence) -> None:
    lines = [each for each in evidence.lines if each.step != STEPS[-1]]
    assert find_faults(replace(evidence, lines=lines)) == ["polish ran 0 times instead of 1"]


def test_the_judge_sees_another_idempotency_key(evidence: Evidence) -> None:
    other = replace(evidence.lines[-1], step=VICTIM, idempotency_key="another")
    lines = [*evidence.lines, other]
    assert find_faults(replace(evidence, lines=lines)) == [
        "draft was given 2 idempotency keys instead of one"
    ]


def test_the_judge_sees_that_nothing_was_interrupted(evidence: Evidence) -> None:
    lines = [*evidence.lines, line("answered", VICTIM, 1)]
    assert find_faults(replace(evidence, lines=lines)) == [
        "draft had finished before the kill, so nothing was interrupted"
    ]


def test_the_judge_sees_a_wrong_or_changed_answer(evidence: Evidence) -> None:
    assert len(find_faults(replace(evidence, answer="nonsense"))) == 2
    assert len(find_faults(replace(evidence, repeated=None))) == 1


def test_a_line_that_a_kill_tore_is_not_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.append(line("called", "plan", 1))
    with (tmp_path / "ledger").open("a") as file:
        file.write('{"event": "answ')
    assert ledger.read() == [line("called", "plan", 1)]
