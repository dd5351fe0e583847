"""What is told outside without a call stays true: the process dies at every commit, and at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast import Context, VirtualObject, Workflow, handler, shared, state
from holdfast.testing import Effects, crash_everywhere

if TYPE_CHECKING:
    from holdfast.testing import Client

EFFECTS = Effects()


async def act(name: str) -> str:
    EFFECTS.add(name)
    await asyncio.sleep(0)
    return name


class Counter(VirtualObject):
    count: int = state(0)
    log: list[str] = state(default_factory=list)

    @handler
    async def add(self, ctx: Context, name: str) -> int:
        self.count += 1
        self.log.append(name)
        await ctx.run(name, act, name)
        self.count += 1
        return self.count

    @handler
    async def work(self, ctx: Context, names: list[str]) -> str:
        for name in names:
            await ctx.run(name, act, name)
        return ctx.invocation_id


class Deal(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.promise("signed", str)

    @shared
    async def sign(self, ctx: Context, name: str) -> None:
        await ctx.promise("signed", str).resolve(name)


async def follow(client: Client) -> int:
    """See each state that lasts, and none that is taken back."""
    seen = await client.wait_state(Counter, "sam")
    told: list[int] = [seen.values.get("count", 0)]
    tags = {seen.tag: seen.values}

    async def add() -> None:
        for name in ("a", "b", "c"):
            await client.object(Counter, "sam").add(name)

    adding = asyncio.ensure_future(add())
    while told[-1] < 6:
        seen = await client.wait_state(Counter, "sam", since=seen.tag)
        told.append(seen.values["count"])
        assert tags.setdefault(seen.tag, seen.values) == seen.values
    await adding
    assert told == sorted(set(told)), told
    return told[-1]


async def test_a_state_that_was_told_is_never_taken_back_by_a_crash() -> None:
    report = await crash_everywhere(follow, [Counter], effects=EFFECTS, crash_again=True)
    assert report.commits > 3


async def sign(client: Client) -> list[str]:
    promise = client.promise(Deal, "42", "signed", str)
    waiting = asyncio.ensure_future(promise.wait())
    running = asyncio.ensure_future(client.workflow(Deal, "42").run())
    await client.workflow(Deal, "42").sign("kim")
    return [await waiting, await running, await promise.wait()]


async def test_a_promise_that_is_waited_for_outside_is_told_whenever_the_process_dies() -> None:
    report = await crash_everywhere(sign, [Deal], crash_again=True)
    assert report.ending.outcome == ["kim"] * 3


async def look(client: Client) -> list[str]:
    """Ask about effects all the time, and hold the answers against what really happened."""
    id_ = await client.object(Counter, "sam").work.send(["a", "b"])
    working = asyncio.ensure_future(client.invocation(id_).attach())
    while True:
        before = list(EFFECTS.lines)
        page = await client.invocation(id_).effects()
        for effect in page:
            if effect.status == "not started":
                assert effect.name not in before
            if effect.status == "done":
                assert effect.name in EFFECTS.lines
        if working.done():
            break
        await client.sleep(0.1)
    await working
    return [effect.status for effect in await client.invocation(id_).effects()]


async def test_what_is_said_of_an_effect_is_true_whenever_the_process_dies() -> None:
    report = await crash_everywhere(look, [Counter], effects=EFFECTS, crash_again=True)
    assert report.commits > 2
