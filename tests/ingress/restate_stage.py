"""A runtime behind real HTTP, brought to where a recorded request of Restate's found its server.

``before`` what is asked for there happens through the same doors or through the runtime itself;
``during`` is what happens to an invocation while the request waits for it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from holdfast import Runtime
from holdfast.ingress.server import HttpServer
from holdfast.runtime.testing import settle
from tests.ingress.http_caller import connect
from tests.ingress.restate_services import ConfApproval, ConfSteps

JSON = {"content-type": "application/json"}
IDEMPOTENT = {**JSON, "idempotency-key": "i"}
UNKNOWN = "inv_" + "0" * 32


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Stage:
    """What one request finds."""

    runtime: Runtime
    session: aiohttp.ClientSession
    servers: dict[str, HttpServer]
    """The doors: ``callers`` and ``admin``."""
    names: dict[str, str] = field(
        default_factory=lambda: {"key": "k", "workflow key": "w", "idempotency key": "i"}
    )
    """What stands for the placeholders."""

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        door: str = "callers",
    ) -> Reply:
        skipped = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
        async with self.session.request(
            method,
            URL(f"http://127.0.0.1:{self.servers[door].port}{path}", encoded=True),
            data=body or None,
            headers=headers,
            skip_auto_headers=skipped,
        ) as response:
            sent = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, sent, await response.read())

    async def ask_with_a_body_of(self, size: int, path: str, headers: dict[str, str]) -> Reply:
        """Say how long the body is, and read the answer before any of it is sent."""
        lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {size}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        async with connect(self.servers["callers"].port) as caller:
            reply = await caller.ask("\r\n".join([*lines, "", ""]).encode())
        return Reply(reply.status, dict(reply.headers), reply.body)

    async def wait_received(self) -> None:
        """Wait until a request is in the hands of the runtime, which has no answer yet."""
        async with asyncio.timeout(3):
            while not self.servers["callers"].statistics().requests_in_flight:
                await settle()
        await settle()

    @property
    def id(self) -> str:
        """The invocation that the request is about."""
        return self.names["invocation id"]

    async def send(self, path: str, body: bytes = b"", **headers: str) -> None:
        """Have an invocation made; the request is about it."""
        reply = await self.ask("POST", path, body, {**(JSON if body else {}), **headers})
        assert reply.status in {200, 202}, reply
        self.names["invocation id"] = reply.headers["x-restate-id"]
        await settle()

    async def find_awaited(self) -> str:
        """The awakeable that the object at ``k`` waits for."""
        async with asyncio.timeout(3):
            while not (awaited := await self.runtime.object(ConfSteps, "k").waits()):
                await settle()
        return awaited

    async def wait_status(self, status: str) -> None:
        async with asyncio.timeout(3):
            while (await self.runtime.invocation(self.id).describe()).status != status:
                await settle()


Step = Callable[[Stage], Awaitable[Any]]


async def nothing(stage: Stage) -> None:
    """The server is fresh."""


async def a_count(stage: Stage) -> None:
    await stage.send("/Counter/k/add", b"5")


async def a_keyed_call(stage: Stage) -> None:
    await stage.ask("POST", "/Counter/k/add", b"2", IDEMPOTENT)


async def unknown_id(stage: Stage) -> None:
    stage.names["invocation id"] = UNKNOWN


async def waiting(stage: Stage) -> None:
    await stage.send("/ConfSteps/k/run/send")
    stage.names["awakeable id"] = await stage.find_awaited()
    await stage.wait_status("suspended")


async def ready(stage: Stage) -> None:
    await waiting(stage)
    await stage.runtime.resolve_awakeable(stage.names["awakeable id"], "ready")
    await stage.runtime.invocation(stage.id).attach()


async def resolved(stage: Stage) -> None:
    await waiting(stage)
    await stage.runtime.resolve_awakeable(stage.names["awakeable id"], {"a": 1})


async def rejected(stage: Stage) -> None:
    await waiting(stage)
    path = f"/restate/awakeables/{stage.names['awakeable id']}/reject"
    await stage.ask("POST", path, b"my bad", {"content-type": "text/plain"})
    await stage.wait_status("completed")


async def an_approval(stage: Stage) -> None:
    await stage.send("/ConfApproval/w/run/send", b'{"name": "n"}')


async def approved(stage: Stage) -> None:
    await an_approval(stage)
    await stage.runtime.workflow(ConfApproval, "w").approve("yes")
    await stage.runtime.invocation(stage.id).attach()


async def queued(stage: Stage) -> None:
    await waiting(stage)
    await stage.send("/ConfSteps/k/run/send")


async def only_the_turn_is_taken(stage: Stage) -> None:
    await waiting(stage)


async def delayed(stage: Stage) -> None:
    await stage.send("/ConfSteps/k/run/send?delay=1h")


async def paused(stage: Stage) -> None:
    await waiting(stage)
    await stage.runtime.invocation(stage.id).pause()
    await stage.wait_status("paused")


async def killed(stage: Stage) -> None:
    await waiting(stage)
    await stage.runtime.invocation(stage.id).kill()


async def canceled(stage: Stage) -> None:
    await waiting(stage)
    await stage.runtime.invocation(stage.id).cancel()
    await stage.wait_status("completed")


async def without_a_journal(stage: Stage) -> None:
    await ready(stage)
    await stage.runtime.invocation(stage.id).purge_journal()


async def purged(stage: Stage) -> None:
    await ready(stage)
    await stage.runtime.invocation(stage.id).purge()


async def cancel_it(stage: Stage) -> None:
    await stage.runtime.invocation(stage.id).cancel()


async def cancel_the_queued(stage: Stage) -> None:
    """Whatever waits at the key behind the one that has the turn."""
    found = await stage.runtime.find_invocation(ConfSteps, "k", ConfSteps.run, idempotency_key="i")
    assert found is not None, "nothing waits"
    await found.cancel()


async def set_to_42(stage: Stage) -> None:
    await stage.send("/Counter/k/add", b"42")


async def counted(stage: Stage) -> None:
    await set_to_42(stage)
    await stage.send("/Counter/k/add", b"1", **{"idempotency-key": "i"})


BEFORE: dict[int, Step] = {
    **dict.fromkeys((2, 3, 8), a_count),
    **dict.fromkeys((33, 34, 35), a_keyed_call),
    **dict.fromkeys((41, 49, 60, 62, 65, 66, 67, 71, 72, 73, 76), waiting),
    **dict.fromkeys((42, 43, 44, 79, 80, 82), ready),
    **dict.fromkeys((46, 47), unknown_id),
    **dict.fromkeys((52, 53, 54, 55), an_approval),
    **dict.fromkeys((56, 57), approved),
    61: resolved,
    63: rejected,
    68: canceled,
    69: queued,
    70: only_the_turn_is_taken,
    **dict.fromkeys((74, 75), paused),
    **dict.fromkeys((77, 78), killed),
    81: without_a_journal,
    83: purged,
    84: delayed,
    91: set_to_42,
    **dict.fromkeys((92, 93), counted),
}
"""By the number of the request; the server is fresh for all others."""

DURING: dict[int, Step] = {67: cancel_it, 70: cancel_the_queued}


def fill(text: str, names: dict[str, str]) -> str:
    """``text`` with what stands for its placeholders."""
    return re.sub(r"<([a-z ]+)>", lambda found: names.get(found[1], found[0]), text)
