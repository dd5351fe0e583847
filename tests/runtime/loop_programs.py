"""Programs of nothing but asyncio, and what happens when they are run on a handler's loop.

A program is a tree of lists: what to do, then its parts. Run as a program this module reads a list
of them as JSON and writes what happened in each. Before each it makes random holes in the memory,
so that the order of addresses is another one in each run.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

from tests.runtime.loop_worlds import BEGIN, LoopWorld

Program = list[Any]


class Runner:
    """Runs one program and notes everything that can be seen of the order of things."""

    def __init__(self, name: str) -> None:
        self.world = LoopWorld(name)
        self.trace: list[Any] = []
        self.queue: asyncio.Queue[int] = asyncio.Queue(2)
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()
        self.parts = 0

    def note(self, *what: Any) -> None:
        task = asyncio.current_task()
        name = None if task is None else task.get_name()
        self.trace.append([name, self.world.time - BEGIN, *what])

    async def run(self, program: Program) -> int:
        """Run a program and give the number it was met as."""
        self.parts = me = self.parts + 1
        kind, *rest = program
        self.note(me, kind)
        try:
            await getattr(self, f"do_{kind}")(*rest)
        except asyncio.CancelledError:
            self.note(me, "cancelled")
            raise
        except Exception as error:
            self.note(me, "failed", type(error).__name__)
            raise
        self.note(me, "ended")
        return me

    async def do_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def do_fail(self) -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def do_several(self, parts: list[Program]) -> None:
        for part in parts:
            await self.run(part)

    async def do_gather(self, parts: list[Program]) -> None:
        results = await asyncio.gather(*map(self.run, parts), return_exceptions=True)
        self.note(*map(repr, results))

    async def do_group(self, parts: list[Program]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self.run(part))
        except* ValueError as errors:
            self.note("failures", len(errors.exceptions))

    async def do_timeout(self, seconds: float, part: Program) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.run(part)
        except TimeoutError:
            self.note("timeout")

    async def do_wait_for(self, seconds: float, part: Program) -> None:
        try:
            await asyncio.wait_for(self.run(part), seconds)
        except TimeoutError:
            self.note("timeout")

    async def do_wait(self, mode: str, parts: list[Program]) -> None:
        tasks = [asyncio.create_task(self.run(part)) for part in parts]
        done, pending = await asyncio.wait(tasks, return_when=mode)
        self.note_all("done", done)
        for task in pending:
            task.cancel()
        if pending:
            done, _ = await asyncio.wait(pending)
            self.note_all("rest", done)

    async def do_wait_gathered(self, parts: list[Program]) -> None:
        numbers = {
            asyncio.gather(self.run(part), return_exceptions=True): n
            for n, part in enumerate(parts)
        }
        done, _ = await asyncio.wait(numbers)
        self.note([numbers[future] for future in done])

    async def do_wait_futures(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        numbers = {loop.create_future(): n for n in range(count)}
        for future in set(numbers):
            loop.call_soon(future.set_result, None)
        done, _ = await asyncio.wait(numbers)
        self.note([numbers[future] for future in done])

    async def do_complete(self, parts: list[Program]) -> None:
        for item in asyncio.as_completed([self.run(part) for part in parts]):
            try:
                self.note("completed", await item)
            except ValueError:
                self.note("completed badly")

    async def do_spawn(self, part: Program) -> None:
        task = asyncio.create_task(self.run(part))
        # Looked at, so that nothing of it is reported at a moment of the collector's choice.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def do_shield(self, part: Program) -> None:
        await asyncio.shield(self.run(part))

    async def do_put(self, number: int) -> None:
        await self.queue.put(number)

    async def do_get(self) -> None:
        self.note("got", await self.queue.get())

    async def do_lock(self, part: Program) -> None:
        try:
            async with asyncio.timeout(20), self.lock:
                await self.run(part)
        except TimeoutError:
            self.note("no lock")

    async def do_set(self) -> None:
        self.event.set()

    async def do_wait_event(self) -> None:
        await self.event.wait()

    async def do_generate(self, count: int) -> None:
        async for n in self.generate():
            if n == count:
                break

    async def generate(self) -> AsyncIterator[int]:
        try:
            for n in range(5):
                await asyncio.sleep(n % 2)
                yield n
        finally:
            self.note("generator left")
            await asyncio.sleep(1)
            self.note("generator ended")

    def note_all(self, word: str, tasks: Iterable[asyncio.Task[Any]]) -> None:
        self.note(word, [task.get_name() for task in tasks])
        for task in tasks:
            if not task.cancelled():
                task.exception()


def run(program: Program, name: str) -> list[Any]:
    """What happens in a program, and what it asks of its host."""
    runner = Runner(name)
    loop = runner.world.loop
    task = runner.world.start(runner.run(program))
    runner.world.pump_and_fire()
    if not task.done():
        loop.interrupt()
        runner.world.pump_and_fire()
    loop.cancel_remaining()
    runner.world.pump_and_fire()
    outcome = "cancelled" if task.cancelled() else repr(task.exception() or task.result())
    loop.close()
    return [outcome, runner.trace, runner.world.commands, len(runner.world.reports)]


def main() -> None:
    programs: list[Program] = json.load(sys.stdin)
    chance = random.Random()
    for number, program in enumerate(programs):
        # Small objects of every size, every other one let go again: new ones land in the holes.
        junk = [bytes(chance.randrange(1_500)) for _ in range(6_000)]
        chance.shuffle(junk)
        del junk[::2]
        json.dump(run(program, f"Program/{number}"), sys.stdout)
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
