"""``holdfast serve`` and ``holdfast --version``, as real processes."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from holdfast.version import __version__
from tests.crash.nursery import fork_holdfast
from tests.processes import Running, complaints, holdfast, post, wait_until

COUNTER = """
from holdfast import Context, VirtualObject, Service, handler, state

class Counter(VirtualObject):
    total: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.total += amount
        return self.total

class Greeter(Service):
    @handler
    async def greet(self, ctx: Context, name: str) -> str:
        return f"hello {name}"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "counter.py").write_text(COUNTER)
    return tmp_path


def assert_one_sentence(text: str) -> None:
    assert text.startswith("holdfast: ")
    assert text.count("\n") == 1, text
    assert "Traceback" not in text


def test_the_version_is_printed(tmp_path: Path) -> None:
    with holdfast("--version", cwd=tmp_path) as command:
        assert command.wait_exit() == 0
        assert command.stdout == f"holdfast {__version__}\n"


def test_a_file_is_served_and_one_line_says_what_and_where(here: Path) -> None:
    with holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
        port = server.wait_port()
        admin_port = server.wait_line(r"admin on http://127\.0\.0\.1:(\d+),")[1]
        assert post(port, "/Counter/a/add", 5) == (200, 5)
        assert post(port, "/Greeter/greet", "sam") == (200, "hello sam")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert server.stdout == (
            f"Holdfast {__version__}: 1 object (Counter) and 1 service (Greeter) "
            f"on http://127.0.0.1:{port}, admin on http://127.0.0.1:{admin_port}, "
            f"data in ./data (fsync)\n"
            f"stopping; once more ends it at once\n"
        )
        assert complaints(server.stderr) == ""


def test_a_module_is_served_from_the_current_directory(here: Path) -> None:
    package = here / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "orders.py").write_text(COUNTER)
    with fork_holdfast("serve", "shop.orders", "--port", "0", cwd=here) as server:
        assert post(server.wait_port(), "/Counter/a/add", 1) == (200, 1)


def test_state_is_there_after_a_restart(here: Path) -> None:
    for expected in (1, 2):
        with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
            assert post(server.wait_port(), "/Counter/a/add", 1) == (200, expected)
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0


def test_state_is_there_after_a_kill(here: Path) -> None:
    for expected in (1, 2):
        with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
            assert post(server.wait_port(), "/Counter/a/add", 1) == (200, expected)
            server.signal(signal.SIGKILL)
            assert server.wait_exit() == -signal.SIGKILL


def test_ctrl_c_stops_it_in_order(here: Path) -> None:
    with holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
        server.wait_port()
        server.signal(signal.SIGINT)
        assert server.wait_exit() == 0
        assert complaints(server.stderr) == ""


def test_a_second_ctrl_c_does_not_wait_for_anyone(here: Path) -> None:
    (here / "slow.py").write_text(
        """
import asyncio
from holdfast import Context, Service, handler

class Slow(Service):
    @handler
    async def toil(self, ctx: Context) -> None:
        await ctx.run("for ever", for_ever)

async def for_ever() -> None:
    print("action runs", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("never mind", flush=True)
        await asyncio.Event().wait()
"""
    )
    with holdfast("serve", "slow.py", "--port", "0", cwd=here) as server:
        assert post(server.wait_port(), "/Slow/toil/send")[0] == 202
        server.wait_line("action runs")
        server.signal(signal.SIGINT)
        server.wait_line("stopping")
        server.signal(signal.SIGINT)
        assert server.wait_exit() == -signal.SIGINT


