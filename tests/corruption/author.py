"""Writes a data directory with work in flight, and is killed.

    python -m tests.corruption.author DIR

Calls in two runs, so that both tables and a log hold rows; handlers that wait; then a disk that
never finishes its sync, and calls that are therefore never answered; then SIGKILL. What was
answered is printed as JSON, a line each, before.
"""

# ruff: noqa: T201  # a program talks to whoever started it

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from holdfast import Runtime, RuntimeConfig
from holdfast.journal.rocks import RocksStore
from tests.corruption.till import Book, Till

OBJECTS = (Till, Book)


class StuckStore(RocksStore):
    """Its disk hangs from one moment on: what is written then is in the log, and never synced."""

    is_stuck = False
    batches = 0

    def write(self, batch: Mapping[bytes, bytes | None]) -> int:
        self.batches += 1
        return super().write(batch)

    def sync(self) -> int:
        if self.is_stuck:
            threading.Event().wait()
        return super().sync()


async def _write(path: Path) -> None:
    async with Runtime([*OBJECTS], store=RocksStore(path, ballast_bytes=0)) as runtime:
        await _pay(runtime, range(12))
    store = StuckStore(path, tide_mark="strict", ballast_bytes=0)
    runtime = Runtime([*OBJECTS], store=store, config=RuntimeConfig())
    await runtime.start()
    await _pay(runtime, range(12, 24))
    for number in range(4):
        till = runtime.object(Till, f"till-{number}")
        await till.remind(f"later {number}")
        approval = runtime.invocation(await till.approve.send(number))
        while not (await approval.describe()).awaiting:  # noqa: ASYNC110  # nothing announces it
            await asyncio.sleep(0)
    await runtime.object(Book, "all").note("after those that were sent before")
    print(json.dumps({"answered": True}), flush=True)
    store.is_stuck = True
    unanswered: list[asyncio.Future[int]] = []
    for number in range(3):
        before = store.batches
        unanswered.append(asyncio.ensure_future(runtime.object(Till, f"new-{number}").pay(number)))
        while store.batches == before:  # noqa: ASYNC110  # nothing announces it
            await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)


async def _pay(runtime: Runtime, numbers: range) -> None:
    for number in numbers:
        key = f"till-{number % 4}"
        total = await runtime.object(Till, key, idempotency_key=f"pay-{number}").pay(number)
        print(json.dumps({"key": key, "number": number, "total": total}), flush=True)


if __name__ == "__main__":
    asyncio.run(_write(Path(sys.argv[1])))
