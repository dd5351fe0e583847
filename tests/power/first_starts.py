"""Power cuts in the first seconds of a data directory, when its files are being made.

A directory whose making was cut off holds nothing that was acknowledged, and the next start must
make it whole; one that has answered holds all that it answered. Each cut is on a directory of its
own, most of them between its first file and the moment the server listens.
"""

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.ledger import LEDGER_VARIABLE
from tests.crash.nemesis import SERVED, freeze
from tests.crash.nursery import Nursery
from tests.power.disk import LoopDisk
from tests.processes import Watched, post, wait_until

DISK_MIB = 768

MAKING_SECONDS = 0.06
"""How long a start takes from its first file on; what is drawn beyond it meets a live server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStarts:
    """What came of them."""

    cuts: int
    while_made: int
    """Those before the server listened."""
    acknowledged: int
    violations: list[str]


def cut_first_starts(
    directory: Path, seed: str, cuts: int, importing: str = "holdfast.serving_command"
) -> FirstStarts:
    """Cut the power of so many directories while they are young, and start each again.

    Args:
        directory: where the disk is made.
        seed: decides when.
        cuts: how often, each time on another data directory.
        importing: see ``Nursery``.
    """
    random = Random(seed)
    violations: list[str] = []
    while_made = acknowledged = 0
    with LoopDisk(directory, DISK_MIB) as disk, Nursery(importing) as nursery:
        for number in range(cuts):
            young = _Young(directory, disk.path / f"data{number}", nursery)
            with young.start() as server:
                wait_until(lambda: young.data.exists() or server.has_ended(), "a directory")  # noqa: B023  # called before the next one
                if random.random() < 0.75:
                    time.sleep(random.random() * MAKING_SECONDS)
                    calls = 0
                else:
                    calls = random.randrange(1, 4)
                while_made += calls == 0 and "Holdfast" not in server.stdout
                for call in range(1, calls + 1):
                    assert young.add(server, call) == (200, {"count": call, "total": call})
                freeze(server)
                disk.cut()
                server.signal(signal.SIGKILL)
                server.wait_exit()
            disk.unmount()
            disk.mount()
            acknowledged += calls
            violations += [f"{each}, cut {number}" for each in young.find_violations(calls)]
            shutil.rmtree(young.data, ignore_errors=True)
    return FirstStarts(
        cuts=cuts, while_made=while_made, acknowledged=acknowledged, violations=violations
    )


@dataclass(frozen=True, slots=True)
class _Young:
    """One directory, and servers on it."""

    directory: Path
    data: Path
    nursery: Nursery

    def start(self) -> Watched:
        return self.nursery.holdfast(
            *("serve", str(SERVED), "--port", "0", "--admin-port", "none"),
            *("--data", str(self.data)),
            cwd=self.directory,
            env={LEDGER_VARIABLE: str(self.directory / "ledger")},
        )

    def add(self, server: Watched, call: int) -> tuple[int, Any]:
        """Call the counter; a call of the same number is the same call."""
        body = {"token": str(call), "amount": 1}
        return post(server.wait_port(), "/Counter/a/add", body, {"idempotency-key": f"call {call}"})

    def find_violations(self, calls: int) -> list[str]:
        """Start it again, and see that it holds so many calls and takes another."""
        with self.start() as server:
            wait_until(lambda: "Holdfast" in server.stdout or server.has_ended(), "a start")
            if server.has_ended():
                return [f"it was refused with {server.wait_exit()}: {server.stderr[-2000:]}"]
            return [
                f"call {call} was answered {answer}"
                for call in range(1, calls + 2)
                if (answer := self.add(server, call)) != (200, {"count": call, "total": call})
            ]
