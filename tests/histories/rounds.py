"""A server that is killed, stopped and held again and again, its clients, and the verdict.

What clients ask and when the server is ended follows from the seed; how far they get does not.
"""

import asyncio
import signal
import time
from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from tests.crash.nursery import fork_holdfast
from tests.histories.clients import Client, Count
from tests.histories.linearizability import UndecidedError, find_violation
from tests.histories.models import COUNTER, DECISION, LOG, REGISTER, Model
from tests.histories.operations import Operation, Recorder
from tests.processes import Watched, free_port

SERVED = Path(__file__).with_name("served.py")
CLIENTS = 8
QUIET_SECONDS_MAX = 30.0
"""Within this after the last start every request is answered."""

MODELS: dict[str, Model] = {
    "Register": REGISTER,
    "Counter": COUNTER,
    "Log": LOG,
    "Desk": LOG,
    "Decision": DECISION,
}

Fault = Literal["kill", "stop", "hold", "power cut"]


@dataclass(slots=True, kw_only=True)
class Verdict:
    """How a round went."""

    seed: str
    histories: dict[str, list[Operation]] = field(default_factory=dict[str, list[Operation]])
    violations: list[str] = field(default_factory=list[str])
    faults: Tally[Fault] = field(default_factory=Tally[Fault])
    count: Count = field(default_factory=Count)

    @property
    def operations(self) -> int:
        return sum(map(len, self.histories.values()))


async def run_round(seed: str, directory: Path, *, kills: int) -> Verdict:
    """Record histories through ``kills`` kills, and some gentler ends, and judge them."""
    verdict = Verdict(seed=seed)
    port = free_port()
    recorder = Recorder(verdict.histories)
    clients = [
        Client(
            name=f"c{number}",
            port=port,
            random=Random(f"{seed} client {number}"),
            recorder=recorder,
            count=verdict.count,
        )
        for number in range(CLIENTS)
    ]
    is_over = asyncio.Event()
    working = {asyncio.create_task(each.run(is_over.is_set)): each for each in clients}
    nemesis = _Nemesis(directory, port, Random(f"{seed} nemesis"), verdict)
    try:
        await asyncio.to_thread(nemesis.torment, kills)
        with nemesis.start() as server:
            is_over.set()
            _, waiting = await asyncio.wait(working, timeout=QUIET_SECONDS_MAX)
            verdict.violations += [f"{working[task].doing} was never answered" for task in waiting]
            if not waiting:
                await clients[0].read_all()
            server.signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_exit)
    finally:
        for task in working:
            task.cancel()
        await asyncio.wait(working)
    for task, client in working.items():
        if not task.cancelled() and (error := task.exception()) is not None:
            verdict.violations.append(f"{client.doing}: {type(error).__name__}: {error}")
        verdict.violations += client.complaints
    verdict.violations += judge(verdict.histories)
    return verdict


def judge(histories: dict[str, list[Operation]]) -> Iterable[str]:
    """What is wrong with histories of objects, by their targets as in ``Counter/c1``."""
    for target, history in histories.items():
        try:
            violation = find_violation(history, MODELS[target.partition("/")[0]])
        except UndecidedError as error:
            violation = f"undecided: {error}"
        if violation is not None:
            yield f"{target}: {violation}"


class _Nemesis:
    """Starts a server on one directory and one port, again and again."""

    def __init__(self, directory: Path, port: int, random: Random, verdict: Verdict) -> None:
        self._directory = directory
        self._port = port
        self._random = random
        self._verdict = verdict

    def start(self) -> Watched:
        return fork_holdfast(
            "serve",
            str(SERVED),
            "--port",
            str(self._port),
            "--admin-port",
            "none",
            "--data",
            str(self._directory / "data"),
            cwd=self._directory,
        )

    def torment(self, kills: int) -> None:
        """Kill so many servers; now and then hold one for a while, or stop it in good order."""
        while self._verdict.faults["kill"] < kills:
            with self.start() as server:
                server.wait_port()
                time.sleep(0.1 + self._random.random() * 0.6)
                self._end(server)

    def _end(self, server: Watched) -> None:
        chance = self._random.random()
        if chance < 0.3:
            self._verdict.faults["hold"] += 1
            server.signal(signal.SIGSTOP)
            time.sleep(self._random.random() * 0.3)
            server.signal(signal.SIGCONT)
            time.sleep(self._random.random() * 0.1)
        if chance > 0.85:
            self._verdict.faults["stop"] += 1
            server.signal(signal.SIGTERM)
        else:
            self._verdict.faults["kill"] += 1
            server.signal(signal.SIGKILL)
        server.wait_exit()
