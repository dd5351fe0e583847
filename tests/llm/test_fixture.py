"""The pytest fixture ``llm_server``."""

import os

from holdfast.testing.llm import LlmServer, say
from holdfast.testing.plugin import llm_server
from tests.processes import post

__all__ = ["llm_server"]  # pytest finds a fixture by the name it has here


def test_the_environment_leads_to_the_server(llm_server: LlmServer) -> None:
    llm_server.add(say("Well."))
    assert os.environ["OPENAI_BASE_URL"] == llm_server.url
    assert os.environ["OPENAI_API_KEY"]
    status, answer = post(llm_server.port, "/v1/responses", {"model": "m", "input": "Hello?"})
    assert (status, answer["output"][0]["content"][0]["text"]) == (200, "Well.")
    llm_server.assert_played()


def test_each_test_has_a_server_of_its_own(llm_server: LlmServer) -> None:
    assert llm_server.requests == []
