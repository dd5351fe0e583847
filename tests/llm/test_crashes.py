"""The scripted model and ``crash_everywhere`` together: what an agent pays for across crashes."""

from collections import Counter

import pytest

from examples.agent import Agent
from holdfast.testing import (
    Client,
    LlmRequest,
    LlmServer,
    Reply,
    always,
    call_tool,
    crash_everywhere,
    say,
    together,
)
from holdfast.testing.plugin import llm_server

__all__ = ["llm_server"]  # pytest finds a fixture by the name it has here

QUESTION = "What do I take to Oslo and Rome?"


def reply(request: LlmRequest) -> Reply:
    if request.last_text == QUESTION:
        return together(call_tool("weather", city="Oslo"), call_tool("weather", city="Rome"))
    return say("An umbrella for Oslo, a hat for Rome.")


async def ask(client: Client) -> str:
    return await client.object(Agent, "sam").ask(QUESTION)


@pytest.mark.parametrize("suspending", [False, True])
async def test_an_agent_with_tools_survives_a_crash_at_every_commit(
    llm_server: LlmServer, *, suspending: bool
) -> None:
    llm_server.add(always(reply))
    most_asked: Counter[str] = Counter()

    def next_case() -> None:
        asked = Counter(each.text for each in llm_server.requests if each.outcome == "answered")
        for text, times in asked.items():
            most_asked[text] = max(most_asked[text], times)
        llm_server.reset()

    report = await crash_everywhere(ask, [Agent], reset=next_case, suspending=suspending)
    next_case()
    assert report.ending.outcome == "An umbrella for Oslo, a hat for Rome."
    assert report.cases > 3
    # Nothing else was asked, whichever crash it was, and a prompt at most once more than needed.
    assert len(most_asked) == 2
    assert set(most_asked.values()) <= {1, 2}
