"""``holdfast serve --unix`` as a real process, also after a real kill."""

import http.client
import json
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.cli.test_serve import COUNTER, assert_one_sentence
from tests.crash.nursery import fork_holdfast
from tests.processes import Watched


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "counter.py").write_text(COUNTER)
    return tmp_path


def serve(here: Path, *options: str) -> Watched:
    return fork_holdfast("serve", "counter.py", "--unix", "holdfast.sock", *options, cwd=here)


def ask(place: Path, path: str) -> tuple[int, object]:
    """GET as ``curl --unix-socket`` does."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(place))
    connection.request("GET", path)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def add(place: Path, amount: int) -> tuple[int, object]:
    """Call as ``curl --unix-socket`` does."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(place))
    connection.request("POST", "/Counter/a/add", str(amount), {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_it_serves_its_own_user_at_a_path_and_cleans_up(here: Path) -> None:
    place = here / "holdfast.sock"
    with serve(here) as server:
        server.wait_line(r" on unix:\./holdfast\.sock, data in ")
        assert add(place, 5) == (200, 5)
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    assert not place.exists()


def test_a_killed_server_is_started_again_at_the_same_path(here: Path) -> None:
    place = here / "holdfast.sock"
    with serve(here) as server:
        server.wait_line(" on unix:")
        add(place, 5)
        server.signal(signal.SIGKILL)
        server.wait_exit()
    assert place.is_socket()
    with serve(here) as server:
        server.wait_line(" on unix:")
        assert add(place, 1) == (200, 6)


def test_a_second_server_at_the_path_is_refused_in_one_sentence(here: Path) -> None:
    with serve(here) as first:
        first.wait_line(" on unix:")
        with serve(here, "--data", "other") as second:
            assert second.wait_exit() == 1
            assert_one_sentence(second.stderr)
            assert "holdfast.sock" in second.stderr
        assert add(here / "holdfast.sock", 1) == (200, 1)


def test_of_one_directory_started_twice_the_directory_is_what_is_said(here: Path) -> None:
    """Whatever else would be in the way: a free path and a free port would not help."""
    with serve(here, "--port", "0") as first:
        port = first.wait_line(r" on http://127\.0\.0\.1:(\d+) and unix:\./holdfast\.sock,")[1]
        with serve(here, "--port", port, "--admin-port", "0") as second:
            assert second.wait_exit() == 1
            assert_one_sentence(second.stderr)
            assert str(first.pid) in second.stderr
        assert add(here / "holdfast.sock", 1) == (200, 1)


def test_operators_have_a_socket_of_their_own_and_no_port_is_open(here: Path) -> None:
    with serve(here, "--admin-unix", "admin.sock") as server:
        server.wait_line(
            r" on unix:\./holdfast\.sock, admin on unix:\./admin\.sock, data in \./data \(fsync\)"
        )
        add(here / "holdfast.sock", 5)
        status, answer = ask(here / "admin.sock", "/services")
        assert status == 200
        assert "Counter" in json.dumps(answer)
        assert ask(here / "holdfast.sock", "/services")[0] == 400
        assert stat.S_IMODE((here / "admin.sock").stat().st_mode) == 0o600
        with serve(here, "--unix", "x.sock", "--admin-unix", "admin.sock", "--data", "x") as second:
            assert second.wait_exit() == 1
            assert_one_sentence(second.stderr)
            assert "--admin-unix" in second.stderr
        assert not (here / "x.sock").exists()
        server.signal(signal.SIGTERM)
        server.wait_exit()
    assert not (here / "admin.sock").exists()


def test_a_taken_port_of_operators_is_what_is_said_of_two_servers_beside_each_other(
    here: Path,
) -> None:
    with serve(here, "--admin-port", "0") as first:
        port = first.wait_line(r" admin on http://127\.0\.0\.1:(\d+),")[1]
        with serve(here, "--unix", "x.sock", "--admin-port", port, "--data", "x") as second:
            assert second.wait_exit() == 1
            assert_one_sentence(second.stderr)
            assert port in second.stderr
            assert "--admin-port" in second.stderr
        assert add(here / "holdfast.sock", 1) == (200, 1)
