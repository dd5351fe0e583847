"""Each example of a runtime inside somebody else's web application, run as its users run it."""

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.crash.nursery import fork_python
from tests.processes import ROOT, Watched, free_port, wait_until

EXAMPLES = ROOT / "examples" / "embedding"
FRAMEWORKS = ["fastapi_app", "starlette_app", "litestar_app", "django_app", "aiohttp_app"]


def start(name: str, port: int, directory: Path) -> Watched:
    if name == "aiohttp_app":
        return fork_python(str(EXAMPLES / f"{name}.py"), str(port), cwd=directory)
    command = ("-m", "uvicorn", f"{name}:app", "--port", str(port), "--app-dir", str(EXAMPLES))
    return fork_python(*command, cwd=directory)


def ask(port: int, path: str, body: object = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # loopback
        f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310  # as above
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_runtime_lives_in_an_application_of(name: str, tmp_path: Path) -> None:
    port = free_port()
    with start(name, port, tmp_path) as server:
        wait_until(lambda: ask(port, "/agents/restate/health")[0] == 200, "the server")
        greet = "/agents/Greeter/s%2Fm%20%C3%BC/greet"
        assert ask(port, greet, "hello") == (200, '"hello, s/m ü, for time 1"')
        assert "for time 1" in ask(port, "/hello/sam")[1]
        status, answer = ask(port, "/agents/Greeter/sam/great", "hello")
        assert status == 404
        assert "did you mean 'greet'?" in answer
        server.signal(signal.SIGTERM)
        server.wait_exit()
    with start(name, port, tmp_path):
        wait_until(lambda: ask(port, "/agents/restate/health")[0] == 200, "the next server")
        assert ask(port, greet, "hello") == (200, '"hello, s/m ü, for time 2"')


def test_two_workers_on_one_directory_are_told_what_to_do(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    with start("fastapi_app", first, tmp_path):
        wait_until(lambda: ask(first, "/agents/restate/health")[0] == 200, "the server")
        with start("fastapi_app", second, tmp_path) as other:
            assert other.wait_exit() != 0
            assert "one process" in other.stderr
            assert "--workers 1" in other.stderr
