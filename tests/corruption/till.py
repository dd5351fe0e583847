"""The objects whose directories are damaged: they use state, steps, sends and awakeables."""

from datetime import timedelta

from holdfast import Context, VirtualObject, handler, state

DAY = timedelta(days=1)


class Till(VirtualObject):
    total: int = state(default=0)
    receipts: list[str] = state(default_factory=list)

    @handler
    async def pay(self, ctx: Context, cents: int) -> int:
        """Take money: two steps, one change of state, and a copy for another object."""
        first = await ctx.run("charge", str, cents)
        await ctx.run("print", str, first)
        self.total += cents
        self.receipts.append(first)
        await ctx.object(Book, "all").note.send(f"{ctx.key} {cents}")
        return self.total

    @handler
    async def remind(self, ctx: Context, text: str) -> None:
        await ctx.object(Book, "later").note.send(text, delay=DAY)

    @handler
    async def approve(self, ctx: Context, cents: int) -> bool:
        """Wait for a person."""
        return await ctx.awakeable(bool, message=f"{cents}")


class Book(VirtualObject):
    lines: int = state(default=0)

    @handler
    async def note(self, ctx: Context, line: str) -> int:
        self.lines += 1
        return self.lines