def test_a_port_in_use_is_said_in_one_sentence(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with fork_holdfast(
            "serve", "counter.py", "--port", port, "--admin-port", "0", cwd=here
        ) as server:
            assert server.wait_exit() == 1
            assert_one_sentence(server.stderr)
            assert server.stderr == (
                f"holdfast: port {port} on 127.0.0.1 is taken by another program; "
                f"choose another with --port\n"
            )
            assert server.stdout == ""


def test_a_taken_port_for_operators_is_said_too_and_callers_are_not_served(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with fork_holdfast(
            "serve", "counter.py", "--port", "0", "--admin-port", port, cwd=here
        ) as server:
            assert server.wait_exit() == 1
            assert server.stderr == (
                f"holdfast: port {port} on 127.0.0.1 is taken by another program; "
                f"choose another with --admin-port\n"
            )
            assert server.stdout == ""


def test_operators_can_be_left_out(here: Path) -> None:
    with fork_holdfast(
        "serve", "counter.py", "--port", "0", "--admin-port", "none", cwd=here
    ) as server:
        server.wait_port()
        assert "admin" not in server.stdout


def test_a_locked_directory_is_said_in_one_sentence_with_its_holder(here: Path) -> None:
    with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as first:
        first.wait_port()
        with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as second:
            assert second.wait_exit() == 1
            assert_one_sentence(second.stderr)
            assert str(first.pid) in second.stderr
            assert "data" in second.stderr


def test_a_directory_that_cannot_be_used_is_said_in_one_sentence(here: Path) -> None:
    (here / "data").write_text("a file where the directory should be")
    with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
        assert server.wait_exit() == 1
        assert_one_sentence(server.stderr)
        assert "data" in server.stderr


def test_a_broken_target_is_said_in_one_sentence(tmp_path: Path) -> None:
    """What the sentence says for every way of being broken: see ``test_mistakes.py``."""
    (tmp_path / "missing.py").write_text("import no_such_package\n")
    with fork_holdfast("serve", "missing.py", "--port", "0", cwd=tmp_path) as server:
        assert server.wait_exit() == 1
        assert_one_sentence(server.stderr)
        assert "no_such_package" in server.stderr


def test_an_unknown_option_is_said_in_one_sentence(tmp_path: Path) -> None:
    with fork_holdfast("serve", "--nonsense", cwd=tmp_path) as server:
        assert server.wait_exit() == 2
        assert_one_sentence(server.stderr)


BREAKING = """
import asyncio
from pathlib import Path
from holdfast import Context, Service, handler
from holdfast.journal.rocks import RocksStore

def fail(self):
    raise OSError("the disk is on fire")

class Breaker(Service):
    @handler
    async def now(self, ctx: Context) -> None:
        RocksStore.sync = fail

    @handler
    async def later(self, ctx: Context) -> None:
        await ctx.run("wait", wait)

async def wait() -> None:
    print("action runs", flush=True)
    while not Path("go").exists():
        await asyncio.sleep(0.01)
    RocksStore.sync = fail
"""


def test_a_disk_that_fails_while_serving_exits_with_75(here: Path) -> None:
    """A supervisor is to start it again, which recovers."""
    (here / "breaker.py").write_text(BREAKING)
    with fork_holdfast("serve", "breaker.py", "--port", "0", cwd=here) as server:
        assert post(server.wait_port(), "/Breaker/now")[0] == 503
        assert server.wait_exit() == 75
        assert "holdfast: [HF0030]" in server.stderr


FULL = (
    COUNTER
    + """
import errno, os
from holdfast.journal import data_directory

def full(path):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

data_directory.create_tide_mark = full
"""
)


def test_a_start_on_a_full_disk_exits_with_75(here: Path) -> None:
    """With 1 a supervisor would leave it down after there is room again."""
    (here / "full.py").write_text(FULL)
    with fork_holdfast("serve", "full.py", "--port", "0", cwd=here) as server:
        assert server.wait_exit() == 75
        assert "free some space and start again" in server.stderr


def test_a_disk_that_fails_during_a_stop_exits_with_75(here: Path) -> None:
    (here / "breaker.py").write_text(BREAKING)
    with fork_holdfast("serve", "breaker.py", "--port", "0", "--grace", "20", cwd=here) as server:
        assert post(server.wait_port(), "/Breaker/later/send")[0] == 202
        server.wait_line("action runs")
        server.signal(signal.SIGTERM)
        server.wait_line("waiting up to 20 s for running steps")
        (here / "go").touch()
        assert server.wait_exit() == 75
        assert "the disk is on fire" in server.stderr


STUBBORN = f"""{COUNTER}
import asyncio

class Stubborn(Service):
    @handler
    async def go(self, ctx: Context) -> None:
        await ctx.run("stubborn", go_on)

async def go_on() -> None:
    print("action runs", flush=True)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""


def test_a_stop_does_not_wait_for_a_step_that_swallows_its_cancellation(here: Path) -> None:
    (here / "stubborn.py").write_text(STUBBORN)
    with holdfast("serve", "stubborn.py", "--port", "0", "--grace", "0", cwd=here) as server:
        assert post(server.wait_port(), "/Stubborn/go/send")[0] == 202
        server.wait_line("action runs")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert "a step goes on at stubborn.py:" in server.stderr
        assert "destroyed" not in server.stderr


def test_a_damaged_directory_exits_with_78(here: Path) -> None:
    """A supervisor must not start again what has lost data."""
    with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
        port = server.wait_port()
        tide = here / "data" / "holdfast.tide"
        before = tide.read_bytes()
        assert post(port, "/Counter/a/add", 1) == (200, 1)
        # The mark of how much must be there follows each sync a moment later.
        wait_until(lambda: tide.read_bytes() != before, "the tide mark")
        server.signal(signal.SIGKILL)
        server.wait_exit()
    for log in (here / "data").rglob("*.log"):
        log.write_bytes(b"")
    with fork_holdfast("serve", "counter.py", "--port", "0", cwd=here) as server:
        assert server.wait_exit() == 78
        assert_one_sentence(server.stderr)
        assert "`holdfast doctor DIR` says what can be done" in server.stderr


def test_handlers_may_log_and_it_is_seen(tmp_path: Path) -> None:
    (tmp_path / "talker.py").write_text(
        COUNTER.replace("self.total += amount", "ctx.log.info('adding %d', amount)")
    )
    with fork_holdfast("serve", "talker.py", "--port", "0", cwd=tmp_path) as server:
        assert post(server.wait_port(), "/Counter/a/add", 7)[0] == 200
        server.wait_line("adding 7")


def test_the_command_is_installed_under_its_name() -> None:
    script = Path(sys.executable).parent / "holdfast"
    if not script.exists():
        pytest.skip("holdfast is not installed in this environment")
    with Running(str(script), "--help", cwd=Path.cwd()) as command:
        assert command.wait_exit() == 0
        for name in ("serve", "dev", "demo"):
            assert name in command.stdout
