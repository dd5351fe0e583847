"""How to test an object: on virtual time, against a model that is a function of the test.

    pip install 'holdfast[testing]'
    pytest examples/test_assistant.py

`crash_everywhere` is the one to begin with: it kills the process at each commit of a call and
compares how it ends. The other tests show the fixtures it comes with; `docs/testing.md` has all.
"""

import pytest

from examples import assistant
from examples.assistant import Assistant
from holdfast import step_info
from holdfast.testing import (
    Client,
    Effects,
    Step,
    VirtualRuntime,
    assert_journal,
    crash_everywhere,
)

MODEL = Effects()
"""What the model was asked. No crash touches it, because the model is outside."""


async def fake_model(messages: list[dict[str, str]]) -> str:
    question = messages[-1]["content"]
    MODEL.add("asked", question)
    if question == "Are you there?" and step_info().attempt == 1:
        raise ConnectionError("not yet")
    return f"You said: {question}"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    MODEL.clear()
    monkeypatch.setattr(assistant, "call_model", fake_model)


@pytest.fixture
def holdfast_classes() -> list[type]:
    """What the `runtime` fixture serves."""
    return [Assistant]


async def test_a_session_remembers(runtime: VirtualRuntime) -> None:
    sam = runtime.object(Assistant, "sam")
    assert await sam.ask("Why?") == "You said: Why?"
    assert [message["role"] for message in await sam.transcript()] == ["user", "assistant"]


async def test_a_model_that_fails_is_asked_again_later(runtime: VirtualRuntime) -> None:
    before = runtime.clock.now_ms()
    # The retry waits for half a second, and the time of a test stands still until it is moved.
    answer = await runtime.finish(runtime.object(Assistant, "sam").ask("Are you there?"))
    assert answer == "You said: Are you there?"
    assert MODEL.count("asked", "Are you there?") == 2
    assert runtime.clock.now_ms() - before >= 500


async def test_only_the_model_call_is_a_step(runtime: VirtualRuntime) -> None:
    await runtime.object(Assistant, "sam").ask("Why?")
    assert_journal(
        runtime,
        "Assistant/sam/ask",
        [Step("llm", "You said: Why?")],
        outcome="You said: Why?",
    )


async def test_a_conversation_survives_a_crash_at_any_commit() -> None:
    async def converse(client: Client) -> list[str]:
        sam = client.object(Assistant, "sam")
        return [await sam.ask("Why?"), await sam.ask("And then?")]

    report = await crash_everywhere(converse, [Assistant], effects=MODEL)
    assert report.ending.outcome == ["You said: Why?", "You said: And then?"]
    assert len(report.ending.state["Assistant/sam"]["history"]) == 4
