"""The judge of the demo: what was seen, and what is wrong with it.

Nothing is believed: who asked what, and what became of it, is in the record of the model, which the
runtime never sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..testing.llm import LlmRequest
from .agent import STEPS
from .model import BUSY_STEP, RETRY_AFTER_SECONDS, answer, step_of

VICTIM = "draft"
"""The step in whose middle the server is killed."""

TOPIC = "How do agents survive a crash?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the verdict is made of.

    Attributes:
        requests: the whole record of the model.
        asked_before: how many of them had come when the server was dead.
        answer: what the caller got in the end.
        repeated: what it got when it asked once more with the same idempotency key.
    """

    requests: list[LlmRequest]
    asked_before: int
    answer: str | None
    repeated: str | None

    def of(self, step: str) -> list[LlmRequest]:
        """The requests of ``step``."""
        return [each for each in self.requests if step_of(each) == step]


def find_faults(evidence: Evidence) -> list[str]:
    """What is wrong with what was seen, one sentence each; nothing when all is as promised."""
    faults: list[str] = []
    for step in STEPS:
        seen = [each.outcome for each in evidence.of(step)]
        expected = _expected_outcomes(step)
        if seen != expected:
            faults.append(f"{step} was {_series(seen)}; it has to be {_series(expected)}")
        keys = {each.headers.get("idempotency-key") for each in evidence.of(step)}
        if len(keys) > 1:
            faults.append(f"{step} was asked with {len(keys)} idempotency keys instead of one")
    if [step_of(each) for each in evidence.requests[: evidence.asked_before]][-1:] != [VICTIM]:
        faults.append(f"{VICTIM} was not what the model was asked when the server was killed")
    faults += _find_haste(evidence.of(BUSY_STEP))
    if evidence.answer != expected_answer():
        faults.append(f"the answer is {evidence.answer!r} instead of {expected_answer()!r}")
    if evidence.repeated != evidence.answer:
        faults.append(f"asked again with the same key, the answer is {evidence.repeated!r}")
    return faults


def expected_answer() -> str:
    """The report, made without any runtime: each step's text from the one before."""
    text = TOPIC
    for step in STEPS:
        text = answer(f"{step}: {text}")
    return text


def _expected_outcomes(step: str) -> list[str]:
    """What has to become of the requests of ``step``: one is answered, and it is the last."""
    first = {VICTIM: ["abandoned"], BUSY_STEP: ["refused"]}
    return [*first.get(step, []), "answered"]


def _find_haste(requests: Sequence[LlmRequest]) -> list[str]:
    """Whether the model was asked again before the time that it had named."""
    if len(requests) < 2:
        return []
    waited = requests[1].at_seconds - requests[0].at_seconds
    if waited >= RETRY_AFTER_SECONDS:
        return []
    return [f"{BUSY_STEP} was asked again after {waited:.1f} s instead of {RETRY_AFTER_SECONDS}"]


def _series(outcomes: Sequence[str]) -> str:
    return ", then ".join(outcomes) or "never asked"
