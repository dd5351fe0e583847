"""A server as ``holdfast serve`` runs it, with the limits that its argument says. A program."""

import asyncio
import json
import sys
from pathlib import Path

import click

from holdfast import Context, Runtime, Service, VirtualObject, handler, state
from holdfast.ingress.options import HttpOptions
from holdfast.serving_command import new_event_loop
from holdfast.serving_limits import raise_descriptor_limit


class Counter(VirtualObject):
    total: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        self.total += amount
        return self.total


class Text(Service):
    @handler
    async def measure(self, ctx: Context, text: str) -> int:
        return len(text)

    @handler
    async def repeat(self, ctx: Context, length: int) -> str:
        return "x" * length


async def serve(options: HttpOptions) -> None:
    raise_descriptor_limit()
    async with Runtime([Counter, Text], data_dir=Path("data")) as runtime:
        await runtime.serve(
            port=0,
            options=options,
            on_listening=lambda port: click.echo(
                f"serving on http://127.0.0.1:{port}, until killed"
            ),
        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(HttpOptions(**json.loads(sys.argv[1]))))
