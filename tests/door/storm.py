"""A real server under a storm of odd requests, at both of its ports.

Whatever arrives is answered with something else than a server error, or cut off; no traceback is
logged; memory stays where it was; and who asks in good order is answered all the while.
"""

import asyncio
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.nursery import fork_holdfast
from tests.door.requests import RequestAuthor
from tests.processes import Watched

LAST = b"GET /restate/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GOOD = (
    b"POST /Counter/good/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1\r\nConnection: close\r\n\r\n1"
)
CONNECTIONS = 16
ANSWER_SECONDS = 20.0
"""Within this a good request is answered, also on a loaded machine."""

ODD_SECONDS = 0.3
"""After this the sender of an odd request goes away: it may have said that there is more to come,
for which the server waits. That it does not wait for ever is a probe of its own."""
RESIDENT_GROWTH_MAX = 50 << 20
WARM_UP = 2_000
"""Requests after which memory is looked at for the first time."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(slots=True, kw_only=True)
class Report:
    """How it went."""

    requests: int = 0
    statuses: dict[int, int] = field(default_factory=dict[int, int])
    unanswered: int = 0
    good: int = 0
    grown_bytes: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list[str])


def run_storm(seed: str, connections: int, directory: Path, ports: tuple[int, int]) -> Report:
    """Open that many connections with something odd on each."""
    begun = time.monotonic()
    report = Report()
    port, admin_port = ports
    command = ("serve", str(Path(__file__).with_name("served.py")), "--port", str(port))
    data = ("--admin-port", str(admin_port), "--data", str(directory / "data"))
    with fork_holdfast(*command, *data, cwd=directory) as server:
        server.wait_port()
        asyncio.run(_storm(seed, connections, ports, server, report))
        server.signal(signal.SIGTERM)
        code = server.wait_exit()
        if code != 0:
            report.violations.append(f"the server ended with {code}")
        if "Traceback" in server.stderr or "ERROR" in server.stderr:
            report.violations.append(f"the server logged: {server.stderr[-2000:]}")
    report.seconds = time.monotonic() - begun
    return report


async def _storm(
    seed: str, connections: int, ports: tuple[int, int], server: Watched, report: Report
) -> None:
    author = RequestAuthor(seed)
    left = iter(range(connections))
    first: list[int] = []
    is_over = asyncio.Event()

    async def work() -> None:
        for number in left:
            is_admin = number % 4 == 3
            data = author.write(is_admin=is_admin)
            said = await _converse(ports[is_admin], data + LAST, ODD_SECONDS)
            _judge(data, said, report)
            if number == min(WARM_UP, connections // 2):
                first.append(_resident_bytes(server.pid))

    async def behave() -> None:
        while not is_over.is_set():
            said = await _converse(ports[0], GOOD, ANSWER_SECONDS)
            if not said.startswith(b"HTTP/1.1 200 "):
                report.violations.append(f"a good request was answered {said[:200]!r}")
            report.good += 1
            await asyncio.sleep(0.05)

    good = asyncio.create_task(behave())
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    is_over.set()
    await good
    report.grown_bytes = _resident_bytes(server.pid) - first[0]
    if report.grown_bytes > RESIDENT_GROWTH_MAX:
        report.violations.append(f"memory grew by {report.grown_bytes:,} bytes")


async def _converse(port: int, data: bytes, patience: float) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        with suppress(ConnectionError, TimeoutError):
            writer.write(data)
            while piece := await asyncio.wait_for(reader.read(1 << 16), patience):
                said += piece
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return said


def _judge(data: bytes, said: bytes, report: Report) -> None:
    report.requests += 1
    found = [int(status) for status in _STATUS.findall(said)]
    report.unanswered += not found
    for status in found:
        report.statuses[status] = report.statuses.get(status, 0) + 1
        if status >= 500:
            report.violations.append(f"answered {status} to {data!r}")


def _resident_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text("utf-8").split()[1])
    return pages * 4096
