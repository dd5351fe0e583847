"""A server that is the first process of a container: real ones, in a namespace of their own."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Running, free_port, post, wait_until

SLOW = """
import asyncio
import time
from holdfast import Context, Service, handler

{at_import}

class Slow(Service):
    @handler
    async def wait(self, ctx: Context) -> None:
        await ctx.run("wait", wait)

async def wait() -> None:
    print("waiting", flush=True)
    await asyncio.sleep(3600)
"""
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def find_obstacle() -> str:
    if shutil.which(NAMESPACE[0]) is None:
        return "there is no unshare here"
    tried = subprocess.run((*NAMESPACE, "true"), check=False, capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"unshare may not be used here: {tried.stderr}"


OBSTACLE = find_obstacle()
pytestmark = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)


def serve(here: Path, at_import: str = "") -> Running:
    (here / "slow.py").write_text(SLOW.format(at_import=at_import))
    command = (sys.executable, "-m", "holdfast", "serve", "slow.py", "--grace", "3600")
    port = str(free_port())
    return Running(*NAMESPACE, *command, "--port", port, "--admin-port", "none", cwd=here)


def send(server: Running, number: signal.Signals) -> None:
    """To the server, which is the child of what made its namespace."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text("ascii")
    subprocess.run(("kill", f"-{number.value}", *children.split()), check=True)


def test_a_stop_ends_its_start(tmp_path: Path) -> None:
    loading = "print('loading', flush=True)\ntime.sleep(3600)"
    with serve(tmp_path, at_import=loading) as server:
        server.wait_line("loading")
        send(server, signal.SIGTERM)
        assert server.wait_exit() == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_stop_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path) as server:
        assert post(server.wait_port(), "/Slow/wait/send")[0] == 202
        server.wait_line("waiting")
        send(server, number)
        server.wait_line("once more ends it at once")
        wait_until(lambda: "waiting up to" in server.stdout, "the grace")
        send(server, number)
        assert server.wait_exit() == 128 + number
