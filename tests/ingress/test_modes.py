"""What a call or a send over HTTP does to the turn under way: queue, interrupt, steer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from holdfast import CanceledError, Context, VirtualObject, handler, state
from holdfast.ingress.callers import CallersDoor
from holdfast.ingress.messages import Head, Request, Response
from holdfast.runtime.testing import settle
from tests.ingress.fake_engine import error_of
from tests.runtime.worlds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Chat(VirtualObject):
    said: list[str] = state(default_factory=list)

    @handler
    async def ask(self, ctx: Context, text: str) -> str:
        self.said.append(text)
        if text == "long":
            try:
                await ctx.awakeable(str)
            except asyncio.CancelledError:
                self.said.append("stopped")
                raise
        return f"re: {text}"

    @handler
    async def reply(self, ctx: Context, text: str) -> list[str]:
        if text != "long":
            return [text]
        return [await ctx.inbox(str).get()]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World([Chat])
    await world.start()
    yield world
    world.close()


@dataclass
class Poster:
    door: CallersDoor

    async def post(self, path: str, body: bytes) -> Response:
        headers = {"content-type": "application/json"}
        return await self.door.respond(Request(Head("POST", path, headers), body))

    def begin(self, path: str, body: bytes) -> asyncio.Task[Response]:
        return asyncio.create_task(self.post(path, body))


@pytest.fixture
def poster(world: World) -> Poster:
    return Poster(CallersDoor(world.runtime))


@pytest.mark.parametrize("is_send", [False, True])
async def test_an_interrupted_call_ends_with_409_and_the_next_one_is_answered(
    is_send: bool,  # noqa: FBT001
    world: World,
    poster: Poster,
) -> None:
    interrupted = poster.begin("/Chat/sam/ask", b'"long"')
    await settle()
    queued = poster.begin("/Chat/sam/ask?mode=queue", b'"queued"')
    await settle()
    if is_send:
        sent = await poster.post("/Chat/sam/ask/send?mode=interrupt", b'"now"')
        assert sent.status == 202
    else:
        called = await poster.post("/Chat/sam/ask?mode=interrupt", b'"now"')
        assert (called.status, called.body) == (200, b'"re: now"')
    ended = await interrupted
    assert ended.status == 409
    assert ended.headers["x-restate-error-source"] == "invocation"
    assert ended.headers["x-holdfast-error"] == CanceledError.code
    assert "interrupted" in str(error_of(ended.body)["message"])
    assert (await queued).body == b'"re: queued"'
    said = (await world.runtime.state(Chat, "sam"))["said"]
    assert said == ["long", "stopped", "now", "queued"]


async def test_an_interrupting_call_that_was_accepted_goes_on_after_a_crash(
    world: World, poster: Poster
) -> None:
    poster.begin("/Chat/sam/ask", b'"long"')
    await settle()
    sent = await poster.post("/Chat/sam/ask/send?mode=interrupt", b'"now"')
    await world.restart(keep_written=False)
    id_ = sent.headers["x-restate-id"]
    assert await world.runtime.invocation(id_).attach() == "re: now"


async def test_a_message_is_read_by_the_turn_under_way_or_waits_for_its_own(
    world: World, poster: Poster
) -> None:
    working = poster.begin("/Chat/sam/reply", b'"long"')
    await settle()
    sent = await poster.post("/Chat/sam/reply/send?mode=steer", b'"left"')
    assert sent.status == 202
    assert (await working).body == b'["left"]'
    late = await poster.post("/Chat/sam/reply/send?mode=steer", b'"alone"')
    assert await world.runtime.invocation(late.headers["x-restate-id"]).attach() == ["alone"]


async def test_a_call_cannot_steer_because_nobody_would_answer_it(poster: Poster) -> None:
    refused = await poster.post("/Chat/sam/reply?mode=steer", b'"left"')
    assert refused.status == 400
    assert "steer" in str(error_of(refused.body)["message"])


@pytest.mark.parametrize("path", ["/Chat/sam/ask?mode=pause", "/Chat/sam/ask/send?mode="])
async def test_a_mode_that_there_is_not_is_refused_and_interrupts_nobody(
    path: str, poster: Poster
) -> None:
    asking = poster.begin("/Chat/sam/ask", b'"long"')
    await settle()
    refused = await poster.post(path, b'"now"')
    assert refused.status == 400
    assert "mode" in str(error_of(refused.body)["message"])
    await settle()
    assert not asking.done()
    asking.cancel()
