"""What a handler can say, across a real SIGKILL and over HTTP: the process dies, the words stay."""

import signal
from pathlib import Path
from typing import Any

from tests.crash.nursery import fork_holdfast
from tests.processes import Watched, post, wait_until

PROGRAM = """
import asyncio
from dataclasses import dataclass
from pathlib import Path

from holdfast import Context, TerminalError, VirtualObject, Workflow, handler, shared, state


@dataclass
class Decision:
    approved: bool


async def write(line: str) -> None:
    with Path("outside.txt").open("a") as file:
        file.write(line + "\\n")


async def think() -> str:
    await write("thinking")
    await asyncio.sleep(3600)
    return "never"


class Desk(VirtualObject):
    question: str = state("")

    @handler
    async def ask(self, ctx: Context) -> str:
        async with ctx.saga() as saga:
            saga.add("take back", write, "taken back")
            await ctx.run("book", write, "booked")
            asked = ctx.awakeable(Decision, message="may I?")
            self.question = asked.id
            if not (await asked).approved:
                raise TerminalError("refused", status_code=403)
        return "approved"

    @handler
    async def chat(self, ctx: Context, words: str) -> str:
        if words == "stop":
            return "stopped"
        try:
            return await ctx.run("think", think)
        except asyncio.CancelledError:
            await ctx.run("clean", write, "cleaned up")
            raise

    @shared
    async def read(self, ctx: Context) -> str:
        return self.question


class Order(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.promise("paid", str)

    @shared
    async def pay(self, ctx: Context, by: str) -> None:
        await ctx.promise("paid", str).resolve(by)
"""


def serve(directory: Path) -> Watched:
    (directory / "desk.py").write_text(PROGRAM)
    return fork_holdfast("serve", "desk.py", "--port", "0", cwd=directory)


def kill(server: Watched) -> None:
    server.signal(signal.SIGKILL)
    server.wait_exit()


def outside(directory: Path) -> list[str]:
    file = directory / "outside.txt"
    return file.read_text().splitlines() if file.exists() else []


def outcome(port: int, path: str, key: str, body: object = None) -> tuple[int, Any]:
    """The outcome of the call that was first sent with this idempotency key."""
    return post(port, path, body, {"idempotency-key": key})


def test_an_open_question_refuses_what_does_not_fit_and_compensates_after_a_kill(
    tmp_path: Path,
) -> None:
    with serve(tmp_path) as server:
        port = server.wait_port()
        post(port, "/Desk/a/ask/send", None, {"idempotency-key": "k"})
        wait_until(lambda: post(port, "/Desk/a/read")[1] != "", "the question")
        kill(server)
    with serve(tmp_path) as server:
        port = server.wait_port()
        asked = post(port, "/Desk/a/read")[1]
        status, answer = post(port, f"/restate/awakeables/{asked}/resolve", {"approved": "maybe"})
        assert (status, "approved" in answer["message"]) == (400, True)
        assert post(port, f"/restate/awakeables/{asked}/resolve", {"approved": False})[0] == 202
        status, answer = outcome(port, "/Desk/a/ask", "k")
        assert (status, answer["message"]) == (403, "refused")
        assert outside(tmp_path) == ["booked", "taken back"]


def test_an_interrupted_turn_cleans_up_once_although_the_server_is_killed(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        port = server.wait_port()
        post(port, "/Desk/b/chat/send", "hello", {"idempotency-key": "k"})
        wait_until(lambda: "thinking" in outside(tmp_path), "the first thought")
        kill(server)
    with serve(tmp_path) as server:
        port = server.wait_port()
        wait_until(lambda: outside(tmp_path).count("thinking") == 2, "the second thought")
        assert post(port, "/Desk/b/chat?mode=interrupt", "stop") == (200, "stopped")
        status, answer = outcome(port, "/Desk/b/chat", "k", "hello")
        assert (status, "interrupted by" in answer["message"]) == (409, True)
        kill(server)
    with serve(tmp_path) as server:
        port = server.wait_port()
        assert outcome(port, "/Desk/b/chat", "k", "hello")[0] == 409
        assert outside(tmp_path).count("cleaned up") == 1


def test_a_promise_that_was_resolved_before_the_kill_is_seen_by_run_after_it(
    tmp_path: Path,
) -> None:
    with serve(tmp_path) as server:
        port = server.wait_port()
        assert post(port, "/Order/7/pay", "card")[0] == 200
        kill(server)
    with serve(tmp_path) as server:
        port = server.wait_port()
        assert post(port, "/Order/7/run") == (200, "card")
        assert post(port, "/Order/7/run")[0] == 409
        assert post(port, "/Order/7/run/send")[1]["status"] == "PreviouslyAccepted"
