"""The one who kills: a server process that is ended in every way, at moments chosen by a seed."""

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from holdfast.cli import EXIT_CANNOT_START
from tests.crash.ledger import LEDGER_VARIABLE, Ended, Ledger
from tests.crash.nursery import Nursery
from tests.processes import Watched, wait_until

SERVED = Path(__file__).with_name("served.py")

STOP_SECONDS_MAX = 10.0
"""A graceful stop has only actions of milliseconds to wait for; this is for a loaded machine."""

Durability = Literal["fsync", "process"]
How = Literal["kill", "kill early", "stop", "stop and kill", "pause and kill"]
Kind = TypeVar("Kind")

# That the disk fills and has room again is a nemesis' own work, not a complaint.
_COMPLAINT = re.compile(
    r"WARNING(?! holdfast\.runtime: the disk )|ERROR|CRITICAL|Traceback|Exception"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How one server process will end."""

    how: How
    after: float
    """Seconds from when it listens; for an early kill, the part of a usual start."""
    then: float = 0.0
    """Seconds from the request to stop to the kill; of a pause, how long it is."""
    awake: float = 0.0
    """Seconds from the end of a pause to the kill."""
    intruder: bool = False
    """Whether a second server tries to take the directory during the pause."""
    is_inspected: bool = False
    """Whether the directory is verified after its end, and during a pause."""

    @property
    def kills(self) -> int:
        return 0 if self.how == "stop" else 1


SHARES: dict[How, int] = {
    "kill": 9,
    "kill early": 4,
    "pause and kill": 3,
    "stop": 2,
    "stop and kill": 2,
}
"""How often each kind of life comes among twenty."""


INSPECTED_SHARE = 0.25


def plan_lives(random: Random, kills: int) -> Iterator[Life]:
    """Lives with ``kills`` kills in all: most in the middle of work, one in five while starting."""
    pauses = 0
    for how in deal(random, SHARES):
        if kills <= 0:
            return
        pauses += how == "pause and kill"
        life = Life(
            how=how,
            after=part_of_start(random) if how == "kill early" else random.random() * 0.4,
            then=random.random() * (0.3 if how == "pause and kill" else 0.1),
            awake=random.random() * random.random() * 0.2,
            intruder=how == "pause and kill" and pauses % 2 == 0,
            is_inspected=random.random() < INSPECTED_SHARE,
        )
        kills -= life.kills
        yield life


def deal(random: Random, shares: Mapping[Kind, int]) -> Iterator[Kind]:
    """Kinds without end, in random order, each as often as its share says."""
    deck = [kind for kind, share in shares.items() for _ in range(share)]
    while True:
        random.shuffle(deck)
        yield from deck


def part_of_start(random: Random) -> float:
    """When to strike at a server that starts, as a part of what a start usually takes."""
    return 0.1 + random.random() * 0.95


@dataclass(slots=True)
class Nemesis:
    """Starts a server on one directory and one port, again and again."""

    port: int
    admin_port: int
    directory: Path
    """What is current for a server."""
    data: Path
    """The data directory."""
    ledger: Ledger
    nursery: Nursery
    settle: Callable[[], None]
    """Waits until the clients have read what a server that is gone had answered."""
    durability: Durability
    complaints: list[str] = field(default_factory=list[str])
    """What a server said or did that it should not have."""
    kills: int = 0
    early_kills: int = 0
    """Kills before the server listened."""
    stops: int = 0
    slowest_stop: float = 0.0
    pauses: int = 0
    intruders: int = 0
    """Second servers that were refused while the first one was paused."""
    inspections: int = 0
    """How often ``holdfast verify`` looked at the directory."""
    _start_seconds: float = 0.2
    # Before that the directory may be half made.
    _has_listened: bool = False

    def torment(self, random: Random, kills: int) -> None:
        """Let servers live the lives that ``random`` decides, until so many were killed."""
        for life in plan_lives(random, kills):
            with self.start() as server:
                self.live(server, life)
                self.bury(server)
            if life.is_inspected:
                self.inspect()

    def start_last(self) -> Watched:
        """The server that is left alone; end it with ``stop_last``."""
        server = self.start()
        try:
            server.wait_port()
        except BaseException:
            server.__exit__(None, None, None)
            raise
        return server

    def stop_last(self, server: Watched) -> None:
        """Stop it in good order, and look at what it left."""
        self._stop(server)
        self.bury(server)
        server.__exit__(None, None, None)
        self.inspect()

    def start(self, *, is_intruder: bool = False) -> Watched:
        """A server that has just begun to start; an intruder has ports of its own."""
        return self.nursery.holdfast(
            "serve",
            str(SERVED),
            "--port",
            "0" if is_intruder else str(self.port),
            "--admin-port",
            "0" if is_intruder else str(self.admin_port),
            "--data",
            str(self.data),
            "--durability",
            self.durability,
            cwd=self.directory,
            env={LEDGER_VARIABLE: str(self.ledger.path)},
        )

    def live(self, server: Watched, life: Life) -> None:
        """Let a server that has begun to start live this life."""
        if life.how == "kill early":
            self.early_kills += not self.wait_part_of_start(server, life.after)
            self._kill(server)
            return
        self.wait_listening(server)
        time.sleep(life.after)
        match life.how:
            case "kill":
                self._kill(server)
            case "stop":
                self._stop(server)
            case "stop and kill":
                server.signal(signal.SIGTERM)
                time.sleep(life.then)
                self._kill(server)
            case "pause and kill":
                self._pause(server, life)
                time.sleep(life.awake)
                self._kill(server)

    def wait_listening(self, server: Watched) -> None:
        begun = time.monotonic()
        server.wait_port()
        self._has_listened = True
        # Follows the machine's mood, so that early ends go on meeting the recovery.
        self._start_seconds += (time.monotonic() - begun - self._start_seconds) / 2

    def wait_part_of_start(self, server: Watched, part: float) -> bool:
        """Wait for this part of a usual start; gives whether the server listens already."""
        time.sleep(self._start_seconds * part)
        return "Holdfast" in server.stdout

    def bury(self, server: Watched, *expected: int) -> None:
        """Wait for its end, write that down, and see that it ended well."""
        code = server.wait_exit()
        if code not in {0, -signal.SIGKILL, *expected}:
            self.complaints.append(f"a server ended with code {code}: {server.stderr[-2000:]}")
        self.ledger.append(Ended(process=server.pid, how="stopped" if code == 0 else "killed"))
        if not expected and _COMPLAINT.search(server.stderr):
            self.complaints.append(f"a server complained: {server.stderr[-2000:]}")

    def expect_end(self, server: Watched, expected: int, saying: str) -> None:
        """Wait until it ends by itself, with this code and for this reason."""
        code = server.wait_exit()
        is_clean = saying in server.stderr and "never retrieved" not in server.stderr
        if code != expected or not is_clean:
            message = f"a server ended with {code}, not {expected}: {server.stderr[-2000:]}"
            self.complaints.append(message)

    def inspect(self) -> None:
        """See that the rows of the directory agree, whatever was interrupted."""
        if not self._has_listened:
            return
        with self.nursery.holdfast("verify", str(self.data), cwd=self.directory) as verifying:
            code = verifying.wait_exit()
            self.inspections += 1
            if code != 0:
                output = verifying.stdout + verifying.stderr
                self.complaints.append(f"holdfast verify ended with {code}: {output[-2000:]}")

    def _pause(self, server: Watched, life: Life) -> None:
        """Stop it where it is for a while; it must keep the directory, and go on."""
        begun = time.monotonic()
        freeze(server)
        if life.intruder:
            with self.start(is_intruder=True) as intruder:
                self.expect_end(intruder, EXIT_CANNOT_START, str(server.pid))
                self.intruders += 1
        if life.is_inspected:
            self.inspect()
        time.sleep(max(0.0, begun + life.then - time.monotonic()))
        server.signal(signal.SIGCONT)
        self.pauses += 1

    def _kill(self, server: Watched) -> None:
        server.signal(signal.SIGKILL)
        self.kills += 1

    def _stop(self, server: Watched) -> None:
        server.signal(signal.SIGTERM)
        begun = time.monotonic()
        server.wait_exit()
        seconds = time.monotonic() - begun
        self.stops += 1
        self.slowest_stop = max(self.slowest_stop, seconds)
        if seconds > STOP_SECONDS_MAX:
            self.complaints.append(f"a graceful stop took {seconds:.1f} s")


def freeze(server: Watched) -> None:
    """Stop it with SIGSTOP; when this returns, none of its threads is in a system call."""
    server.signal(signal.SIGSTOP)
    threads = Path(f"/proc/{server.pid}/task")

    def is_frozen() -> bool:
        try:
            states = [
                (thread / "stat").read_text("utf-8").rpartition(")")[2].split()[0]
                for thread in threads.iterdir()
            ]
        except FileNotFoundError:  # A thread ended while it was looked at.
            return not threads.exists()
        return set(states) <= set("TtZX")

    wait_until(is_frozen, f"process {server.pid} to be stopped")
