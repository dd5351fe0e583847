"""URLs that are told the outcome of an invocation, by a real POST to a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from holdfast import (
    Context,
    MemoryStore,
    RetryPolicy,
    Runtime,
    RuntimeConfig,
    TerminalError,
    VirtualObject,
    handler,
    state,
)
from holdfast.ingress.callback_slots import CallbackSlots
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request
from holdfast.journal import keys
from holdfast.journal.records import decode_outcome
from holdfast.testing import crash_everywhere

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from holdfast.testing import Client

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Counter(VirtualObject):
    """Something to be told of."""

    value: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.value += amount
        return self.value

    @handler
    async def fail(self, ctx: Context) -> None:
        message = "no way"
        raise TerminalError(message, status_code=418)


@dataclass
class Receiver:
    """A server that is told, and answers as a test says."""

    statuses: list[int] = field(default_factory=list[int])
    """What it answers, one after the other; then 204."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    told: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list[Any])
    """Path, headers, body."""
    at_once: int = 0
    at_once_max: int = 0
    answer: Answer | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=s3cret"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.told.append((request.path_qs, headers, await request.read()))
            if self.answer is not None:
                return await self.answer(request)
            await asyncio.sleep(0)
            status = self.statuses.pop(0) if self.statuses else 204
            return web.Response(status=status, headers=self.headers)
        finally:
            self.at_once -= 1

    async def wait_told(self, times: int) -> None:
        async with asyncio.timeout(10):
            while len(self.told) < times:  # noqa: ASYNC110  # a handler that hangs tells nobody
                await asyncio.sleep(0.005)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = int(runner.addresses[0][1])
    yield receiver
    await runner.cleanup()


SOON = RetryPolicy(initial_interval=timedelta(milliseconds=1), factor=1, max_attempts=4)


@asynccontextmanager
async def serving(
    store: MemoryStore | None = None, **options: Any
) -> AsyncGenerator[Runtime, None]:
    given: dict[str, Any] = {"callback_retry": SOON, **options}
    config = RuntimeConfig(**given)
    async with Runtime([Counter], store=store or MemoryStore(), config=config) as runtime:
        yield runtime


async def all_done(runtime: Runtime) -> None:
    """Return once every invocation has completed, deliveries included."""
    async with asyncio.timeout(10):
        while True:
            numbers = runtime.statistics()
            if numbers.invocations_accepted == numbers.invocations_completed:
                return
            await asyncio.sleep(0.005)


async def test_a_url_is_told_once_with_a_stable_id(receiver: Receiver) -> None:
    async with serving() as runtime:
        sent = await runtime.object(Counter, "a", callback=receiver.url).add.send(5)
        await all_done(runtime)
    ((path, headers, body),) = receiver.told
    completed = json.loads(body)

    assert path == "/hook?token=s3cret"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == headers["idempotency-key"] == sent
    assert abs(int(headers["webhook-timestamp"]) - completed_seconds(completed)) < 60
    assert completed.pop("completed_at").endswith("Z")
    assert completed == {
        "invocation_id": sent,
        "service": "Counter",
        "key": "a",
        "handler": "add",
        "status": "success",
        "result": 5,
        "error": None,
        "restarted_from": None,
    }


def completed_seconds(completed: dict[str, Any]) -> float:
    return datetime.fromisoformat(completed["completed_at"]).timestamp()


async def test_a_url_is_told_of_a_failure(receiver: Receiver) -> None:
    async with serving() as runtime:
        await runtime.object(Counter, "a", callback=receiver.url).fail.send()
        await all_done(runtime)
    completed = json.loads(receiver.told[0][2])

    assert (completed["status"], completed["result"]) == ("failure", None)
    assert completed["error"]["code"] == 418
    assert completed["error"]["message"] == "no way"


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
async def test_what_is_not_taken_is_told_again_the_same_to_the_byte(
    receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status, status]
    async with serving() as runtime:
        await runtime.object(Counter, "a", callback=receiver.url).add(5)
        await all_done(runtime)
    first, *again = [(path, headers["webhook-id"], body) for path, headers, body in receiver.told]

    assert again == [first, first]


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.statuses, receiver.headers = [307] * 4, {"location": "/elsewhere"}
    async with serving() as runtime:
        await runtime.object(Counter, "a", callback=receiver.url).add(5)
        await all_done(runtime)

    assert {path for path, _, _ in receiver.told} == {"/hook?token=s3cret"}
    assert len(receiver.told) == 4


async def test_it_waits_for_as_long_as_the_receiver_asks(receiver: Receiver) -> None:
    receiver.statuses, receiver.headers = [503], {"retry-after": "0"}
    patient = RetryPolicy(initial_interval=timedelta(hours=1), max_attempts=9)
    async with serving(callback_retry=patient) as runtime:
        await runtime.object(Counter, "a", callback=receiver.url).add(5)
        await all_done(runtime)

    assert len(receiver.told) == 2


