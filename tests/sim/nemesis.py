"""Who breaks things: when, how often and how is drawn from the seed."""

from random import Random
from typing import TYPE_CHECKING

from .process import EXIT_SECONDS_MAX, Process

if TYPE_CHECKING:
    from .world import World


ACTS_MAX = 18


class Nemesis:
    """Breaks the server, its disk, its network and its clock, until ``end``."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        self.random = random
        self.is_over = False
        self.acts_left = random.randrange(2, ACTS_MAX)
        faults = world.faults
        self._acts = [
            act
            for name, act in (
                ("kill", self._kill),
                ("kill", self._die_in_write),
                ("kill", self._kill),
                ("power", self._cut_power),
                ("power", self._cut_power),
                ("disk", self._fail_disk),
                ("slow", self._slow_down),
                ("full", self._fill),
                ("clock", self._jump),
                ("stop", self._stop),
                ("suspend", self._suspend),
                ("suspend", self._suspend),
            )
            if name in faults
        ]

    def begin(self) -> None:
        """Begin."""
        self.world.network.is_lossy = "network" in self.world.faults
        if "clock" in self.world.faults and self.random.random() < 0.2:
            self.world.wall.may_jump = True
            self.world.ledger.is_wall_steady = False
        if self._acts:
            self._schedule()

    def end(self) -> None:
        """Everything works from now on."""
        self.is_over = True
        self.world.network.is_lossy = False
        disk = self.world.process.disk
        disk.is_slow = False
        disk.dies_at_write = None
        disk.memory.is_nearly_full = False

    def started(self, process: Process) -> None:
        """A process begins to live; now and then it dies early, too."""
        if not self.is_over and "kill" in self.world.faults and self.random.random() < 0.1:
            self.world.universe.after(self.random.random() * 0.02, lambda: self._kill_this(process))

    def takes_power(self) -> bool:
        """Whether a death in the middle of a write is one by loss of power."""
        return "power" in self.world.faults and self.random.random() < 0.5

    def draw_downtime(self) -> float:
        """Seconds until the next start."""
        random = self.random
        if not self.is_over and random.random() < 0.05:
            if self.world.is_long:
                self.world.ledger.count("a downtime of hours")
                return random.random() * 36_000
            return random.random() * 60
        return 0.05 + random.random()

    def _schedule(self) -> None:
        self.world.universe.after(self.random.random() ** 2 * 1.2, self._act)

    def _act(self) -> None:
        if self.is_over:
            return
        process = self.world.process
        self.acts_left -= 1
        if process.is_alive:
            self.random.choice(self._acts)(process)
        if self.acts_left:
            self._schedule()

    def _kill_this(self, process: Process) -> None:
        if self.world.process is process and not self.is_over:
            self.world.ledger.count("died while it started")
            self.world.kill(is_power_cut=False)

    def _kill(self, process: Process) -> None:
        self.world.kill(is_power_cut=False)

    def _cut_power(self, process: Process) -> None:
        self.world.kill(is_power_cut=True)

    def _die_in_write(self, process: Process) -> None:
        process.disk.dies_at_write = self.random.random() < 0.5

    def _fail_disk(self, process: Process) -> None:
        memory, random = process.disk.memory, self.random
        is_done = random.random() < 0.5
        if random.random() < 0.5:
            self.world.ledger.tell(f"the next write fails, done {is_done}")
            memory.fail_next_write(applied=is_done)
        else:
            self.world.ledger.tell(f"the next sync fails, done {is_done}")
            memory.fail_next_sync(durable=is_done)
        process.disk.on_failed = self._failed

    def _failed(self) -> None:
        process = self.world.process
        self.world.ledger.count("the store failed")

        def look() -> None:
            if process.is_alive:
                self.world.ledger.violate("I16 a second after the store failed the process lives")

        self.world.universe.after(EXIT_SECONDS_MAX, look)

    def _slow_down(self, process: Process) -> None:
        process.disk.is_slow = True
        self.world.ledger.count("the disk became slow")
        self.world.universe.after(
            self.random.random() * 3, lambda: setattr(process.disk, "is_slow", False)
        )

    def _fill(self, process: Process) -> None:
        memory = process.disk.memory
        memory.is_nearly_full = True
        self.world.ledger.count("the disk became nearly full")
        self.world.universe.after(
            self.random.random() * 2, lambda: setattr(memory, "is_nearly_full", False)
        )

    def _jump(self, process: Process) -> None:
        if self.world.wall.may_jump:
            ms = self.random.choice((-3_600_000, -5_000, 5_000, 3_600_000, 86_400_000))
            self.world.ledger.count("the clock jumped")
            self.world.ledger.tell(f"the clock jumps by {ms} ms")
            self.world.wall.offset_ms += ms

    def _stop(self, process: Process) -> None:
        if process.is_ready and not process.is_stopping:
            self.world.ledger.count("stopped in good order")
            self.world.ledger.tell("SIGTERM")
            process.stop()

    def _suspend(self, process: Process) -> None:
        if process.is_ready and not process.is_stopping:
            process.runtime.suspend_idle()
            self.world.ledger.count("everybody was suspended")
