"""The fixture of this package, for the plugin that pytest finds. Only this module needs pytest."""

from collections.abc import Iterator

import pytest

from .server import LlmServer


@pytest.fixture
def llm_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    """A scripted model with an empty script; ``llm_server.add(say("Hello"))`` fills it.

    OPENAI_BASE_URL and OPENAI_API_KEY lead to it while the test runs, so that a client which is
    made with no arguments calls it and nobody else.
    """
    with LlmServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "scripted")
        yield server
