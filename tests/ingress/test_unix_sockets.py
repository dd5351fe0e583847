"""Listening at a path: whose file is replaced, whose is left alone, and who may connect."""

import asyncio
import os
import socket
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.ingress.options import HttpOptions
from holdfast.ingress.server import serve
from holdfast.objects.errors import InvalidArgumentError
from tests.ingress.fake_engine import FakeEngine
from tests.ingress.http_caller import connect, connect_unix, get, post

AT_ONCE = timedelta(0)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.sock"


def leave_dead_socket(place: Path) -> None:
    """What a killed server leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
        dead.listen()


async def test_a_call_is_answered_at_a_path_and_no_port_is_open(
    engine: FakeEngine, place: Path
) -> None:
    server = await serve(engine, port=None, unix_path=place)
    async with connect_unix(place) as caller:
        assert (await caller.ask(post("/Counter/sam/add", b"5"))).body == b"5"
        assert (await caller.ask(get("/restate/health"))).status == 200
    assert server.port == 0
    await server.close(AT_ONCE)


async def test_a_port_and_a_path_lead_to_the_same_door(engine: FakeEngine, place: Path) -> None:
    server = await serve(engine, port=0, unix_path=place)
    async with connect_unix(place) as one, connect(server.port) as other:
        await one.ask(post("/Counter/sam/add", b"1"))
        await other.ask(post("/Counter/sam/add", b"2"))
        assert server.statistics().connections == 2
    await server.close(AT_ONCE)
    assert [call.argument for call in engine.accepted] == [b"1", b"2"]


@pytest.mark.parametrize("mode", [0o600, 0o660])
async def test_only_those_whom_the_mode_lets_may_connect(
    engine: FakeEngine, place: Path, mode: int
) -> None:
    mask = os.umask(0)
    try:
        server = await serve(
            engine, port=None, unix_path=place, options=HttpOptions(unix_mode=mode)
        )
    finally:
        os.umask(mask)
    assert stat.S_IMODE(place.stat().st_mode) == mode
    await server.close(AT_ONCE)


async def test_a_closed_server_leaves_no_file(engine: FakeEngine, place: Path) -> None:
    server = await serve(engine, port=None, unix_path=place)
    async with connect_unix(place) as idle:
        await server.close(AT_ONCE)
        assert await idle.is_closed_by_server()
    assert not place.exists()


async def test_a_file_that_somebody_else_has_put_there_meanwhile_is_left(
    engine: FakeEngine, place: Path
) -> None:
    server = await serve(engine, port=None, unix_path=place)
    place.unlink()
    leave_dead_socket(place)
    await server.close(AT_ONCE)
    assert place.is_socket()


async def test_the_socket_of_a_dead_server_is_replaced(engine: FakeEngine, place: Path) -> None:
    leave_dead_socket(place)
    server = await serve(engine, port=None, unix_path=place)
    async with connect_unix(place) as caller:
        assert (await caller.ask(get("/Counter/sam/get"))).status == 200
    await server.close(AT_ONCE)


async def test_the_socket_of_a_live_server_is_not(engine: FakeEngine, place: Path) -> None:
    server = await serve(engine, port=None, unix_path=place)
    with pytest.raises(InvalidArgumentError) as raised:
        await serve(FakeEngine(), port=None, unix_path=place)
    assert raised.value.message == (
        f"a server that is running listens on the unix socket {place}; stop it, or choose another "
        f"with --unix"
    )
    async with connect_unix(place) as caller:
        assert (await caller.ask(get("/Counter/sam/get"))).status == 200
    await server.close(AT_ONCE)


async def test_a_live_server_that_accepts_nobody_just_now_is_alive(
    engine: FakeEngine, place: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(place))
        busy.listen(0)
        waiting: list[socket.socket] = []
        for _ in range(3):
            caller = socket.socket(socket.AF_UNIX)
            caller.settimeout(0)
            caller.connect_ex(str(place))
            waiting.append(caller)
        with pytest.raises(InvalidArgumentError, match="is running"):
            await serve(engine, port=None, unix_path=place)
        for caller in waiting:
            caller.close()


async def test_of_two_servers_that_start_at_once_one_gets_the_path(
    engine: FakeEngine, place: Path
) -> None:
    leave_dead_socket(place)
    results = await asyncio.gather(
        *(serve(each, port=None, unix_path=place) for each in (engine, FakeEngine())),
        return_exceptions=True,
    )
    servers = [each for each in results if not isinstance(each, BaseException)]
    assert len(servers) == 1
    assert isinstance(next(each for each in results if each not in servers), InvalidArgumentError)
    await servers[0].close(AT_ONCE)


async def test_a_file_that_is_no_socket_is_left_alone(engine: FakeEngine, place: Path) -> None:
    place.write_text("dear diary")
    with pytest.raises(InvalidArgumentError, match="is no socket"):
        await serve(engine, port=None, unix_path=place)
    assert place.read_text() == "dear diary"


async def test_a_link_to_a_socket_is_not_followed(
    engine: FakeEngine, place: Path, tmp_path: Path
) -> None:
    leave_dead_socket(tmp_path / "other.sock")
    place.symlink_to(tmp_path / "other.sock")
    with pytest.raises(InvalidArgumentError, match="is no socket"):
        await serve(engine, port=None, unix_path=place)
    assert (tmp_path / "other.sock").is_socket()


@pytest.mark.parametrize("name", ["missing/holdfast.sock", "x" * 120])
async def test_a_path_that_cannot_be_is_said_in_one_sentence(
    engine: FakeEngine, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot listen on the unix socket") as raised:
        await serve(engine, port=None, unix_path=tmp_path / name)
    assert "--unix" in raised.value.message


async def test_a_path_that_is_refused_leaves_the_port_free(
    engine: FakeEngine, place: Path, server_port: int
) -> None:
    place.write_text("")
    with pytest.raises(InvalidArgumentError):
        await serve(engine, port=server_port, unix_path=place)
    server = await serve(engine, port=server_port)
    await server.close(AT_ONCE)


@pytest.fixture
def server_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
