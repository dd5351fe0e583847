"""Trees of processes: how they are started and ended, and what the kernel says they have used.

A contender may be several programs, each of which may have children (a PostgreSQL has one for each
connection), so time and memory are those of the whole tree.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from .harness import ROOT, BenchmarkError

_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 10.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def running(
    command: Sequence[str],
    log: Path,
    *,
    user: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Generator["subprocess.Popen[bytes]"]:
    """A process that writes to ``log``; ended with SIGTERM, and SIGKILL if that takes long.

    Raises:
        BenchmarkError: it had ended by itself; at the end of the block.
    """
    process = start(command, log, user=user, variables=variables)
    try:
        yield process
        if process.poll() is not None:
            message = f"{command[0]} ended while it was measured: {tail(log)}"
            raise BenchmarkError(message)
    finally:
        end(process)


def start(
    command: Sequence[str],
    log: Path,
    *,
    user: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """A process that writes to ``log``; the caller ends it."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            env=os.environ | (variables or {}),
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, and kill it when that takes long."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(
    condition: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path
) -> None:
    """Wait until a process just started is ready.

    Raises:
        BenchmarkError: it ended, or is not ready after a minute.
    """
    deadline = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return
        time.sleep(0.02)
    message = f"{process.args!r} did not start: {tail(log)}"
    raise BenchmarkError(message)


def tail(log: Path) -> str:
    """The end of what a process has written."""
    return log.read_text(encoding="utf-8", errors="replace")[-1000:].strip() or "it said nothing"


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processor_seconds(root: int) -> float:
    """What the tree has used so far, its dead children too, in steps of 10 ms."""
    ticks = 0
    for process_id in _tree(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # User and system time, and the same of children that have ended.
            ticks += sum(int(field) for field in _stat(process_id)[11:15])
    return ticks / _TICKS_PER_SECOND


def resident_bytes(root: int) -> int:
    """What the tree has in memory; what its processes share counts once for each."""
    pages = 0
    for process_id in _tree(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{process_id}/statm").read_text(encoding="utf-8")
            pages += int(text.split()[1])
    return pages * _PAGE_BYTES


def open_files(root: int) -> int:
    """How many files and sockets the tree has open."""
    return sum(len(list(Path(f"/proc/{process_id}/fd").iterdir())) for process_id in _tree(root))


def _stat(process_id: int) -> list[str]:
    text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    # The name of the program, in parentheses, may hold spaces; the state follows, then the parent.
    return text.rpartition(")")[2].split()


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [root]
    for process_id in found:
        found += children.get(process_id, [])
    return found
