"""The judge on made-up evidence: it is content with a world in order, and sees each broken promise.

A judge that is never shown a crime proves nothing about those it acquits.
"""

from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from tests.crash.judge import find_violations
from tests.crash.ledger import Answered, Asked, Began, End, Ended, Finished, Killed, Line, Resolved


@dataclass(frozen=True)
class Evidence:
    """A ledger, and the histories that go with it."""

    lines: list[Line]
    histories: dict[str, list[str]]

    def violations(self) -> list[str]:
        return find_violations(self.lines, self.histories)


def asked(token: str, target: str, handler: str, **arguments: Any) -> Asked:
    argument: Any = {"token": token, **arguments} if arguments else token
    return Asked(token=token, target=target, handler=handler, argument=argument)


def answered(
    token: str, result: Any = None, *, is_send: bool = False, invocation: str = ""
) -> Answered:
    name = invocation or f"inv_{token}"
    return Answered(token=token, invocation=name, is_send=is_send, result=result)


def resolved(token: str, value: str) -> Resolved:
    return Resolved(token=token, value=value)


def began(
    token: str, target: str, step: str, *after: str, attempt: int = 1, process: int = 1
) -> Began:
    return Began(
        invocation=f"inv_{token}",
        target=target,
        step=step,
        attempt=attempt,
        key=f"{token}-{step}",
        after=after,
        payload=token,
        not_before_ms=1_000,
        process=process,
        at_ms=1_000,
    )


def finished(token: str, step: str, process: int = 1) -> Finished:
    return Finished(invocation=f"inv_{token}", step=step, process=process, at_ms=1_001)


def ended(process: int, how: End) -> Ended:
    return Ended(process=process, how=how)


@pytest.fixture
def order() -> Evidence:
    """Two counts, a turn that a crash interrupted, a stop, sends, an approval and a read."""
    lines: list[Line] = [
        asked("c1", "Counter/k", "add", amount=2),
        answered("c1", {"count": 1, "total": 2}),
        asked("c2", "Counter/k", "add", amount=3),
        answered("c2", {"count": 2, "total": 5}),
        asked("r1", "Counter/k", "read"),
        answered("r1", {"count": 2, "total": 5}),
        asked("t1", "Agent/k", "turn"),
        answered("t1", is_send=True),
        asked("t2", "Agent/k", "turn"),
        began("t1", "Agent/k", "plan"),
        finished("t1", "plan"),
        began("t1", "Agent/k", "act", "plan"),
        ended(1, "killed"),
        began("t1", "Agent/k", "act", "plan", attempt=2, process=2),
        finished("t1", "act", process=2),
        began("t1", "Agent/k", "answer", "act", process=2),
        finished("t1", "answer", process=2),
        answered("t1", ["t1"]),
        began("t2", "Agent/k", "plan", process=2),
        finished("t2", "plan", process=2),
        ended(2, "stopped"),
        began("t2", "Agent/k", "act", "plan", process=3),
        began("t2", "Agent/k", "answer", "act", process=3),
        answered("t2", ["t2"]),
        asked("s1", "Sender/k", "scatter", inboxes=["a", "b"], delay_ms=9),
        answered("s1", 2),
        asked("a1", "Approval/k", "ask"),
        resolved("a1", "yes"),
        answered("a1", "yes"),
        asked("n1", "Chain/k-0", "relay", depth=1),
        answered("n1", 1),
        asked("l1", "Listener/k", "hear"),
        resolved("l1", "yes"),
        answered("l1", "yes"),
        asked("g1", "Regret/k", "regret", patient="p"),
        answered("g1", "g1 canceled"),
    ]
    histories = {
        "Counter/k": ["c1", "c2"],
        "Agent/k": ["t1", "t2"],
        "Sender/k": ["s1"],
        "Inbox/a": ["s1>0"],
        "Inbox/b": ["s1>1"],
        "Approval/k": ["a1"],
        "Chain/k-0": ["n1"],
        "Chain/k-1": ["n1"],
        "Listener/k": ["l1"],
        "Regret/k": ["g1"],
    }
    return Evidence(lines, histories)


def with_history(evidence: Evidence, object_: str, *tokens: str) -> Evidence:
    return replace(evidence, histories={**evidence.histories, object_: list(tokens)})


def with_lines(evidence: Evidence, *lines: Line) -> Evidence:
    return replace(evidence, lines=[*evidence.lines, *lines])


