"""A real server process that is killed under its clients."""

import asyncio
import signal
from collections.abc import Awaitable
from pathlib import Path

from holdfast import Client
from tests.crash.nursery import fork_holdfast
from tests.processes import free_port, wait_until

SHOP = """
from collections.abc import Awaitable
from pathlib import Path
from holdfast import Context, VirtualObject, handler, shared, state

class Desk(VirtualObject):
    answers: list[str] = state(default_factory=list)

    @handler
    async def ask(self, ctx: Context, question: str) -> list[str]:
        await ctx.run("note", note, question)
        asked = ctx.awakeable(str)
        await ctx.run("tell", tell, asked.id)
        self.answers.append(await asked)
        return self.answers

def note(question: str) -> None:
    with Path("asked.txt").open("a") as file:
        file.write(question + "\\n")

def tell(id_: str) -> None:
    Path("telling.txt").write_text(id_)
    Path("telling.txt").rename("told.txt")
"""


def test_a_call_in_flight_when_the_server_is_killed_gets_its_one_result(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(SHOP)
    serve = ("serve", "desk.py", "--admin-port", "none", "--port", str(free_port()))
    told = tmp_path / "told.txt"

    async def play() -> list[str]:
        url = f"http://127.0.0.1:{serve[-1]}"
        async with Client(url) as client, asyncio.TaskGroup() as group:
            with fork_holdfast(*serve, cwd=tmp_path) as server:
                server.wait_port()
                call = client.call_by_name("Desk", "front", "ask", "tea?")
                calling = group.create_task(await_(call))
                await asyncio.to_thread(wait_until, told.exists, "the question")
                server.signal(signal.SIGKILL)
                server.wait_exit()
            with fork_holdfast(*serve, cwd=tmp_path) as server:
                await asyncio.to_thread(server.wait_port)
                await client.resolve_awakeable(told.read_text(), "yes")
                return await calling

    assert asyncio.run(play()) == ["yes"]
    assert (tmp_path / "asked.txt").read_text() == "tea?\n"


async def await_(call: Awaitable[list[str]]) -> list[str]:
    return await call
