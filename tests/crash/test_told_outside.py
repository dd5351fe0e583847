"""What is told without a call, across a real SIGKILL and a real SIGTERM, over HTTP and RocksDB."""

import http.client
import json
import signal
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.crash.nursery import fork_holdfast
from tests.processes import Watched, post, wait_until

PROGRAM = """
import asyncio
from holdfast import Context, VirtualObject, Workflow, handler, state


async def act(name: str) -> str:
    if name == "hang":
        await asyncio.sleep(3600)
    return name


class Pad(VirtualObject):
    lines: list[str] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, text: str) -> str:
        self.lines.append(text)
        await ctx.run("act", act, text)
        return await ctx.signal("go", str)


class Deal(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.promise("signed", str)
"""

Answer = tuple[int, str | None, Any]

PROMISE = "/restate/workflow/Deal/42/promises/signed?wait=5m"


@contextmanager
def serve(tmp_path: Path) -> Generator[Watched, None, None]:
    (tmp_path / "pad.py").write_text(PROGRAM)
    with fork_holdfast("serve", "pad.py", "--port", "0", cwd=tmp_path) as server:
        yield server


def ask(port: int, path: str) -> http.client.HTTPConnection:
    """Send a request, and wait for no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    return connection


def get(port: int, path: str, tag: str | None = None) -> Answer:
    """Status, tag and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={} if tag is None else {"if-none-match": tag})
        response = connection.getresponse()
        data = response.read()
        return response.status, response.headers["etag"], json.loads(data) if data else None
    finally:
        connection.close()


def test_a_state_keeps_its_tag_and_is_waited_for_although_the_server_is_killed(
    tmp_path: Path,
) -> None:
    with serve(tmp_path) as server, ThreadPoolExecutor() as pool:
        port = server.wait_port()
        post(port, "/Pad/sam/add/send", "one")
        wait_until(lambda: get(port, "/Pad/sam")[2] == {"lines": ["one"]}, "the first line")
        _, tag, _ = get(port, "/Pad/sam")
        waiting: Future[Answer] = pool.submit(get, port, "/Pad/sam?wait=60s", tag)
        server.signal(signal.SIGKILL)
        server.wait_exit()
        assert isinstance(waiting.exception(timeout=30), OSError)
    with serve(tmp_path) as server, ThreadPoolExecutor() as pool:
        port = server.wait_port()
        assert get(port, "/Pad/sam", tag)[:2] == (304, tag)
        waiting = pool.submit(get, port, "/Pad/sam?wait=60s", tag)
        post(port, "/Pad/sam/add/send?mode=interrupt", "two")
        status, other, body = waiting.result(timeout=30)
        assert (status, body) == (200, {"lines": ["one", "two"]})
        assert other != tag


def test_a_server_that_is_told_to_stop_does_not_make_those_who_wait_wait(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        port = server.wait_port()
        state, promise = ask(port, "/Pad/sam?wait=5m"), ask(port, PROMISE)
        for _ in range(2):  # What was sent before them has been read when both are answered.
            assert get(port, "/restate/health")[0] == 200
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert state.getresponse().status in {200, 503}
        assert promise.getresponse().status in {470, 503}
        state.close()
        promise.close()


def test_what_is_known_of_an_effect_is_known_after_the_server_was_killed(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        port = server.wait_port()
        id_ = post(port, "/Pad/sam/add/send", "hang")[1]["invocationId"]
        path = f"/restate/invocation/{id_}/effects"
        wait_until(lambda: len(get(port, path)[2]["effects"]) == 1, "the step")
        before = get(port, path)[2]["effects"][0]
        server.signal(signal.SIGKILL)
        server.wait_exit()
    with serve(tmp_path) as server:
        port = server.wait_port()
        wait_until(lambda: get(port, path)[2]["effects"][0]["attempts"] == 2, "another attempt")
        after = get(port, path)[2]["effects"][0]
        assert before["status"] == after["status"] == "unknown"
        assert before["idempotency_key"] == after["idempotency_key"] == f"{id_}-1"


def test_signals_and_promises_that_were_answered_survive_a_kill(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        port = server.wait_port()
        id_ = post(port, "/Pad/sam/add/send", "one")[1]["invocationId"]
        assert post(port, f"/restate/invocation/{id_}/signals/go/resolve", "on")[0] == 202
        assert post(port, "/restate/workflow/Deal/42/promises/signed/resolve", "kim")[0] == 202
        server.signal(signal.SIGKILL)
        server.wait_exit()
    with serve(tmp_path) as server:
        port = server.wait_port()
        assert get(port, f"/restate/invocation/{id_}/attach")[2] == "on"
        assert get(port, "/restate/workflow/Deal/42/promises/signed")[2] == "kim"
        assert post(port, "/Deal/42/run") == (200, "kim")
