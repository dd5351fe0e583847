"""What may have happened twice, what must not, and what a dead process cannot have done."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

from holdfast import StepInfo, StepOptions
from holdfast.journal import codec, keys
from holdfast.journal.entry import Cancel, Completion, Run
from holdfast.journal.memory import MemoryStore
from holdfast.journal.records import InvocationRecord, InvocationState, StepRecord, StepState
from holdfast.objects.identity import InvocationId, Target, format_invocation_id
from holdfast.objects.serde import packed_serde
from holdfast.objects.step_info import current_step
from holdfast.objects.syscalls import Action
from holdfast.runtime.step_plan import Step, StepPlan
from holdfast.testing import Effects, StepEffects
from holdfast.testing.effects import NO_STEP, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

ID = InvocationId(b"0123456789abcdef")


class Process:
    """A process that runs one step of one invocation, and a disk that says what a test wants."""

    def __init__(self) -> None:
        self.is_alive = True
        self.witness = Witness(lambda: self.is_alive)
        self.effects = Effects()
        self.effects.begin(self.witness)
        self.tokens: list[Token[StepInfo]] = []
        self.rows: dict[bytes, bytes] = {}
        self.keep_invocation(InvocationState.BEGUN)
        self.rows[keys.journal(ID, 1)] = codec.encode_command(Run("pay"), 0, "")

    def keep_invocation(self, state: InvocationState) -> None:
        record = InvocationRecord(target=Target("Shop", "s", "sell"), state=state, sequence=1)
        self.rows[keys.invocation(ID)] = record.encode()

    def launch(
        self, on_unknown: Any = "retry", *, attempt: int = 1, verifies: bool = False
    ) -> None:
        plan = StepPlan(
            name="pay",
            action=Action(print, (), {}),
            options=StepOptions(on_unknown=on_unknown),
            result=packed_serde(Any),
            context=copy_context(),
        )
        step = Step(invocation_id=ID, index=1, plan=plan, attempt=attempt, is_verifying=verifies)
        self.witness.launched(step, MemoryStore(self.rows))
        info = StepInfo(
            name="pay",
            attempt=attempt,
            idempotency_key=step.idempotency_key,
            invocation_id=format_invocation_id(ID),
        )
        self.tokens.append(current_step.set(info))

    def die(self) -> None:
        self.witness.died(MemoryStore(self.rows))


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    for token in reversed(process.tokens):
        current_step.reset(token)


def test_a_step_that_was_cut_off_counts_once_when_it_runs_again(process: Process) -> None:
    process.launch()
    process.effects.add("debit")
    process.die()
    process.launch()
    process.effects.add("debit")
    process.effects.add("receipt", 7)

    assert process.witness.effects() == (
        StepEffects("Shop/s/sell: pay", ("debit", ("receipt", 7))),
    )
    assert process.effects.lines == ["debit", "debit", ("receipt", 7)]
    assert process.effects.count("debit") == 2
    assert len(process.witness.repeated) == 1
    assert process.witness.faults == []


def test_a_fake_that_knows_a_payment_by_its_key_counts_it_once_as_well(process: Process) -> None:
    process.launch()
    process.effects.add("debit")
    process.die()
    process.launch()

    assert process.witness.effects() == (StepEffects("Shop/s/sell: pay", ("debit",)),)


def test_attempts_that_failed_all_count(process: Process) -> None:
    process.launch()
    process.effects.add("tried")
    process.rows[keys.step(ID, 1)] = StepRecord(state=StepState.FAILED, attempt=1).encode()
    process.die()
    process.launch(attempt=2)
    process.effects.add("tried")

    assert process.witness.effects() == (StepEffects("Shop/s/sell: pay", ("tried", "tried")),)
    assert process.witness.repeated == []


@pytest.mark.parametrize("end", ["completion", "cancel"])
def test_a_step_whose_end_is_on_disk_must_not_run_again(process: Process, end: str) -> None:
    process.launch()
    process.rows[keys.journal(ID, 2)] = (
        codec.encode_completion(Completion(1, 0, b"\xc0"))
        if end == "completion"
        else codec.encode_command(Cancel(1), 0, "")
    )
    process.die()
    process.launch()

    assert process.witness.faults == ["Shop/s/sell: pay ran again although its end was on disk"]


def test_a_step_that_must_not_run_again_must_not(process: Process) -> None:
    process.launch("fail")
    process.die()
    process.launch("fail", attempt=2)

    assert process.witness.faults == [
        'Shop/s/sell: pay ran again although it says on_unknown="fail"'
    ]


@pytest.mark.parametrize("is_held", [True, False])
def test_a_held_step_runs_again_only_when_it_was_held(process: Process, *, is_held: bool) -> None:
    process.launch("pause")
    process.die()
    if is_held:
        process.keep_invocation(InvocationState.PAUSED)
    process.witness.rested(MemoryStore(process.rows))
    process.launch("pause", attempt=2)

    assert len(process.witness.faults) == (0 if is_held else 1)


def test_asking_what_became_of_a_step_is_not_running_it(process: Process) -> None:
    process.launch(find_payment)
    process.die()
    process.launch(find_payment, verifies=True)
    assert process.witness.repeated == []
    process.launch(find_payment, attempt=2)

    (sentence,) = process.witness.repeated
    assert sentence.endswith("its verify said that it had never happened")


def find_payment(_: object) -> None: ...


def test_what_a_dead_process_does_in_its_clean_up_did_not_happen(process: Process) -> None:
    process.launch()
    process.is_alive = False
    process.effects.add("refund")

    assert process.effects.lines == []
    assert process.witness.effects() == (StepEffects("Shop/s/sell: pay", ()),)


def test_what_is_done_outside_of_a_step_is_told_apart(process: Process) -> None:
    process.effects.add("hey")
    process.effects.add("hey")

    assert process.witness.effects() == (StepEffects(NO_STEP, ("hey", "hey")),)


def test_effects_are_kept_without_anyone_who_looks_on() -> None:
    effects = Effects()
    effects.add("paid", 12)
    assert effects.lines == [("paid", 12)]
    assert repr(effects) == "Effects([('paid', 12)])"
    effects.clear()
    assert effects.lines == []
