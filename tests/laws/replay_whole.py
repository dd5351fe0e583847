"""A process of its own: replay completed journals and compare what their handlers see."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from holdfast.journal.memory import MemoryStore
from holdfast.runtime.engine import Engine
from holdfast.runtime.testing import InlineThreads, ManualClock, SeededRandomness, come_to_rest

from .programs import PROGRAM_CLASSES, TRACES
from .stage import OUTSIDE


async def replay(case: dict[str, Any]) -> None:
    # As then: what the last one saw before it ended is recorded nowhere, and so is told of now.
    clock = ManualClock(case["completed_ms"])
    OUTSIDE.clear(clock)
    TRACES.attempts.clear()
    rows = {bytes.fromhex(key): bytes.fromhex(row) for key, row in case["rows"].items()}
    runtime = Engine(
        PROGRAM_CLASSES,
        store=MemoryStore(rows, epoch=9),
        clock=clock,
        randomness=SeededRandomness(9),
        threads=InlineThreads(),
    )
    await runtime.start()
    await come_to_rest()
    statistics = runtime.statistics()
    assert statistics.actions_started == 0, "a replay of a completed journal started an action"
    assert statistics.invocations_completed == 1, "a completed journal did not complete again"
    (attempts,) = TRACES.attempts.values()
    (trace,) = attempts
    assert json.loads(json.dumps(trace)) == case["trace"], "a replay saw something else"
    await runtime.stop()


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text())
    for number, case in enumerate(cases):
        try:
            asyncio.run(replay(case))
        except BaseException:
            sys.stdout.write(f"journal {number} of {len(cases)}\n")
            raise
    sys.stdout.write(f"{len(cases)} journals replayed alike\n")


if __name__ == "__main__":
    main()
