"""A person decides: an order waits, for days if it must, for someone's yes or no.

The wait is an awakeable, which says what it is for: a message, the type of the answer, a deadline.
Whoever decides finds it in the list of open ones. It costs a few rows on disk and no memory, and a
restart changes nothing about it.

    holdfast dev examples/approval.py
    curl localhost:8080/Order/42/place/send --json '{"item": "laptop", "euros": 1800}'
    curl -X POST localhost:8080/Order/42/read
    curl localhost:8080/restate/awakeables/<the id it shows>/resolve --json '{"approved": true}'
"""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from holdfast import (
    AwakeableInfo,
    Context,
    InvalidArgumentError,
    Runtime,
    Service,
    VirtualObject,
    handler,
    shared,
    state,
)


@dataclass
class Decision:
    """What the person answers; anything else is refused where it arrives."""

    approved: bool
    reason: str = ""


class OrderView(TypedDict):
    """What anyone may see of an order."""

    status: str
    approval: str | None


class Order(VirtualObject):
    """One order per number; above 500 euros a person has to approve it, within two days."""

    status: str = state("new")
    approval: str | None = state(None)

    @handler
    async def place(self, ctx: Context, item: str, euros: int) -> str:
        decision = Decision(approved=True)
        if euros > 500:
            question = {"item": item, "euros": euros}
            answer = ctx.awakeable(Decision, message=question, timeout=timedelta(days=2))
            self.approval = answer.id
            self.status = "waiting for approval"
            await ctx.run("notify", notify, f"{euros} euros for a {item}?", answer.id)
            try:
                decision = await answer
            except TimeoutError:
                decision = Decision(approved=False, reason="nobody answered in time")
            self.approval = None
        self.status = f"{item} ordered" if decision.approved else f"refused: {decision.reason}"
        return self.status

    @shared
    async def read(self, ctx: Context) -> OrderView:
        return {"status": self.status, "approval": self.approval}


class Approvals(Service):
    """Where a person's answer arrives, whatever tool they use."""

    @handler
    async def decide(self, ctx: Context, approval: str, decision: Decision) -> None:
        await ctx.resolve_awakeable(approval, decision)


async def notify(question: str, approval: str) -> None:
    """Your chat or mail goes here."""
    print(f"to the boss: {question} ({approval[:12]}...)")


async def wait_question(runtime: Runtime) -> AwakeableInfo:
    """What the boss's inbox shows, once there is something in it."""
    while True:
        for open_one in await runtime.awakeables(Order):
            return open_one
        await asyncio.sleep(0.01)


async def main() -> None:
    """Place an order, show that it waits, approve it."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Order, Approvals], data_dir=directory) as runtime:
            order = runtime.object(Order, "42")
            placing = asyncio.ensure_future(order.place("laptop", 1800))
            asked = await wait_question(runtime)
            print(f"{asked.service}/{asked.key} asks: {asked.message}")
            try:
                await runtime.resolve_awakeable(asked.id, {"approved": "maybe"})
            except InvalidArgumentError as error:
                print(error.message.partition(": ")[2])
            await runtime.service(Approvals).decide(asked.id, Decision(approved=True))
            print(await placing)


if __name__ == "__main__":
    asyncio.run(main())
