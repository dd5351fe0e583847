"""``python -m holdfast.testing.llm``: the scripted model in a process of its own."""

import http.client
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Running, post, wait_until


def serve(directory: Path, *arguments: str) -> Running:
    return Running(sys.executable, "-m", "holdfast.testing.llm", *arguments, cwd=directory)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    replies = [{"when": "rain", "say": "Take one."}, {"say": "Hello"}, {"stall": None, "say": "z"}]
    (tmp_path / "script.json").write_text(json.dumps(replies))
    return tmp_path


def ask(port: int, text: str) -> tuple[int, Any]:
    return post(port, "/v1/responses", {"model": "m", "input": text}, {"idempotency-key": text})


def asked(port: int) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/requests")
        requests: list[Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return requests


def test_a_script_is_served_and_tells_what_was_asked(here: Path) -> None:
    with serve(here, "script.json", "--port", "0") as server:
        started = server.wait_line(
            r"Scripted model on http://127\.0\.0\.1:(\d+)/v1, 3 replies of s"
        )
        port = int(started[1])
        assert ask(port, "Well?")[1]["output"][0]["content"][0]["text"] == "Hello"
        assert ask(port, "Does it rain?")[1]["output"][0]["content"][0]["text"] == "Take one."
        assert [
            (each["number"], each["last_text"], each["headers"]["idempotency-key"], each["outcome"])
            for each in asked(port)
        ] == [(1, "Well?", "Well?", "answered"), (2, "Does it rain?", "Does it rain?", "answered")]
        server.wait_line(r"   2  responses  'Does it rain\?'  say\('Take one\.'\)\n")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert server.stderr == ""


def test_a_silence_is_ended_from_outside(here: Path) -> None:
    with serve(here, "script.json", "--port", "0") as server:
        port = int(server.wait_line(r"http://127\.0\.0\.1:(\d+)/v1")[1])
        ask(port, "a")
        caller = http.client.HTTPConnection("127.0.0.1", port)
        caller.request("POST", "/v1/responses", json.dumps({"model": "m", "input": "b"}))
        wait_until(
            lambda: [each["outcome"] for each in asked(port)] == ["answered", "stalled"],
            "the second to stall",
        )
        assert post(port, "/release") == (204, None)
        assert json.load(caller.getresponse())["status"] == "completed"
        caller.close()
        server.signal(signal.SIGINT)
        assert server.wait_exit() == 0


def test_a_script_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text('[{"say": "a"}, {"sya": "b"}]')
    with serve(tmp_path, "script.json") as server:
        assert server.wait_exit() == 1
        assert (
            server.stderr == "llm: script.json, reply 2: 'sya' is not for it; it has the keys sya\n"
        )


def test_a_taken_port_is_refused(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve(here, "script.json", "--port", str(port)) as server:
            assert server.wait_exit() == 1
            assert f"port {port}: Address already in use" in server.stderr