@pytest.mark.parametrize(
    ("statuses", "times", "said"),
    [
        ([500] * 9, 4, "answered 500"),
        ([410], 1, "answered 410: nobody wants to hear it any more"),
    ],
)
async def test_it_gives_up_by_policy_or_when_nobody_is_there_and_says_so(
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    statuses: list[int],
    times: int,
    said: str,
) -> None:
    receiver.statuses = statuses
    store = MemoryStore()
    async with serving(store) as runtime:
        sent = await runtime.object(Counter, "a", callback=receiver.url).add.send(5)
        await all_done(runtime)
        outcomes = [decode_outcome(row) for _, row in store.scan(*keys.prefix_range(keys.OUTCOME))]
    told = [each.result for each in outcomes if each.target.service == "holdfast.Callbacks"]
    said_so = [record for record in caplog.records if record.levelname == "ERROR"]

    assert len(receiver.told) == times
    assert f"will not be told the outcome of {sent}" in str(told[0])
    assert [said in record.getMessage() for record in said_so] == [True]
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/"])
async def test_who_cannot_be_reached_holds_nobody_up(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as runtime:
        assert await runtime.object(Counter, "a", callback=url).add(5) == 5
        await all_done(runtime)

    assert "could not be told" in caplog.text


async def test_an_answer_that_is_no_http_gets_no_secret_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"garbage\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/s3cret?token=s3cret"
    async with serving() as runtime:
        await runtime.object(Counter, "a", callback=url).add(5)
        await all_done(runtime)
    server.close()

    assert "its answer is no HTTP" in caplog.text
    assert "s3cret" not in caplog.text


async def test_who_does_not_answer_in_time_is_told_again(receiver: Receiver) -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    receiver.answer = hang
    async with serving(callback_timeout=timedelta(milliseconds=50)) as runtime:
        await runtime.object(Counter, "a", callback=receiver.url).add(5)
        await receiver.wait_told(2)
        receiver.answer = None
        await all_done(runtime)

    assert len(receiver.told) >= 3


async def test_an_answer_without_end_is_not_read(receiver: Receiver) -> None:
    async def go_on(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    receiver.answer = go_on
    async with serving() as runtime:
        await runtime.object(Counter, "a", callback=receiver.url).add(5)
        await all_done(runtime)

    assert len(receiver.told) == 1


async def test_so_many_are_told_at_a_time_and_no_more(receiver: Receiver) -> None:
    async def take_a_while(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response()

    receiver.answer = take_a_while
    async with serving(callbacks_max=3) as runtime:
        for _ in range(12):
            await runtime.object(Counter, "a", callback=receiver.url).add(1)
        await all_done(runtime)

    assert len(receiver.told) == 12
    assert receiver.at_once_max == 3


async def test_a_host_that_does_not_answer_holds_up_nobody_else(receiver: Receiver) -> None:
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    mute = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}/"
    patient = RetryPolicy(initial_interval=timedelta(hours=1), max_attempts=None)
    async with serving(
        callbacks_max=8, callback_timeout=timedelta(seconds=0.1), callback_retry=patient
    ) as runtime:
        for _ in range(400):
            await runtime.object(Counter, "a", callback=url).add(1)
        for _ in range(20):
            await runtime.object(Counter, "b", callback=receiver.url).add(1)
        await receiver.wait_told(20)
        assert asked < 100
        await runtime.stop(timedelta(0))
    mute.close()


async def test_a_name_that_nobody_looks_up_holds_up_no_other_one(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops have a few threads for names, and uvloop asks for two at a time."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    is_over, get_address = threading.Event(), socket.getaddrinfo

    def get_slowly(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "mute.example":
            is_over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody has answered")
        return get_address(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", get_slowly)
    url = receiver.url.replace("127.0.0.1", "localhost")
    async with serving() as runtime:
        for _ in range(4):
            await runtime.object(Counter, "a", callback="http://mute.example/").add(1)
        await runtime.object(Counter, "b", callback=url).add(1)
        await receiver.wait_told(1)
        is_over.set()
        await runtime.stop(timedelta(0))


async def test_a_host_that_did_not_answer_is_known_when_all_of_it_is_told_again() -> None:
    """What was not taken is told again in one moment, and so had all the room again."""
    slots = CallbackSlots(8, timedelta(seconds=1))
    at_once = most = 0

    async def hang() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.12)
        at_once -= 1

    async def answer() -> None:
        pass

    await asyncio.gather(*(slots.tell("mute.example", hang) for _ in range(8)))
    assert most == 8
    most = 0
    await asyncio.gather(*(slots.tell("mute.example", hang) for _ in range(3)))
    assert most == 1
    await slots.tell("mute.example", answer)
    await asyncio.gather(*(slots.tell("mute.example", hang) for _ in range(8)))
    assert most == 8


async def test_what_a_stop_cuts_off_is_told_after_the_next_start(receiver: Receiver) -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    receiver.answer = hang
    store = MemoryStore()
    async with serving(store) as runtime:
        sent = await runtime.object(Counter, "a", callback=receiver.url).add.send(5)
        await receiver.wait_told(1)
        await runtime.stop(timedelta(0))
    receiver.answer = None
    survivor = store.crash(keep_written=False)
    async with serving(survivor):
        await receiver.wait_told(2)

    assert {headers["webhook-id"] for _, headers, _ in receiver.told} == {sent}


async def test_the_door_does_not_know_the_service_that_tells() -> None:
    async with serving() as runtime:
        head = Head("POST", "/holdfast.Callbacks/deliver", {"content-type": "application/json"})
        response = await CallersDoor(runtime).respond(Request(head, b"{}"))

    assert response.status == 404


async def test_wherever_the_process_dies_a_url_is_told_at_least_once(receiver: Receiver) -> None:
    async def call(client: Client) -> tuple[int, bool]:
        before = len(receiver.told)
        answer = await client.object(Counter, "a", callback=receiver.url).add(5)
        await client.sleep(600)
        ids = {headers["webhook-id"] for _, headers, _ in receiver.told[before:]}
        return answer, len(ids) == 1

    report = await crash_everywhere(call, [Counter])

    assert report.ending.outcome == (5, True)
    assert len(receiver.told) >= report.cases + 1
