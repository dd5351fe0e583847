"""Thousands of strangers at a real server: they cost what they may, and others are served.

Each test says how much memory the crowd may cost the server, in bytes.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.ingress.http_caller import Connection, connect, get, post
from tests.processes import ROOT, Running, complaints

PROGRAM = Path(__file__).with_name("crowd_server.py")
MIB = 1024 * 1024
SECONDS = 60.0
"""Reached only by a test that fails."""


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process, and those it starts, have 6,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 12_000:
        pytest.skip(f"this system lets a process open {hard} files; 12,000 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 12_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def served(directory: Path, **options: float) -> Generator[tuple[Running, int]]:
    command = (sys.executable, str(PROGRAM), json.dumps(options))
    with Running(*command, cwd=directory, env={"PYTHONPATH": str(ROOT)}) as server:
        port = server.wait_port()
        yield server, port
        assert complaints(server.stderr) == ""


def resident_bytes(server: Running) -> int:
    text = Path(f"/proc/{server.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again, while the crowd goes on."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - another process does not announce it
            await asyncio.sleep(0.02)


def open_files(server: Running) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


@asynccontextmanager
async def crowd(
    port: int, size: int, greet: Callable[[Connection], Awaitable[None]]
) -> AsyncGenerator[list[Connection], None]:
    """That many connections, each of which has done ``greet``; cut off at the end."""
    members: list[Connection] = []
    gate = asyncio.Semaphore(100)

    async def join() -> None:
        async with gate:
            member = Connection(*await asyncio.open_connection("127.0.0.1", port))
            members.append(member)
            await greet(member)

    try:
        await asyncio.gather(*(join() for _ in range(size)))
        yield members
    finally:
        for member in members:
            member.writer.transport.abort()


async def behave_well(port: int, calls: int, name: str) -> float:
    """Make calls one after another, each of which must be answered rightly; the slowest's time."""
    slowest_s = 0.0
    async with connect(port) as caller:
        for number in range(1, calls + 1):
            begun_s = time.perf_counter()
            reply = await caller.ask(post(f"/Counter/{name}/add", b"1"))
            slowest_s = max(slowest_s, time.perf_counter() - begun_s)
            assert (reply.status, reply.body) == (200, b"%d" % number)
    return slowest_s


async def ask_health(member: Connection) -> None:
    assert (await member.ask(get("/restate/health"))).status == 200


