"""A chain of objects: an order asks a warehouse, which asks its supplier.

Every call between them is exactly once, however often a process dies in between, and the whole
chain waits for the disk a few times rather than once per call.

    holdfast dev examples/chain.py
    curl localhost:8080/Shop/berlin/buy --json '{"item": "lamp", "count": 3}'
"""

import asyncio
import tempfile

from holdfast import Context, Runtime, TerminalError, VirtualObject, handler, shared, state


class Supplier(VirtualObject):
    """One supplier per item; it delivers crates of ten and runs out at some time."""

    crates: int = state(2)

    @handler
    async def deliver(self, ctx: Context, count: int) -> int:
        crates = -(-count // 10)
        if crates > self.crates:
            message = f"only {self.crates} crates of {ctx.key} left"
            raise TerminalError(message, status_code=409)
        self.crates -= crates
        return crates * 10


class Warehouse(VirtualObject):
    """One warehouse per town."""

    stock: dict[str, int] = state(default_factory=dict)

    @handler
    async def take(self, ctx: Context, item: str, count: int) -> int:
        missing = count - self.stock.get(item, 0)
        if missing > 0:
            delivered = await ctx.object(Supplier, item).deliver(missing)
            self.stock[item] = self.stock.get(item, 0) + delivered
        self.stock[item] -= count
        return self.stock[item]

    @shared
    async def list_stock(self, ctx: Context) -> dict[str, int]:
        return self.stock


class Shop(VirtualObject):
    """One shop per town; it keeps nothing but a count."""

    sold: int = state(0)

    @handler
    async def buy(self, ctx: Context, item: str, count: int) -> str:
        left = await ctx.object(Warehouse, ctx.key).take(item, count)
        self.sold += count
        return f"{count} x {item} sold ({self.sold} in all), {left} left in {ctx.key}"


async def main() -> None:
    """Buy until the supplier has run out."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Shop, Warehouse, Supplier], data_dir=directory) as runtime:
            shop = runtime.object(Shop, "berlin")
            for count in (3, 5, 9, 4):
                try:
                    print(await shop.buy("lamp", count))
                except TerminalError as error:
                    print(f"refused: {error.message}")


if __name__ == "__main__":
    asyncio.run(main())