def replaced(evidence: Evidence, old: Line, **changes: Any) -> Evidence:
    place = evidence.lines.index(old)
    lines = list(evidence.lines)
    lines[place] = msgspec.structs.replace(old, **changes)
    return replace(evidence, lines=lines)


def test_a_world_in_order_has_no_violations(order: Evidence) -> None:
    assert order.violations() == []


def test_a_lost_acknowledgement_is_seen(order: Evidence) -> None:
    assert with_history(order, "Agent/k", "t1").violations() == [
        "t2 was acknowledged and had no turn at Agent/k"
    ]


def test_what_was_never_acknowledged_may_be_lost(order: Evidence) -> None:
    assert with_lines(order, asked("t9", "Agent/k", "turn")).violations() == []


def test_a_request_that_ran_twice_is_seen(order: Evidence) -> None:
    assert with_history(order, "Agent/k", "t1", "t2", "t1").violations() == [
        "t1 had 2 turns at Agent/k",
        "t2 was made after t1 was acknowledged and ran first at Agent/k",
    ]


def test_a_turn_that_nobody_asked_for_is_seen(order: Evidence) -> None:
    assert with_history(order, "Agent/k", "t1", "t2", "x").violations() == [
        "x had a turn at Agent/k and nobody asked for it"
    ]


def test_a_send_that_got_lost_is_seen(order: Evidence) -> None:
    assert with_history(order, "Inbox/b").violations() == [
        "s1>1 was acknowledged and had no turn at Inbox/b"
    ]


def test_a_timer_that_fired_twice_is_seen(order: Evidence) -> None:
    assert with_history(order, "Inbox/a", "s1>0", "s1>0").violations() == [
        "s1>0 had 2 turns at Inbox/a"
    ]


def test_a_timer_that_fired_early_is_seen(order: Evidence) -> None:
    early = replaced(order, began("t1", "Agent/k", "plan"), at_ms=998)
    assert early.violations() == ["step 'plan' of Agent/k began 2 ms early (t1)"]


def test_a_link_of_a_chain_that_was_left_out_is_seen(order: Evidence) -> None:
    assert with_history(order, "Chain/k-1").violations() == [
        "n1 was acknowledged and had no turn at Chain/k-1"
    ]


def test_a_swapped_order_is_seen(order: Evidence) -> None:
    lines: list[Line] = [
        asked("x1", "Sleeper/k", "nap"),
        answered("x1", is_send=True),
        asked("x2", "Sleeper/k", "nap"),
        answered("x2", is_send=True),
    ]
    swapped = with_history(with_lines(order, *lines), "Sleeper/k", "x2", "x1")
    assert swapped.violations() == [
        "x2 was made after x1 was acknowledged and ran first at Sleeper/k"
    ]


def test_two_requests_under_way_at_once_may_run_in_either_order(order: Evidence) -> None:
    lines = [asked("x1", "Sleeper/k", "nap"), asked("x2", "Sleeper/k", "nap")]
    either = with_history(with_lines(order, *lines), "Sleeper/k", "x2", "x1")
    assert either.violations() == []


def test_a_result_that_changed_is_seen(order: Evidence) -> None:
    assert with_lines(order, answered("t1", ["t1", "and more"])).violations() == [
        "the result of t1 was ['t1'] and then ['t1', 'and more']"
    ]


def test_a_duplicate_that_became_another_invocation_is_seen(order: Evidence) -> None:
    other = answered("t1", is_send=True, invocation="inv_x")
    assert with_lines(order, other).violations() == ["t1 was inv_t1 and then inv_x"]


def test_a_total_that_does_not_fit_the_history_is_seen(order: Evidence) -> None:
    wrong = answered("c2", {"count": 2, "total": 5})
    assert replaced(order, wrong, result={"count": 2, "total": 6}).violations() == [
        "Counter/k/add of c2 answered {'count': 2, 'total': 6}"
    ]


def test_a_read_that_does_not_see_what_was_answered_is_seen(order: Evidence) -> None:
    stale = answered("r1", {"count": 2, "total": 5})
    assert replaced(order, stale, result={"count": 1, "total": 2}).violations() == [
        "Counter/k/read of r1 answered {'count': 1, 'total': 2}"
    ]


