"""The one who kills: a server process that is ended in every way, at moments chosen by a seed."""

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from tests.crash.ledger import LEDGER_VARIABLE, Ended, Ledger
from tests.processes import Running, holdfast

SERVED = Path(__file__).with_name("served.py")

STOP_SECONDS_MAX = 10.0
"""A graceful stop has only actions of milliseconds to wait for; this is for a loaded machine."""

Durability = Literal["fsync", "process"]

_COMPLAINT = re.compile(r"WARNING|ERROR|CRITICAL|Traceback|Exception")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How one server process will end."""

    how: Literal["kill", "kill early", "stop", "stop and kill"]
    after: float
    """Seconds from when it listens; for an early kill, the part of a usual start."""
    then: float = 0.0
    """Seconds from the request to stop to the kill."""

    @property
    def kills(self) -> int:
        return 0 if self.how == "stop" else 1


def plan_lives(random: Random, kills: int) -> Iterator[Life]:
    """Lives with ``kills`` kills in all: most in the middle of work, one in six while starting."""
    while kills > 0:
        chance = random.random()
        if chance < 0.6:
            life = Life(how="kill", after=random.random() * 0.5)
        elif chance < 0.76:
            life = Life(how="kill early", after=0.7 + random.random() * 0.35)
        elif chance < 0.88:
            life = Life(how="stop", after=random.random() * 0.4)
        else:
            then = random.random() * 0.1
            life = Life(how="stop and kill", after=random.random() * 0.3, then=then)
        kills -= life.kills
        yield life


@dataclass(slots=True)
class Nemesis:
    """Starts a server on one directory and one port, again and again."""

    port: int
    directory: Path
    """Where the data directory is."""
    ledger: Ledger
    durability: Durability
    complaints: list[str] = field(default_factory=list[str])
    """What a server said or did that it should not have."""
    kills: int = 0
    early_kills: int = 0
    """Kills before the server listened."""
    stops: int = 0
    slowest_stop: float = 0.0
    _start_seconds: float = 1.0

    def torment(self, lives: Iterator[Life]) -> None:
        """Let servers live these lives."""
        for life in lives:
            with self._start() as server:
                self._live(server, life)
                self._bury(server)

    def start_last(self) -> Running:
        """The server that is left alone; end it with ``stop_last``."""
        server = self._start()
        try:
            server.wait_port()
        except BaseException:
            server.__exit__(None, None, None)
            raise
        return server

    def stop_last(self, server: Running) -> None:
        """Stop it in good order."""
        self._stop(server)
        self._bury(server)
        server.__exit__(None, None, None)

    def _start(self) -> Running:
        return holdfast(
            "serve",
            str(SERVED),
            "--port",
            str(self.port),
            "--admin-port",
            "none",
            "--data",
            str(self.directory / "data"),
            "--durability",
            self.durability,
            cwd=self.directory,
            env={LEDGER_VARIABLE: str(self.ledger.path)},
        )

    def _live(self, server: Running, life: Life) -> None:
        if life.how == "kill early":
            time.sleep(self._start_seconds * life.after)
            self.early_kills += "Holdfast" not in server.stdout
            self._kill(server)
            return
        begun = time.monotonic()
        server.wait_port()
        # Follows the machine's mood, so that early kills go on meeting the recovery.
        self._start_seconds += (time.monotonic() - begun - self._start_seconds) / 2
        time.sleep(life.after)
        if life.how == "kill":
            self._kill(server)
        elif life.how == "stop":
            self._stop(server)
        else:
            server.signal(signal.SIGTERM)
            time.sleep(life.then)
            self._kill(server)

    def _kill(self, server: Running) -> None:
        server.signal(signal.SIGKILL)
        self.kills += 1

    def _stop(self, server: Running) -> None:
        server.signal(signal.SIGTERM)
        begun = time.monotonic()
        server.wait_exit()
        seconds = time.monotonic() - begun
        self.stops += 1
        self.slowest_stop = max(self.slowest_stop, seconds)
        if seconds > STOP_SECONDS_MAX:
            self.complaints.append(f"a graceful stop took {seconds:.1f} s")

    def _bury(self, server: Running) -> None:
        code = server.wait_exit()
        if code not in {0, -signal.SIGKILL}:
            self.complaints.append(f"a server ended with code {code}: {server.stderr[-2000:]}")
        self.ledger.append(Ended(process=server.pid, how="stopped" if code == 0 else "killed"))
        if _COMPLAINT.search(server.stderr):
            self.complaints.append(f"a server complained: {server.stderr[-2000:]}")
