"""Servers as real processes of their own, started for a benchmark and gone after it."""

import contextlib
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .harness import BenchmarkError
from .processes import processor_seconds, resident_bytes, running, wait_until

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+),")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens on 127.0.0.1.

    Attributes:
        port: where it takes calls.
        parts: what it consists of, as names and process ids; each stands for its children too.
    """

    port: int
    parts: Mapping[str, int]

    def processor_seconds_of_parts(self) -> dict[str, float]:
        """What each part has used so far, all its threads together, in steps of 10 ms."""
        return {name: processor_seconds(process_id) for name, process_id in self.parts.items()}

    def processor_seconds(self) -> float:
        """What all parts have used so far."""
        return sum(self.processor_seconds_of_parts().values())

    def resident_bytes(self) -> int:
        """What it has in memory now."""
        return sum(resident_bytes(process_id) for process_id in self.parts.values())


@contextlib.contextmanager
def bare_server(directory: Path) -> Generator[Server]:
    """Bare aiohttp."""
    with announced_server("aiohttp", [sys.executable, "-m", "bench.bare"], directory) as server:
        yield server


@contextlib.contextmanager
def holdfast_server(directory: Path, *, target: str = "bench.objects") -> Generator[Server]:
    """``holdfast serve`` with fsync, as a user starts it."""
    command = [sys.executable, "-m", "holdfast", "serve", target, "--port", "0"]
    command += ["--durability", "fsync", "--data", str(directory / "data")]
    with announced_server("holdfast", command, directory) as server:
        yield server


@contextlib.contextmanager
def announced_server(name: str, command: Sequence[str], directory: Path) -> Generator[Server]:
    """A server of one process that prints its address when it is ready."""
    log = directory / f"{name}.log"
    with running(command, log) as process:
        wait_until(lambda: _find_port(log) is not None, process, log)
        port = _find_port(log)
        if port is None:
            message = f"{name} took back its address"
            raise BenchmarkError(message)
        yield Server(port, {name: process.pid})


def _find_port(log: Path) -> int | None:
    found = _ADDRESS.search(log.read_text(encoding="utf-8", errors="replace"))
    return None if found is None else int(found[1])
