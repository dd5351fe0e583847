"""What checks answers is a library that takes long to load; a fresh process for each test."""

import subprocess
import sys

from tests.processes import ROOT, environment

PROGRAM = """
import asyncio, sys, threading
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from holdfast import Context, InvalidArgumentError, Runtime, VirtualObject, handler
from holdfast.journal.memory import MemoryStore

@dataclass
class Decision:
    approved: bool

class Order(VirtualObject):
    @handler
    async def place(self, ctx: Context) -> bool:
        return (await ctx.awakeable(Decision, message="ok?")).approved

class Seen(MetaPathFinder):
    threads = []
    def find_spec(self, name, path=None, target=None):
        if name == "jsonschema":
            self.threads.append(threading.current_thread() is threading.main_thread())

async def main():
    sys.meta_path.insert(0, Seen())
    async with Runtime([Order], store=MemoryStore()) as runtime:
        for key in "ab":
            await runtime.object(Order, key).place.send()
            (asked,) = await runtime.awakeables(Order, key)
            async with asyncio.timeout(30):
                while not Seen.threads:
                    await asyncio.sleep(0)
            try:
                await runtime.resolve_awakeable(asked.id, {"approved": "yes"})
            except InvalidArgumentError as error:
                print("expected boolean" in error.message)
            await runtime.resolve_awakeable(asked.id, {"approved": True})
    print(Seen.threads)

asyncio.run(main())
"""


def test_the_first_answer_is_checked_by_what_another_thread_has_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stderr, done.stdout) == ("", "True\nTrue\n[False]\n")
