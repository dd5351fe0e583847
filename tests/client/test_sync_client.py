"""``SyncClient``, from threads of the test's own: the server is on the test's loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast import (
    Client,
    ContextMisuseError,
    InvalidArgumentError,
    Runtime,
    RuntimeClosedError,
    SyncClient,
    TerminalError,
)
from holdfast.ingress.server import HttpServer
from tests.cli.test_serve import COUNTER
from tests.client.shop import Cart, Mailer, Order, open_awakeables
from tests.crash.nursery import fork_holdfast


def url_of(server: HttpServer) -> str:
    return f"http://127.0.0.1:{server.port}"


async def test_each_verb_blocks_until_it_is_done(server: HttpServer) -> None:
    def use() -> None:
        with SyncClient(url_of(server)) as client:
            cart = client.object(Cart, "sam")
            assert client.wait(cart.add("tea")) == ["tea"]
            assert client.wait(cart.add.send("milk")).startswith("inv_")
            assert client.wait(client.workflow(Order, "7").run("tea")) == "tea: True"
            assert client.wait(client.service(Mailer).deliver("sam")) == "sam: "
            assert client.call_by_name("Cart", "joe", "look") == []
            assert client.send_by_name("Cart", "joe", "clear").startswith("inv_")
            assert client.health().is_ok
            with pytest.raises(TerminalError, match="sold out"):
                client.wait(cart.refuse(402))

    await asyncio.to_thread(use)


async def test_many_threads_use_one_client(server: HttpServer, ran: list[str]) -> None:
    with SyncClient(url_of(server)) as client, ThreadPoolExecutor(8) as threads:

        def add(number: int) -> None:
            client.wait(client.object(Cart, "sam").add(str(number)))

        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, add, each) for each in range(40)))
    assert sorted(ran) == sorted(f"add {number}" for number in range(40))


async def test_closing_frees_whoever_waits_and_stops_nothing(
    server: HttpServer, runtime: Runtime
) -> None:
    client = SyncClient(url_of(server))
    proxy = client.object(Cart, "sam")
    waiting = asyncio.create_task(asyncio.to_thread(client.wait, proxy.ask()))
    await open_awakeables(runtime)
    await asyncio.to_thread(client.close)
    with pytest.raises(RuntimeClosedError, match="the client was closed"):
        await waiting
    assert len((await runtime.awakeables(Cart)).awakeables) == 1
    client.close()
    with pytest.raises(RuntimeClosedError):
        client.wait(proxy.look())


def test_it_works_in_the_thread_of_a_running_loop(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(COUNTER)
    with fork_holdfast("serve", "counter.py", "--port", "0", cwd=tmp_path) as server:
        url = f"http://127.0.0.1:{server.wait_port()}"

        async def block() -> int:
            with SyncClient(url) as client:
                total: int = client.call_by_name("Counter", "a", "add", 5)
                return total

        assert asyncio.run(block()) == 5


async def test_waiting_in_its_own_thread_is_refused_and_not_a_deadlock(server: HttpServer) -> None:
    def use() -> None:
        with SyncClient(url_of(server)) as client:

            async def inside() -> None:
                client.health()

            with pytest.raises(ContextMisuseError, match="wait for itself"):
                client.wait(inside())

    await asyncio.to_thread(use)


def test_a_client_that_was_never_used_closes() -> None:
    SyncClient().close()
    with pytest.raises(InvalidArgumentError):
        SyncClient("nowhere")


async def test_a_client_of_another_loop_says_so(client: Client) -> None:
    await client.health()

    def use_elsewhere() -> None:
        with pytest.raises(ContextMisuseError, match="another event loop"):
            asyncio.run(client.health())

    await asyncio.to_thread(use_elsewhere)
