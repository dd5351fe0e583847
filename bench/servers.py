"""Servers as real processes of their own, started for a benchmark and gone after it."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .harness import ROOT, BenchmarkError

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+),")
_START_SECONDS_MAX = 30.0
_STOP_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens on 127.0.0.1."""

    port: int
    process_id: int

    def processor_seconds(self) -> float:
        """What it has used so far, all its threads together, in steps of 10 ms."""
        text = Path(f"/proc/{self.process_id}/stat").read_text(encoding="utf-8")
        # The name of the program, in parentheses, may hold spaces; user and system time follow.
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """What it has in memory now."""
        text = Path(f"/proc/{self.process_id}/statm").read_text(encoding="utf-8")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def bare_server(directory: Path) -> Generator[Server]:
    """Bare aiohttp."""
    with _server(["bench.bare"], directory / "bare.log") as server:
        yield server


@contextlib.contextmanager
def holdfast_server(directory: Path) -> Generator[Server]:
    """``holdfast serve`` with fsync, as a user starts it."""
    command = ["holdfast", "serve", "bench.objects", "--port", "0", "--durability", "fsync"]
    command += ["--data", str(directory / "data")]
    with _server(command, directory / "holdfast.log") as server:
        yield server


@contextlib.contextmanager
def _server(module_and_arguments: Sequence[str], log: Path) -> Generator[Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module_and_arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Server(_wait_port(process, log), process.pid)
        if process.poll() is not None:
            message = f"a server ended while it was measured: {_tail(log)}"
            raise BenchmarkError(message)
    finally:
        _end(process)


def _wait_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        found = _ADDRESS.search(log.read_text(encoding="utf-8", errors="replace"))
        if found is not None:
            return int(found[1])
        time.sleep(0.02)
    message = f"a server did not start: {_tail(log)}"
    raise BenchmarkError(message)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1000:].strip() or "it said nothing"