async def test_five_thousand_idle_connections_cost_16_kib_each_and_delay_nobody(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as (server, port):
        await behave_well(port, 20, "warm")
        before = resident_bytes(server)
        async with asyncio.timeout(SECONDS), crowd(port, 5_000, ask_health) as members:
            each_bytes = (resident_bytes(server) - before) / len(members)
            assert each_bytes < 16 * 1024, f"{each_bytes:.0f} bytes for a connection"
            slowest = await asyncio.gather(*(behave_well(port, 25, f"c{n}") for n in range(8)))
            assert max(slowest) < 5.0
            for member in members[::100]:
                await ask_health(member)
        await until(lambda: open_files(server) < 500)


async def test_two_thousand_heads_that_never_end_are_gone_after_the_deadline(
    tmp_path: Path,
) -> None:
    async def begin(member: Connection) -> None:
        member.writer.write(b"POST /Counter/evil/add HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

    with served(tmp_path, head_seconds_max=2.0) as (server, port):
        before = resident_bytes(server)
        async with asyncio.timeout(SECONDS), crowd(port, 2_000, begin) as members:
            await behave_well(port, 50, "meanwhile")
            assert resident_bytes(server) - before < 80 * MIB
            assert all(await asyncio.gather(*(each.is_closed_by_server() for each in members)))
            await behave_well(port, 10, "afterwards")
        # One who begins nothing is as late as one who does not end.
        async with crowd(port, 200, lambda _: asyncio.sleep(0)) as members:
            assert all(await asyncio.gather(*(each.is_closed_by_server() for each in members)))


async def test_more_connections_than_there_may_be_leave_room_for_those_who_ask(
    tmp_path: Path,
) -> None:
    with served(tmp_path, connections_max=500) as (server, port):
        async with asyncio.timeout(SECONDS), crowd(port, 3_000, ask_health):
            await asyncio.gather(*(behave_well(port, 25, f"c{n}") for n in range(8)))
            assert open_files(server) < 500 + 256 + 100


async def test_uploads_that_stall_hold_no_more_than_their_budget(tmp_path: Path) -> None:
    head = (
        b"POST /Text/measure HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 33000000\r\n\r\n"
    )

    async def begin(member: Connection) -> None:
        member.writer.write(head + b'"' + bytes(MIB).replace(b"\0", b"x"))

    options = {"body_seconds_max": 4.0, "bodies_bytes_max": 34 * MIB, "body_bytes_max": 34 * MIB}
    with served(tmp_path, **options) as (server, port):
        await behave_well(port, 20, "warm")
        before = resident_bytes(server)
        async with asyncio.timeout(SECONDS), crowd(port, 200, begin) as members:
            replies = asyncio.gather(*(member.read() for member in members))
            await behave_well(port, 50, "meanwhile")
            # Beyond the budget there is what has arrived and is not looked at yet.
            assert resident_bytes(server) - before < 34 * MIB + 150 * MIB
            statuses = [reply.status for reply in await replies]
            assert set(statuses) == {408, 503}
            assert 408 in statuses
        async with connect(port) as caller:
            whole = b'"' + b"x" * (16 * MIB) + b'"'
            assert (await caller.ask(post("/Text/measure", whole))).body == b"%d" % (16 * MIB)


async def test_callers_who_never_read_are_cut_off_and_others_are_not(tmp_path: Path) -> None:
    with served(tmp_path, answer_seconds_max=1.0) as (server, port):
        await behave_well(port, 20, "warm")
        files = open_files(server)

        async def ask(member: Connection) -> None:
            member.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads too
            member.writer.write(post("/Text/repeat", b"%d" % (8 * MIB)))

        async with asyncio.timeout(SECONDS), crowd(port, 8, ask):
            await until(lambda: open_files(server) > files + 4)
            await behave_well(port, 50, "meanwhile")
            await until(lambda: open_files(server) < files + 4)
            await behave_well(port, 10, "afterwards")


OVERSIZED = {
    "target": post("/Counter/" + "k" * 100_000 + "/add", b"1"),
    "query": post("/Counter/k/add?delay=" + "1" * 100_000, b"1"),
    "key": post("/Counter/" + "k" * 600 + "/add", b"1"),
    "header": post("/Counter/k/add", b"1", "x: " + "y" * 100_000),
    "headers": post("/Counter/k/add", b"1", *(f"x{n}: y" for n in range(5_000))),
    "endless header": b"GET / HTTP/1.1\r\nx: " + b"y" * 2 * MIB,
    "idempotency key": post("/Counter/k/add", b"1", "idempotency-key: " + "i" * 2_000),
    "length": post(
        "/Counter/k/add", b"", "content-type: application/json", "content-length: 1" + "0" * 30
    ),
    "body": post("/Counter/k/add", b"1" * (33 * MIB)),
    "number": post("/Counter/k/add", b"1" * 100_000),
    "nesting": post("/Counter/k/add", b"[" * 1_000_000),
    "requests ahead": post("/Counter/k/nope", b"1") * 5_000,
}


async def test_whatever_is_oversized_is_refused_and_the_server_stays_as_it_was(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as (server, port):
        await behave_well(port, 20, "warm")
        before = resident_bytes(server)
        async with asyncio.timeout(SECONDS):
            for _ in range(3):
                for name, data in OVERSIZED.items():
                    async with connect(port) as caller:
                        reply = await caller.ask(data)
                        assert 400 <= reply.status < 500, name
                        caller.writer.transport.abort()
            await behave_well(port, 50, "k")
        assert resident_bytes(server) - before < 100 * MIB
