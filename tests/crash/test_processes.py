"""Real server processes: who may have a directory, how they end, and what a caller may do."""

import http.client
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.nursery import fork_holdfast
from tests.processes import Watched, post, wait_until

SLOW = Path(__file__).with_name("slow.py")
GRACE_SECONDS = 5.0
"""How long a graceful stop waits for actions that do not end."""


class Served:
    """One data directory, served again and again, and what its steps report."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.report = directory / "report"
        self.report.touch()

    def start(self, *options: str, data: Path | None = None) -> Watched:
        return fork_holdfast(
            *("serve", str(SLOW), "--port", "0", "--data", str(data or self.data), *options),
            cwd=self.directory,
            env={"HOLDFAST_SLOW_REPORT": str(self.report)},
        )

    def reported(self) -> list[str]:
        """The executions of steps so far, as ``name attempt``."""
        return self.report.read_text().splitlines()

    def wait_reported(self, *lines: str) -> None:
        wait_until(lambda: set(lines) <= set(self.reported()), f"{lines} among the steps")


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def test_a_second_process_is_refused_by_whichever_path_it_comes(served: Served) -> None:
    alias = served.directory / "alias"
    alias.symlink_to(served.directory)
    with served.start() as first:
        first.wait_port()
        with served.start(data=alias / "data") as second:
            assert second.wait_exit() == 1
            assert str(served.data) in second.stderr
            assert str(first.pid) in second.stderr
        assert post(first.wait_port(), "/Slow/a/steps", 0) == (200, 0)


def test_nothing_acknowledged_is_lost_by_a_kill_without_fsync_either(served: Served) -> None:
    key = {"idempotency-key": "k"}
    for options in ((), ("--durability", "process"), ("--durability", "process")):
        with served.start(*options) as server:
            assert post(server.wait_port(), "/Slow/a/steps", 2, key) == (200, 2)
            server.signal(signal.SIGKILL)
            server.wait_exit()
    assert served.reported() == ["step 0 1", "step 1 1"]


def test_ctrl_c_records_what_ends_in_time_and_the_rest_runs_again_at_the_next_start(
    served: Served,
) -> None:
    with served.start() as server:
        assert (
            post(server.wait_port(), "/Slow/a/toil/send", headers={"idempotency-key": "k"})[0]
            == 202
        )
        served.wait_reported("soon 1", "hanging 1")
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait_exit() == 0
        assert time.monotonic() - begun < GRACE_SECONDS + 5
        assert "Traceback" not in server.stderr
    with served.start() as server:
        answer = post(server.wait_port(), "/Slow/a/toil", headers={"idempotency-key": "k"})
    assert answer == (200, [1, 2])
    assert Counter(served.reported()) == Counter(["soon 1", "hanging 1", "hanging 2"])


def test_ctrl_c_waits_no_longer_than_the_running_step(served: Served) -> None:
    with served.start() as server:
        post(server.wait_port(), "/Slow/a/steps/send", 50)
        served.wait_reported("step 0 1")
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait_exit() == 0
        assert time.monotonic() - begun < GRACE_SECONDS
        assert len(served.reported()) < 50


def test_a_caller_that_goes_away_does_not_stop_its_invocation(served: Served) -> None:
    with served.start() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.wait_port())
        connection.request("POST", "/Slow/a/steps", "3", {"content-type": "application/json"})
        served.wait_reported("step 0 1")
        connection.close()
        served.wait_reported("step 2 1")
        assert post(server.wait_port(), "/Slow/a/steps", 0) == (200, 0)
    assert served.reported() == ["step 0 1", "step 1 1", "step 2 1"]
