"""Many steps at once: ordinary asyncio inside a handler, and every step journaled.

A crash in the middle keeps the pages already read; only those that had not finished are read
again.

    holdfast dev examples/fan_out.py
    curl localhost:8080/Digest/make --json '["a", "b", "c"]'
"""

import asyncio
import tempfile

from holdfast import Context, Runtime, Service, handler


class Digest(Service):
    """Reads many pages and says what is in them."""

    @handler
    async def make(self, ctx: Context, pages: list[str]) -> dict[str, int]:
        async with asyncio.TaskGroup() as group:
            counts = {page: group.create_task(self.count(ctx, page)) for page in pages}
        return {page: task.result() for page, task in counts.items()}

    async def count(self, ctx: Context, page: str) -> int:
        """The words of one page; an ordinary method, as it is no handler."""
        text = await ctx.run(f"read {page}", read_page, page)
        return len(text.split())


async def read_page(page: str) -> str:
    """Your HTTP client goes here; this one makes the page up."""
    await asyncio.sleep(0.1)
    return f"the page called {page} " * (1 + len(page))


async def main() -> None:
    """Read five pages at once: in the time of one."""
    with tempfile.TemporaryDirectory() as directory:
        async with Runtime([Digest], data_dir=directory) as runtime:
            counts = await runtime.service(Digest).make(["a", "bb", "ccc", "dddd", "eeeee"])
            for page, words in counts.items():
                print(f"{page:>6}: {words} words")


if __name__ == "__main__":
    asyncio.run(main())
