"""The one who takes the disk away by halves: full, nearly full, read-only, under load.

full          every block is taken: the server ends with 75, or refuses new work. It starts
              on the full disk all the same, finishes what it can, and takes new work when
              there is room again, without another start.
nearly full   new work is refused, what runs goes on, and room is enough to heal it.
read-only     the server ends with 75, and a start says what is wrong and writes nothing.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from holdfast.cli import EXIT_CANNOT_START, EXIT_STORE_FAILED
from tests.crash.nemesis import Life, Nemesis, freeze
from tests.power.cutter import END_SECONDS_MAX, outlive
from tests.power.disk import MIB, LoopDisk
from tests.processes import Watched

How = Literal["full", "nearly full", "read-only"]
HOWS: tuple[How, ...] = ("full", "nearly full", "read-only")

NEARLY_FULL_BYTES = 40 * MIB
"""Less than the store wants to be free, and more than it needs."""

REFUSED = 507


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What happens to the disk of one server."""

    how: How
    after: float
    """Seconds from when it listens."""
    kill_after: float
    """Seconds from when all is well again."""


def plan_fillings(random: Random, count: int) -> Iterator[Filling]:
    """So many, of every kind in turn."""
    for number in range(count):
        yield Filling(
            how=HOWS[number % len(HOWS)],
            after=random.random() * 0.3,
            kill_after=random.random() * 0.3,
        )


@dataclass(slots=True, kw_only=True)
class Filler(Nemesis):
    """Starts a server on one disk, and fills that or makes it read-only."""

    disk: LoopDisk
    refusals: Counter[int]
    """What the clients were refused with, as they count it."""
    fillings: Counter[How] = field(default_factory=Counter[How])
    ended: int = 0
    """Servers that a full disk ended; the others went on and refused new work."""
    slowest_end: float = 0.0

    def torment(self, random: Random, kills: int) -> None:
        """Let servers live until something happened to the disk so often."""
        for filling in plan_fillings(random, kills):
            with self.start() as server:
                self.wait_listening(server)
                time.sleep(filling.after)
                match filling.how:
                    case "full":
                        self._fill(server)
                    case "nearly full":
                        self._nearly_fill(server, filling)
                    case "read-only":
                        self._take_writes(server)
            if filling.how == "full":
                self._start_on_full(filling)
            elif filling.how == "read-only":
                self._start_on_read_only()
            self.fillings[filling.how] += 1

    def _fill(self, server: Watched) -> None:
        """It fails to write, or it has noticed in time, and refuses."""
        before = self.refusals[REFUSED]
        self.disk.fill()
        deadline = time.monotonic() + END_SECONDS_MAX
        while time.monotonic() < deadline:
            if server.has_ended():
                self.ended += 1
                self.expect_end(server, EXIT_STORE_FAILED, "[HF0030]")
                self.bury(server, EXIT_STORE_FAILED)
                return
            if self.refusals[REFUSED] > before:
                break
            time.sleep(0.01)
        else:
            self.complaints.append("a server on a full disk neither ended nor refused new work")
        self.live(server, Life(how="kill", after=0))
        # It may have ended by itself in the last moment.
        self.bury(server, EXIT_STORE_FAILED)

    def _start_on_full(self, filling: Filling) -> None:
        self.inspect()
        with self.start() as server:
            self.wait_listening(server)
            self._wait_refusals()
            self._heal(server, filling)

    def _nearly_fill(self, server: Watched, filling: Filling) -> None:
        self.disk.fill(NEARLY_FULL_BYTES)
        self._wait_refusals()
        self._heal(server, filling)

    def _wait_refusals(self) -> None:
        """Wait until new work is refused."""
        before = self.refusals[REFUSED]
        deadline = time.monotonic() + END_SECONDS_MAX
        while self.refusals[REFUSED] == before:
            if time.monotonic() > deadline:
                self.complaints.append("new work was not refused although the disk was full")
                return
            time.sleep(0.01)

    def _heal(self, server: Watched, filling: Filling) -> None:
        """Free the disk: the same server takes new work again. Then kill it."""
        self.disk.free()
        deadline = time.monotonic() + END_SECONDS_MAX
        # It looks once a second or so; from then on nobody is refused.
        before = -1
        while self.refusals[REFUSED] != before:
            if time.monotonic() > deadline:
                self.complaints.append("new work was refused although the disk had room again")
                break
            before = self.refusals[REFUSED]
            time.sleep(0.3)
        self.live(server, Life(how="kill", after=filling.kill_after))
        self.bury(server)

    def _take_writes(self, server: Watched) -> None:
        freeze(server)
        self.disk.abort()
        self.slowest_end = max(self.slowest_end, outlive(self, server))

    def _start_on_read_only(self) -> None:
        with self.start() as server:
            self.expect_end(server, EXIT_CANNOT_START, "Read-only file system")
        self.inspect()
        self.disk.unmount()
        self.disk.mount()
