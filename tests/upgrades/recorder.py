"""Writes a fixture with whichever release is imported: run by ``record.py`` in its own process.

    recorder.py DIRECTORY STORIES...

Begins the stories in a data directory ``DIRECTORY/data``, writes what it saw into
``DIRECTORY/seen.json``, and dies as a killed process does. It may use nothing that the oldest
release lacks.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from holdfast import ManualClock, Runtime, TerminalError
from holdfast.journal.rocks import RocksStore
from holdfast.objects.identity import Target
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import InlineThreads, SeededRandomness, settle

from .outside import OUTSIDE


async def record(directory: Path, names: list[str]) -> None:
    """Begin the stories of the modules ``names``, and write what came of them so far."""
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    OUTSIDE.is_recording = True
    clock = ManualClock()
    store = RocksStore(directory / "data", ballast_bytes=0, log_bytes_max=1 << 14)
    runtime = Runtime(
        [cls for module in modules for cls in module.CLASSES],
        store=store,
        clock=clock,
        randomness=SeededRandomness(),
        threads=InlineThreads(),
    )
    await runtime.start()
    seen: dict[str, Any] = {}
    for module in modules:
        for name, story in module.STORIES.items():
            seen[name] = await begin(runtime, name, story)
            await clock.advance(0.01)
        if hasattr(module, "begin"):
            await module.begin(runtime, clock, seen)
    await clock.advance(1)
    # Half of it in a table, half in the log.
    store.maintain()
    await clock.advance(60)
    for module in modules:
        for name, story in module.STORIES.items():
            waiting = asyncio.ensure_future(submit(runtime, name, story, wait=True))
            await settle()
            if waiting.done():
                seen[name]["outcome"] = read_outcome(waiting.result().outcome)
            waiting.cancel()
            await settle()
    runtime.suspend_idle()
    await settle()
    store.sync()
    store.flush_tide_mark()
    told = {"now_ms": clock.now_ms(), "stories": names, "seen": seen, "actions": OUTSIDE.actions}
    (directory / "seen.json").write_text(json.dumps(told, indent=1) + "\n")
    # Here, while all is under way: an end of the loop would cancel actions, and record that.
    os._exit(0)


async def begin(runtime: Runtime, name: str, story: tuple[Any, ...]) -> dict[str, Any]:
    """Call without waiting for the outcome; gives what the caller was told."""
    answer = await submit(runtime, name, story, wait=False)
    return {"id": answer.invocation_id}


def submit(runtime: Runtime, name: str, story: tuple[Any, ...], *, wait: bool) -> Any:
    """The call of a story, each time with the same idempotency key."""
    service, key, handler, argument, *more = story
    options: dict[str, Any] = more[0] if more and not wait else {}
    request = CallRequest(
        target=Target(service, key, handler),
        argument=b"" if argument is None else json.dumps(argument).encode(),
        idempotency_key=name,
        # Whoever asks again for the outcome does not say again how the call is made.
        **options,
    )
    return runtime.submit(request, wait=wait)


def read_outcome(outcome: bytes | TerminalError) -> Any:
    """An outcome as JSON."""
    if isinstance(outcome, TerminalError):
        return {
            "status": outcome.status_code,
            "message": outcome.message,
            "metadata": dict(outcome.metadata),
        }
    return json.loads(outcome) if outcome else None


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1]), sys.argv[2:]))
