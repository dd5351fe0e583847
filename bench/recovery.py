"""From SIGKILL to the first answered call, and what parked sessions cost a server that is idle.

The sessions are parked by another process. Then ``holdfast serve`` is given invocations that are
each in the middle of a step, is killed, and is started again as an operator would: the time holds
the start of the interpreter, the imports, the opening of the directory, and a call over HTTP. What
was in flight is taken up at the same time. Repeated, as a directory is opened after a crash once.
Memory is that of the process when it has come to rest, disk that of all files.
"""

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .contest import wait_idle
from .harness import Figure, Options, Scenario, median, scratch
from .parked import park
from .processes import end, free_port, processor_seconds, resident_bytes, start, wait_until
from .servers import Server

_REPEATS = 5
_SECONDS_MAX = 1.5
_MIB = 1 << 20


class _Restarted:
    """A server at one port and one directory, as often as it is started."""

    def __init__(self, directory: Path) -> None:
        """Start nothing yet."""
        self.port = free_port()
        self._log = directory.parent / f"{directory.name}.log"
        self._command = [sys.executable, "-m", "holdfast", "serve", "bench.objects"]
        self._command += ["--port", str(self.port), "--admin-port", "none", "--grace", "0"]
        self._command += ["--durability", "fsync", "--data", str(directory)]
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it and wait until it answers a call."""
        self.process = start(self._command, self._log)
        wait_until(self._is_answering, self.process, self._log)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait_idle(self) -> None:
        """Wait until it has taken up what it found."""
        wait_idle(Server(self.port, {"holdfast": self.process.pid}))

    def post(self, path: str, count: int) -> None:
        """Make so many calls to as many keys, over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for number in range(count):
            connection.request("POST", path.replace("*", f"k{number}"))
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, f"{path} was answered with {answer.status}"
        connection.close()

    def _is_answering(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                "POST", "/Counter/first/add", "1", {"content-type": "application/json"}
            )
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def _server(directory: Path) -> Generator[_Restarted]:
    server = _Restarted(directory)
    server.start()
    try:
        yield server
    finally:
        end(server.process)


@dataclass(frozen=True, slots=True)
class _Restart:
    """What one took: for who waits, and of the processor until the first answer; and at rest."""

    seconds: float
    processor_seconds: float
    resident_bytes: int


def _restarts(directory: Path, in_flight: int) -> list[_Restart]:
    with _server(directory) as server:
        server.post("/Busy/*/think/send", in_flight)
        restarts: list[_Restart] = []
        server.wait_idle()
        for _ in range(_REPEATS):
            killed = time.perf_counter()
            server.kill()
            server.start()
            seconds, used = time.perf_counter() - killed, processor_seconds(server.process.pid)
            server.wait_idle()
            restarts.append(_Restart(seconds, used, resident_bytes(server.process.pid)))
    return restarts


def _run(options: Options) -> Iterable[Figure]:
    in_flight, sessions = (10_000, 1_000_000) if options.is_large else (1_000, 100_000)
    with scratch(options) as place:
        empty = _restarts(place / "empty", 0)
        parked = park(options, place / "data", sessions)
        only_parked = _restarts(place / "data", 0)
        both = _restarts(place / "data", in_flight)
    yield _figure("empty directory", empty, "the interpreter, the imports, and one call")
    yield _figure("sessions parked", only_parked, f"{sessions:,} parked")
    note = f"{in_flight:,} in flight, {sessions:,} parked"
    yield _figure("parked and in flight", both, note, at_most=_SECONDS_MAX)
    at_rest = [
        median(each.resident_bytes for each in restarts) / _MIB for restarts in (only_parked, empty)
    ]
    yield Figure(
        what="memory above an empty server",
        value=at_rest[0] - at_rest[1],
        unit="MiB",
        at_most=150,
        note=f"{sessions:,} parked; {at_rest[0]:.0f} and {at_rest[1]:.0f} MiB",
    )
    yield Figure(
        what="on disk per parked session",
        value=(parked["disk_bytes"] - parked["empty_bytes"]) / sessions,
        unit="bytes",
        at_most=600,
        note="all files of the directory, after a graceful stop",
    )


def _figure(
    what: str, restarts: list[_Restart], note: str, *, at_most: float | None = None
) -> Figure:
    used = median(each.processor_seconds for each in restarts)
    return Figure(
        what=what,
        value=median(each.seconds for each in restarts),
        unit="s",
        at_most=at_most,
        note=f"{note}; processor time {used:.2f} s; each: "
        + ", ".join(f"{each.seconds:.2f}" for each in restarts),
        chart="From SIGKILL to the first answered call, s",
        bar=f"holdfast {what}",
    )


RECOVERY = Scenario(
    name="recovery",
    title="From SIGKILL to the first answered call over HTTP, and idle sessions, fsync",
    run=_run,
)
