"""A runtime whose work stands wherever work can stand, and queries about it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from holdfast import (
    Context,
    RetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.ingress.sql.pace import Pace
from holdfast.ingress.sql.query import QueryLimits, answer_query
from holdfast.journal.store import StoreView
from holdfast.runtime.testing import settle
from holdfast.runtime.views.rows import Rows
from tests.runtime.worlds import World


class BoomError(Exception):
    """What actions and handlers here fail with."""


def fail() -> None:
    message = "no luck"
    raise BoomError(message)


def note() -> dict[str, int]:
    return {"noted": 1}


class Cart(VirtualObject):
    items: list[str] = state(default_factory=list)
    total: int = state(0)

    @handler
    async def add(self, ctx: Context, item: str) -> int:
        await ctx.run("note", note)
        self.items.append(item)
        self.total += 1
        return self.total

    @handler
    async def ask(self, ctx: Context) -> str:
        return await ctx.awakeable(str, message={"may": "it?"}, timeout=timedelta(days=1))

    @handler
    async def refuse(self, ctx: Context) -> None:
        message = "never"
        raise TerminalError(message, status_code=422)

    @handler(retry=RetryPolicy(max_attempts=1))
    async def stumble(self, ctx: Context) -> None:
        message = "stopped"
        raise BoomError(message)

    @handler
    async def retry(self, ctx: Context) -> None:
        await ctx.run("unlucky", fail)

    @handler
    async def delegate(self, ctx: Context, key: str) -> str:
        return await ctx.object(Cart, key).ask()

    @shared
    async def look(self, ctx: Context) -> int:
        return self.total


class Mailer(Service):
    @handler
    async def later(self, ctx: Context) -> None:
        await asyncio.sleep(3600)


class Approval(Workflow):
    @handler
    async def run(self, ctx: Context) -> str:
        return await ctx.promise("approved", str).value()

    @shared
    async def approve(self, ctx: Context, by: str) -> None:
        await ctx.promise("approved", str).resolve(by)


CLASSES = [Cart, Mailer, Approval]


@dataclass
class Ids:
    """The invocations, by where they stand."""

    by_name: dict[str, str] = field(default_factory=dict[str, str])

    def __getitem__(self, name: str) -> str:
        return self.by_name[name]


@asynccontextmanager
async def standing() -> AsyncGenerator[tuple[World, Ids]]:
    """A world with an invocation of each status."""
    world = World(CLASSES)
    runtime = await world.start()
    ids = Ids()
    sent = ids.by_name
    await runtime.object(Cart, "sam", idempotency_key="k1").add("tea")
    sent["suspended"] = await runtime.object(Cart, "sam").ask.send()
    sent["pending"] = await runtime.object(Cart, "sam").add.send("milk")
    sent["failed"] = await runtime.object(Cart, "bob").refuse.send()
    sent["paused"] = await runtime.object(Cart, "eve").stumble.send()
    sent["backing-off"] = await runtime.object(Cart, "ann").retry.send()
    sent["scheduled"] = await runtime.object(Cart, "bob").add.send("x", delay=timedelta(hours=2))
    sent["sleeping"] = await runtime.service(Mailer).later.send()
    sent["promised"] = await runtime.workflow(Approval, "w1").run.send()
    await runtime.workflow(Approval, "w2").approve("eve")
    await settle()
    try:
        yield world, ids
    finally:
        world.close()


async def query(world: World, text: str, **limits: Any) -> list[dict[str, Any]]:
    """The rows of a query."""
    said = QueryLimits(**limits)

    def read(rows: Rows) -> list[dict[str, Any]]:
        return ask(rows, text, said)

    return await world.runtime.look(read)


def ask(rows: Rows, text: str, limits: QueryLimits | None = None) -> list[dict[str, Any]]:
    """The rows of a query about a view."""
    said = limits or QueryLimits()
    answer = answer_query(rows, text, Pace(said.seconds_max, rests=False), said)
    found: list[dict[str, Any]] = json.loads(answer)["rows"]
    return found


class CountingView:
    """A view that counts the rows it gives."""

    def __init__(self, view: StoreView) -> None:
        self._view = view
        self.rows = 0

    def get(self, key: bytes) -> bytes | None:
        self.rows += 1
        return self._view.get(key)

    def scan(
        self, start: bytes, end: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for row in self._view.scan(start, end, reverse=reverse):
            self.rows += 1
            yield row

    def close(self) -> None:
        self._view.close()


def select(columns: str, table: str, id_: str) -> str:
    """The text of a query about one invocation."""
    return f"SELECT {columns} FROM {table} WHERE id = '{id_}'"  # noqa: S608  # all three are ours


def only(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The one row."""
    assert len(rows) == 1, rows
    return rows[0]
