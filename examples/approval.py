"""A person decides: an order waits, for days if it must, for someone's yes or no.

The wait is an awakeable: a promise with an id that anyone outside can keep, over HTTP too. It
costs a few rows on disk and no memory, and a restart changes nothing about it.

    holdfast dev examples/approval.py
    curl localhost:8080/Order/42/place/send --json '{"item": "laptop", "euros": 1800}'
    curl -X POST localhost:8080/Order/42/read
    curl localhost:8080/restate/awakeables/<the id it shows>/resolve --json true
"""

import asyncio
import tempfile
from typing import TypedDict

from holdfast import Context, Runtime, Service, VirtualObject, handler, shared, state


class OrderView(TypedDict):
    """What anyone may see of an order."""

    status: str
    approval: str | None


class Order(VirtualObject):
    """One order per number; above 500 euros a person has to approve it."""

    status: str = state("new")
    approval: str | None = state(None)

    @handler
    async def place(self, ctx: Context, item: str, euros: int) -> str:
        if euros > 500:
            decision = ctx.awakeable(bool)
            self.approval = decision.id
            self.status = "waiting for approval"
            await ctx.run("notify", notify, f"{euros} euros for a {item}?", decision.id)
            approved = await decision
            self.approval = None
        else:
            approved = True
        self.status = f"{item} ordered" if approved else "refused"
        return self.status

    @shared
    async def read(self, ctx: Context) -> OrderView:
        return {"status": self.status, "approval": self.approval}


class Approvals(Service):
    """Where a person's answer arrives, whatever tool they use."""

    @handler
    async def decide(self, ctx: Context, approval: str, approved: bool) -> None:
        ctx.resolve_awakeable(approval, approved)


async def notify(question: str, approval: str) -> None:
    """Your chat or mail goes here."""
    print(f"to the boss: {question} ({approval[:12]}...)")


async def wait_approval(order: Order) -> str:
    """Look at the order until it waits for a person; gives what to answer with."""
    while True:
        approval = (await order.read())["approval"]
        if approval is not None:
            return approval
        await asyncio.sleep(0.01)


async def main() -> None:
    """Place an order, show that it waits, approve it."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Order, Approvals], data_dir=directory) as runtime:
            order = runtime.object(Order, "42")
            placing = asyncio.ensure_future(order.place("laptop", 1800))
            approval = await wait_approval(order)
            print((await order.read())["status"])
            await runtime.service(Approvals).decide(approval, approved=True)
            print(await placing)


if __name__ == "__main__":
    asyncio.run(main())
