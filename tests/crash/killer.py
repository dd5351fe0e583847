"""An operator who kills invocations, by the admin port of a server that comes and goes.

He kills every prisoner as soon as one has begun to serve; those who queue behind it are next.
"""

import asyncio

from tests.crash.ledger import Began, Killed, LedgerReader, Line, Settled
from tests.crash.load import GONE, Caller


class Killer:
    """Kills what a handler has published for it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._reader = LedgerReader(caller.ledger.path)
        self._killed: set[str] = set()
        # What was killed since the last race; of its acknowledgements those of the next are
        # untrue, and the ledger tells of that one later than it is.
        self._doubtful: list[str] = []

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                for line in self._reader.read():
                    await self._look_at(line)
                await asyncio.sleep(0.02)
        finally:
            await self._caller.close()

    async def _look_at(self, line: Line) -> None:
        match line:
            case Began(step="imprisoned", invocation=invocation):
                if invocation not in self._killed:
                    self._killed.add(invocation)
                    await self._kill(invocation)
            case Settled():
                doubtful, self._doubtful = self._doubtful, []
                for invocation in doubtful:
                    await self._kill(invocation)
            case _:
                pass

    async def _kill(self, invocation: str) -> None:
        self._doubtful.append(invocation)
        if await self._caller.change(f"/invocations/{invocation}/kill", invocation, GONE):
            self._caller.ledger.append(Killed(invocation=invocation))
