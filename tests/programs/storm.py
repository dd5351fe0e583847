"""Random programs on a real server that is killed, stopped and continued every few seconds.

Clients send programs with the retrying client of Holdfast and compare each answer. At the end the
server is left alone, and every list of numbers must be exactly the one foretold.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from holdfast import Client, HoldfastError, RetryPolicy
from tests.crash.nursery import fork_holdfast
from tests.processes import Watched
from tests.programs.interpreter import Interpreter
from tests.programs.language import Author, Drawn, Place

CLIENTS = 24
QUIET_SECONDS_MAX = 60.0
"""Within this after the last fault, all that was accepted has been done."""

PATIENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=20),
    max_interval=timedelta(milliseconds=500),
    jitter=0.5,
    max_attempts=None,
    max_duration=timedelta(minutes=5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to be."""

    seed: str
    programs: int
    keys: int
    """On each layer."""
    fault_seconds: float
    """From when a server listens to its end, on average."""
    directory: Path
    port: int


@dataclass(slots=True, kw_only=True)
class Report:
    """How it went."""

    programs: int = 0
    numbers: int = 0
    kills: int = 0
    stops: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Foretold:
    """What all programs together leave."""

    numbers: dict[Place, list[int]] = field(default_factory=dict[Place, list[int]])
    in_order: dict[Place, list[list[int]]] = field(default_factory=dict[Place, list[list[int]]])
    """For each object, numbers that stand there in this order, with others between them."""

    def add(self, drawn: Drawn) -> None:
        for place, numbers in drawn.left.items():
            self.numbers.setdefault(place, []).extend(numbers)
        self.in_order.setdefault(drawn.place, []).append(drawn.own)

    def differences(self, place: Place, found: list[int]) -> list[str]:
        """What is wrong with the numbers of an object; nothing if all is as foretold."""
        foretold = self.numbers[place]
        said: list[str] = []
        if lost := sorted(set(foretold) - set(found)):
            said.append(f"lost {lost}")
        if twice := sorted(number for number, times in Counter(found).items() if times > 1):
            said.append(f"twice {twice}")
        if strange := sorted(set(found) - set(foretold)):
            said.append(f"from nowhere {strange}")
        if said:
            return said
        position = {number: index for index, number in enumerate(found)}
        return [
            f"in another order {own}"
            for own in self.in_order.get(place, ())
            if [*map(position.__getitem__, own)] != sorted(map(position.__getitem__, own))
        ]


def run_storm(plan: Plan) -> Report:
    """Run it to its end."""
    begun = time.monotonic()
    report = Report()
    asyncio.run(_storm(plan, report))
    report.seconds = time.monotonic() - begun
    return report


async def _storm(plan: Plan, report: Report) -> None:
    foretold = Foretold()
    drawn = Author(plan.seed, keys=plan.keys).write()
    left = iter(range(plan.programs))
    is_over = asyncio.Event()
    nemesis = asyncio.create_task(_torment(plan, report, is_over))
    async with Client(f"http://127.0.0.1:{plan.port}", retry=PATIENT) as client:

        async def work() -> None:
            for _ in left:
                program = next(drawn)
                foretold.add(program)
                await _run_one(client, program, report)

        async def work_all() -> None:
            try:
                await asyncio.gather(*(work() for _ in range(CLIENTS)))
            finally:
                is_over.set()

        working = asyncio.create_task(work_all())
        with await nemesis as server:
            await working
            await _compare(client, foretold, report)
            server.signal(signal.SIGTERM)
            code = await asyncio.to_thread(server.wait_exit)
            if code != 0:
                report.violations.append(f"the last server ended with {code}: {server.stderr}")


async def _run_one(client: Client, drawn: Drawn, report: Report) -> None:
    layer, key = drawn.place
    try:
        result = await client.object(Interpreter.layers[layer], str(key)).run(drawn.program)
    except HoldfastError as error:
        report.violations.append(f"a program on {drawn.place} ended with {error!r}")
        return
    report.programs += 1
    if result != drawn.result:
        report.violations.append(
            f"a program on {drawn.place} answered {result} and not {drawn.result}: {drawn.program}"
        )


async def _torment(plan: Plan, report: Report, is_over: asyncio.Event) -> Watched:
    """Kill, stop and continue servers until it is over; gives the one that is left alone."""
    random = Random(f"{plan.seed} nemesis")
    while True:
        server = _start(plan)
        try:
            await asyncio.to_thread(server.wait_port)
            with suppress(TimeoutError):
                seconds = random.uniform(0, 2) * plan.fault_seconds
                await asyncio.wait_for(is_over.wait(), seconds)
            if is_over.is_set():
                return server
            if random.random() < 0.2:
                server.signal(signal.SIGSTOP)
                await asyncio.sleep(random.uniform(0, 1))
                server.signal(signal.SIGCONT)
                report.stops += 1
                await asyncio.sleep(random.uniform(0, 0.2))
            server.signal(signal.SIGKILL)
            report.kills += 1
            await asyncio.to_thread(server.wait_exit)
            if "Traceback" in server.stderr:
                report.violations.append(f"a server complained: {server.stderr[-2000:]}")
        except BaseException:
            server.__exit__(None, None, None)
            raise
        server.__exit__(None, None, None)


def _start(plan: Plan) -> Watched:
    program = Path(__file__).with_name("interpreter.py")
    options = ("--port", str(plan.port), "--admin-port", "none")
    data = ("--data", str(plan.directory / "data"))
    return fork_holdfast("serve", str(program), *options, *data, cwd=plan.directory)


async def _compare(
    client: Client,
    foretold: Foretold,
    report: Report,
) -> None:
    """Every list, against what was foretold; what is only sent may take a while."""
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    open_ = set(foretold.numbers)
    while open_:
        for places in _in_groups(sorted(open_), CLIENTS):
            lists = await asyncio.gather(*(_read(client, place) for place in places))
            is_last = time.monotonic() > deadline
            for place, numbers in zip(places, lists, strict=True):
                said = foretold.differences(place, numbers)
                if said and not is_last:
                    continue
                open_.remove(place)
                report.numbers += len(numbers)
                report.violations += [f"layer {place[0]}, key {place[1]}: {each}" for each in said]
        if open_:
            await asyncio.sleep(0.05)


async def _read(client: Client, place: Place) -> list[int]:
    layer, key = place
    return await client.object(Interpreter.layers[layer], str(key)).read()


def _in_groups(places: list[Place], size: int) -> Iterator[list[Place]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