def test_a_counter_that_nobody_changed_is_zero(order: Evidence) -> None:
    read = asked("r2", "Counter/other", "read")
    zero = answered("r2", {"count": 0, "total": 0})
    assert with_lines(order, read, zero).violations() == []
    one = answered("r2", {"count": 1, "total": 2})
    assert with_lines(order, read, one).violations() == [
        "Counter/other/read of r2 answered {'count': 1, 'total': 2}"
    ]


def test_a_second_word_that_won_over_the_first_is_seen(order: Evidence) -> None:
    assert replaced(order, answered("a1", "yes"), result="too late").violations() == [
        "Approval/k/ask of a1 answered too late"
    ]


def test_a_signal_that_nobody_sent_is_seen(order: Evidence) -> None:
    assert replaced(order, answered("l1", "yes"), result="too late").violations() == [
        "Listener/k/hear of l1 answered too late"
    ]


def test_a_cancellation_that_came_to_nothing_is_seen(order: Evidence) -> None:
    slept = "it came to its end"
    assert replaced(order, answered("g1", "g1 canceled"), result=slept).violations() == [
        "Regret/k/regret of g1 answered it came to its end"
    ]


def test_a_step_that_began_after_its_invocation_was_killed_is_seen(order: Evidence) -> None:
    killed = Killed(invocation="inv_p1")
    late = began("p1", "Prisoner/k", "day 1", "imprisoned")
    assert with_lines(order, late, killed).violations() == []
    assert with_lines(order, killed, late).violations() == [
        "step 'day 1' of Prisoner/k (inv_p1, p1) began after it was killed"
    ]


def test_a_finished_step_that_ran_again_is_seen(order: Evidence) -> None:
    lines = list(order.lines)
    again = began("t1", "Agent/k", "plan", attempt=2, process=2)
    lines.insert(lines.index(ended(1, "killed")) + 1, again)
    assert Evidence(lines, order.histories).violations() == [
        "step 'plan' of Agent/k (inv_t1, t1) ran again after 'act' had begun"
    ]


def test_a_step_that_ran_after_the_answer_is_seen(order: Evidence) -> None:
    late = began("t2", "Agent/k", "answer", "act", attempt=2, process=4)
    assert with_lines(order, late).violations() == [
        "step 'answer' of Agent/k (inv_t2, t2) began after t2 was answered"
    ]


def test_a_step_that_ran_twice_without_a_crash_is_seen(order: Evidence) -> None:
    lines = list(order.lines)
    first = began("t1", "Agent/k", "answer", "act", process=2)
    lines.insert(lines.index(first) + 1, msgspec.structs.replace(first, attempt=2))
    assert Evidence(lines, order.histories).violations() == [
        "step 'answer' of Agent/k (inv_t1, t1) ran twice in process 2"
    ]


def test_a_result_that_a_graceful_stop_lost_is_seen(order: Evidence) -> None:
    lines = list(order.lines)
    again = began("t2", "Agent/k", "plan", attempt=2, process=3)
    lines.insert(lines.index(ended(2, "stopped")) + 1, again)
    assert Evidence(lines, order.histories).violations() == [
        "step 'plan' of Agent/k (inv_t2, t2) ran again although it finished before a graceful stop"
    ]


def test_a_replay_that_took_another_way_is_seen(order: Evidence) -> None:
    second = began("t1", "Agent/k", "act", "plan", attempt=2, process=2)
    assert replaced(order, second, payload="other").violations() == [
        "step 'act' of Agent/k (inv_t1) got 't1' and then 'other'"
    ]


def test_an_idempotency_key_that_changed_is_seen(order: Evidence) -> None:
    second = began("t1", "Agent/k", "act", "plan", attempt=2, process=2)
    assert replaced(order, second, key="new").violations() == [
        "step 'act' of Agent/k (inv_t1) has not one idempotency key of its own: new"
    ]


def test_an_attempt_that_was_not_counted_is_seen(order: Evidence) -> None:
    second = began("t1", "Agent/k", "act", "plan", attempt=2, process=2)
    assert replaced(order, second, attempt=1).violations() == [
        "step 'act' of Agent/k (inv_t1) began attempt 1 after attempt 1"
    ]


def test_two_turns_at_once_are_seen(order: Evidence) -> None:
    lines = list(order.lines)
    lines.insert(lines.index(ended(1, "killed")), began("t2", "Agent/k", "early", process=1))
    assert Evidence(lines, order.histories).violations() == [
        "inv_t1 acted at Agent/k again after inv_t2 had",
        "inv_t2 acted at Agent/k again after inv_t1 had",
    ]
