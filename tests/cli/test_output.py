"""What is printed cannot be written: real processes, whose output goes to a full disk."""

import http.client
import signal
import sys
from pathlib import Path

import pytest

from holdfast.journal.rocks import RocksStore
from tests.processes import Running, complaints, free_port, post, wait_until

ECHO = """
from holdfast import Context, Service, handler

class Echo(Service):
    @handler
    async def say(self, ctx: Context, text: str) -> str:
        return text
"""
BUFFERED = {"PYTHONUNBUFFERED": ""}


def to_full_disk(what: str, *arguments: str, cwd: Path, env: dict[str, str]) -> Running:
    """``holdfast`` with ``what`` it prints, a redirection of the shell's, on a full disk."""
    script = f'exec "$0" -m holdfast "$@" {what} /dev/full'
    return Running("sh", "-c", script, sys.executable, *arguments, cwd=cwd, env=env)


@pytest.mark.parametrize(
    ("arguments", "env"),
    [("--version", BUFFERED), ("--version", {"PYTHONUNBUFFERED": "1"}), ("doctor data", BUFFERED)],
)
def test_an_answer_that_cannot_be_written_is_missed_in_one_sentence(
    tmp_path: Path, arguments: str, env: dict[str, str]
) -> None:
    RocksStore(tmp_path / "data").close()
    with to_full_disk(">", *arguments.split(), cwd=tmp_path, env=env) as command:
        assert command.wait_exit() == 1
    assert command.stderr == "holdfast: what it prints cannot be written: No space left on device\n"


@pytest.mark.parametrize(("name", "what"), [("serve", ">"), ("serve", "2>"), ("dev", ">")])
def test_a_server_goes_on_although_nothing_can_be_printed(
    tmp_path: Path, name: str, what: str
) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    port = free_port()

    def is_there() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.connect()
        except OSError:
            return False
        connection.close()
        return True

    serve = (name, "echo.py", "--port", str(port), "--admin-port", "none")
    with to_full_disk(what, *serve, cwd=tmp_path, env=BUFFERED) as server:
        wait_until(is_there, "the server")
        assert post(port, "/Echo/say", "hi") == (200, "hi")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    assert complaints(server.stderr) == ""


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_server_ends_in_order_although_its_streams_were_closed(
    tmp_path: Path, closed: str
) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    serve = ("serve", "echo.py", "--unix", "echo.sock")
    script = f'exec "$0" -m holdfast "$@" {closed}'
    with Running("sh", "-c", script, sys.executable, *serve, cwd=tmp_path) as server:
        wait_until((tmp_path / "echo.sock").exists, "the server")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


def test_the_exit_code_stands_where_its_reason_cannot_be_written(tmp_path: Path) -> None:
    with to_full_disk("2>", "verify", "--nonsense", cwd=tmp_path, env=BUFFERED) as command:
        assert command.wait_exit() == 2
