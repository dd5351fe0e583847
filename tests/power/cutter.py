"""The one who cuts the power: servers on a disk that loses what was not synced.

A cut takes the server and the disk at once. The server is stopped first (SIGSTOP), so that none
of its threads is inside a system call: ext4 may answer a sync that races with the shutdown with
success although its data is lost, which no real disk does. One kind of cut does race, to meet
writes half done; what a server says in that moment is taken back in the ledger.
"""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Literal

from holdfast.cli import EXIT_STORE_FAILED
from tests.crash.ledger import Racing, Settled
from tests.crash.nemesis import INSPECTED_SHARE, Life, Nemesis, deal, freeze, part_of_start
from tests.power.disk import FileSystem, LoopDisk
from tests.processes import Watched

How = Literal["cut", "cut early", "cut racing", "cut and outlive", "stop and cut"]

SHARES: dict[How, int] = {
    "cut": 9,
    "cut early": 4,
    "cut racing": 3,
    "cut and outlive": 2,
    "stop and cut": 2,
}
"""How often each kind comes among twenty."""

END_SECONDS_MAX = 5.0
"""A server under load whose disk is gone ends by itself; one second, but for a loaded machine."""

MOUNT_OPTIONS: dict[FileSystem, tuple[str, ...]] = {
    "ext4": ("data=ordered", "data=ordered", "data=writeback", "data=journal", "nodelalloc"),
    "xfs": ("defaults", "allocsize=64k", "wsync"),
}
"""How the disk may be mounted: what a cut leaves of unsynced data differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How one server and the power of its disk will end.

    A cut takes the server with it, but one that it outlives: then it must end by itself.
    """

    how: How
    after: float
    """Seconds from when it listens; for an early cut, the part of a usual start."""
    then: float
    """Seconds from the request to stop to the cut, if it is asked to stop."""
    is_inspected: bool
    """Whether the directory is verified after it."""
    options: str
    """What the disk is mounted with after it."""


def plan_cuts(random: Random, cuts: int, file_system: FileSystem) -> Iterator[Cut | Life]:
    """So many cuts, of every kind, and now and then a kill before one."""
    for how in islice(deal(random, SHARES), cuts):
        if random.random() < 0.1:
            yield Life(how="kill early", after=part_of_start(random))
        is_early = how == "cut early"
        after = part_of_start(random) if is_early else random.random() * 0.35
        yield Cut(
            how=how,
            after=after,
            then=random.random() * 0.1,
            is_inspected=random.random() < INSPECTED_SHARE,
            options=random.choice(MOUNT_OPTIONS[file_system]),
        )


@dataclass(slots=True, kw_only=True)
class Cutter(Nemesis):
    """Starts a server on one disk, and cuts the power of both."""

    disk: LoopDisk
    cuts: Counter[How] = field(default_factory=Counter[How])
    """How many of each kind; of the early ones, those before the server listened."""
    slowest_end: float = 0.0
    """Seconds that a server lived on without its disk."""

    def torment(self, random: Random, kills: int) -> None:
        """Let servers live until the power was cut so often."""
        for end in plan_cuts(random, kills, self.disk.file_system):
            with self.start() as server:
                if isinstance(end, Life):
                    self.live(server, end)
                    self.bury(server)
                else:
                    self._live_until_cut(server, end)
            if isinstance(end, Cut):
                self.disk.unmount()
                self.disk.mount(end.options)
                if end.is_inspected:
                    self.inspect()

    def _live_until_cut(self, server: Watched, cut: Cut) -> None:
        if cut.how == "cut early":
            is_listening = self.wait_part_of_start(server, cut.after)
            self._take_both(server)
            self.cuts["cut" if is_listening else "cut early"] += 1
            return
        self.wait_listening(server)
        time.sleep(cut.after)
        self.cuts[cut.how] += 1
        match cut.how:
            case "cut":
                self._take_both(server)
            case "stop and cut":
                server.signal(signal.SIGTERM)
                time.sleep(cut.then)
                self._take_both(server)
            case "cut racing":
                self.ledger.append(Racing(process=server.pid))
                self.disk.cut()
                server.signal(signal.SIGKILL)
                self.bury(server, EXIT_STORE_FAILED)
                self.settle()
                self.ledger.append(Settled(process=server.pid))
            case "cut and outlive":
                freeze(server)
                self.disk.cut()
                self.slowest_end = max(self.slowest_end, outlive(self, server))

    def _take_both(self, server: Watched) -> None:
        freeze(server)
        self.disk.cut()
        server.signal(signal.SIGKILL)
        self.bury(server)


def outlive(nemesis: Nemesis, server: Watched) -> float:
    """Let a frozen server go on without its disk, until it ends by itself; gives the seconds."""
    begun = time.monotonic()
    server.signal(signal.SIGCONT)
    nemesis.expect_end(server, EXIT_STORE_FAILED, "[HF0030]")
    seconds = time.monotonic() - begun
    if seconds > END_SECONDS_MAX:
        nemesis.complaints.append(f"a server lived {seconds:.1f} s without its disk")
    nemesis.bury(server, EXIT_STORE_FAILED)
    return seconds
