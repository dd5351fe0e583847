"""Objects for tests of clients, and the seams of a client that never waits."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from holdfast import (
    Context,
    RetryPolicy,
    Runtime,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.client.seams import Seams

ran: list[str] = []
"""What handlers have done, in this process."""


class Cart(VirtualObject):
    items: list[str] = state(default_factory=list)
    awaited: str = state("")

    @handler
    async def add(self, ctx: Context, item: str, times: int = 1) -> list[str]:
        self.items.extend([item] * times)
        ran.append(f"add {item}")
        return self.items

    @handler
    async def clear(self, ctx: Context) -> None:
        self.items.clear()

    @handler
    async def refuse(self, ctx: Context, status: int) -> None:
        ran.append("refuse")
        message = "sold out"
        raise TerminalError(message, status_code=status, metadata={"shelf": "3"})

    @handler
    async def hear(self, ctx: Context) -> object:
        return await ctx.signal("wörd / 1")

    @handler
    async def read(self, ctx: Context) -> dict[str, str]:
        return await ctx.inbox(dict[str, str]).get()

    @handler
    async def spill(self, ctx: Context) -> None:
        await ctx.step(retry=RetryPolicy(max_attempts=1)).run("spill", spill)

    @handler
    async def pass_on(self, ctx: Context) -> None:
        await ctx.object(Cart, "other").refuse(409)

    @handler
    async def ask(self, ctx: Context) -> str:
        question = ctx.awakeable(str)
        self.awaited = question.id
        await ctx.run("tell", tell)
        return await question

    @shared
    async def question(self, ctx: Context) -> str:
        return self.awaited

    @shared
    async def look(self, ctx: Context) -> list[str]:
        return self.items


class Order(Workflow):
    @handler
    async def run(self, ctx: Context, item: str) -> str:
        ran.append(f"run {item}")
        paid = await ctx.promise("paid", bool) if item == "dear" else True
        return f"{item}: {paid}"


@dataclass
class Price:
    item: str
    cents: int


class Mailer(Service):
    @handler(content_type="image/png")
    async def stamp(self, ctx: Context) -> bytes:
        return b"\x89\x00"

    @handler(content_type="text/plain; charset=utf-8")
    async def label(self, ctx: Context) -> str:
        return "für sam"

    @handler
    async def price(self, ctx: Context, item: str) -> Price:
        return Price(item, len(item))

    @handler
    async def deliver(self, ctx: Context, to: str, text: str = "") -> str:
        ran.append(f"deliver {to}")
        return f"{to}: {text}"


@dataclass
class Pet:
    name: str
    tags: set[str]


class Owner(VirtualObject):
    pets: list[Pet] = state(default_factory=list)

    @handler
    async def adopt(self, ctx: Context, name: str) -> None:
        self.pets.append(Pet(name, {"new"}))
        ctx.set("last", name)


CLASSES: list[type] = [Cart, Order, Mailer, Owner]


def spill() -> None:
    message = "all over the floor"
    raise KeyError(message)


def tell() -> None:
    """Where a person would be asked."""


@dataclass
class Patience:
    """Time that goes by only when the client waits."""

    waits: list[float] = field(default_factory=list[float])
    now: float = 0.0
    takes: Callable[[], float] = lambda: 0.0
    """How long each look at the clock takes."""

    def seams(self) -> Seams:
        numbers = count(1)
        return Seams(
            monotonic=self._look,
            now_ms=lambda: 1_769_862_896_000,
            sleep=self._sleep,
            chance=lambda: 0.0,
            new_key=lambda: f"key-{next(numbers)}",
        )

    def _look(self) -> float:
        self.now += self.takes()
        return self.now

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


async def open_awakeables(runtime: Runtime, key: str | None = None) -> list[str]:
    """The ids of those that carts wait for, once there is one."""
    while True:
        page = await runtime.awakeables(Cart, key)
        if page.awakeables:
            return [each.id for each in page]
        await asyncio.sleep(0)
