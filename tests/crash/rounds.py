"""One round: load and kills, then quiet, then judgement.

A round has its own ledger and its own keys, so that rounds may follow each other on one data
directory that grows old with them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.judge import Histories, expected_turns, find_violations
from tests.crash.killer import Killer
from tests.crash.ledger import Answered, Asked, Began, Ledger, read_ledger
from tests.crash.load import (
    PATIENCE_SECONDS,
    RETRIED,
    Caller,
    Client,
    Request,
    Resolver,
    UnexpectedAnswerError,
)
from tests.crash.nemesis import Durability, Nemesis
from tests.crash.nursery import Nursery
from tests.processes import free_port

CLIENTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a round is to be."""

    seed: str
    """Decides requests, kills and moments."""
    prefix: str
    """What tokens and keys begin with; no other round on the directory has it."""
    kills: int
    directory: Path
    port: int
    durability: Durability = "fsync"
    patience: float = PATIENCE_SECONDS
    """Seconds after the last restart within which all that was accepted has been done."""
    retried: frozenset[int] = RETRIED
    """With which statuses a server may refuse what is then asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a nemesis finds."""

    ledger: Ledger
    nursery: Nursery
    settle: Callable[[], None]
    admin_port: int
    refusals: Counter[int]
    """How often the clients were refused, by status; it goes on counting."""


@dataclass(slots=True, kw_only=True)
class Report:
    """How a round went."""

    violations: list[str]
    kills: int
    early_kills: int
    stops: int
    slowest_stop: float
    pauses: int
    intruders: int
    inspections: int
    requests: int
    answers: int
    steps: int
    repeated_steps: int
    """Executions beyond the first: the interrupted ones."""
    seconds: float
    sample: list[tuple[Request, Any]] = field(default_factory=list[tuple[Request, Any]])
    """Some requests with their results, to be asked for again much later."""


async def run_round(
    plan: Plan,
    earlier: Sequence[tuple[Request, Any]] = (),
    make_nemesis: Callable[[Plan, Surroundings], Nemesis] | None = None,
) -> Report:
    """Run one round.

    Args:
        plan: what it is to be.
        earlier: requests of former rounds, whose results must not have changed.
        make_nemesis: who ends the servers; ``None``: one who kills them.
    """
    begun = time.monotonic()
    ledger = Ledger(plan.directory / f"ledger-{plan.prefix}")
    loop = asyncio.get_running_loop()
    try:
        with Nursery() as nursery:
            surroundings = Surroundings(
                ledger=ledger,
                nursery=nursery,
                settle=lambda: asyncio.run_coroutine_threadsafe(_settle(), loop).result(),
                admin_port=free_port(),
                refusals=Counter(),
            )
            nemesis = (make_nemesis or _make_killer)(plan, surroundings)
            violations, histories, results = await _storm(plan, nemesis, surroundings, earlier)
    finally:
        ledger.close()
    lines = read_ledger(ledger.path)
    violations += [*nemesis.complaints, *find_violations(lines, histories)]
    began = [line for line in lines if isinstance(line, Began)]
    return Report(
        violations=violations,
        kills=nemesis.kills,
        early_kills=nemesis.early_kills,
        stops=nemesis.stops,
        slowest_stop=nemesis.slowest_stop,
        pauses=nemesis.pauses,
        intruders=nemesis.intruders,
        inspections=nemesis.inspections,
        requests=sum(isinstance(line, Asked) for line in lines),
        answers=sum(isinstance(line, Answered) for line in lines),
        steps=len(began),
        repeated_steps=len(began) - len({(line.invocation, line.step) for line in began}),
        seconds=time.monotonic() - begun,
        sample=results[:: max(1, len(results) // 20)],
    )


def _make_killer(plan: Plan, surroundings: Surroundings) -> Nemesis:
    return Nemesis(
        port=plan.port,
        admin_port=surroundings.admin_port,
        directory=plan.directory,
        data=plan.directory / "data",
        ledger=surroundings.ledger,
        nursery=surroundings.nursery,
        settle=surroundings.settle,
        durability=plan.durability,
    )


async def _settle() -> None:
    # What a process had written to its sockets is there when it is gone: a few turns of the
    # loop, and every client has read it and written it down.
    for _ in range(3):
        await asyncio.sleep(0.01)


async def _storm(
    plan: Plan,
    nemesis: Nemesis,
    surroundings: Surroundings,
    earlier: Sequence[tuple[Request, Any]],
) -> tuple[list[str], Histories, list[tuple[Request, Any]]]:
    """Load and kills, then quiet; gives violations, histories and all results."""

    ledger = surroundings.ledger

    def make_caller(port: int = plan.port) -> Caller:
        return Caller(
            port,
            ledger,
            patience=plan.patience,
            retried=plan.retried,
            refusals=surroundings.refusals,
        )

    clients = [
        Client(
            name=str(number),
            prefix=f"{plan.prefix}.",
            caller=make_caller(),
            random=Random(f"{plan.seed} client {number}"),
        )
        for number in range(CLIENTS)
    ]
    is_over = asyncio.Event()
    resolver = Resolver(make_caller(), Random(f"{plan.seed} resolver"))
    resolving = asyncio.create_task(resolver.run())
    killing = asyncio.create_task(Killer(make_caller(surroundings.admin_port)).run())
    working = {asyncio.create_task(each.run(is_over.is_set)): each for each in clients}
    fate = Random(f"{plan.seed} nemesis")
    asking = make_caller()
    try:
        await asyncio.to_thread(nemesis.torment, fate, plan.kills)
        server = await asyncio.to_thread(nemesis.start_last)
        try:
            is_over.set()
            violations = await _finish(working, plan.patience)
            violations += _faults_of(resolving, "the resolver")
            violations += _faults_of(killing, "the killer")
            await _wait_quiet(asking, ledger, plan.patience)
            made = [request for each in clients for request in each.made]
            results = await _ask_again(made, asking, violations)
            again = await _ask_again([request for request, _ in earlier], asking, violations)
            violations += [
                f"the result of {request.token} was {old}, and is {new} a round later"
                for (request, old), (_, new) in zip(earlier, again, strict=True)
                if old != new
            ]
            # What a race lost was asked for just now, and may have sent something.
            await _wait_quiet(asking, ledger, plan.patience)
            # Read last: what was asked for again must not have run again.
            histories = await _read_histories(asking, _expected_turns(ledger))
        finally:
            await asyncio.to_thread(nemesis.stop_last, server)
    finally:
        for task in (resolving, killing, *working):
            task.cancel()
        await asyncio.wait([resolving, killing, *working])
        await asking.close()
    return violations, histories, results


async def _ask_again(
    requests: Sequence[Request], asking: Caller, violations: list[str]
) -> list[tuple[Request, Any]]:
    """Ask for results once more, side by side; gives them in the order of the requests."""
    results: dict[int, Any] = {}

    async def ask(part: int) -> None:
        caller = asking.make_another()
        try:
            for at in range(part, len(requests), CLIENTS):
                results[at] = await caller.ask(requests[at])
        except UnexpectedAnswerError as error:
            violations.append(str(error))
        finally:
            await caller.close()

    await asyncio.gather(*(ask(part) for part in range(CLIENTS)))
    return [(requests[at], results.get(at)) for at in range(len(requests))]


async def _finish(working: Mapping[asyncio.Task[None], Client], seconds: float) -> list[str]:
    """Wait until every client has its last answer; gives what went wrong."""
    _, waiting = await asyncio.wait(working, timeout=seconds)
    violations = [f"{working[task].doing} was never answered" for task in waiting]
    for task, client in working.items():
        violations += _faults_of(task, client.doing)
    return violations


def _faults_of(task: asyncio.Task[None], doing: str) -> list[str]:
    error = task.exception() if task.done() else None
    return [] if error is None else [f"{doing}: {type(error).__name__}: {error}"]


async def _wait_quiet(caller: Caller, ledger: Ledger, seconds: float) -> None:
    """Wait until all that was acknowledged has happened, or has had time enough to."""
    answered = {line.token for line in read_ledger(ledger.path) if isinstance(line, Answered)}
    expected = {
        (object_, token)
        for object_, token in _expected_turns(ledger)
        if token.partition(">")[0] in answered
    }
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        histories = await _read_histories(caller, expected)
        if expected <= {(name, token) for name, history in histories.items() for token in history}:
            return
        await asyncio.sleep(0.1)


async def _read_histories(caller: Caller, turns: Iterable[tuple[str, str]]) -> Histories:
    return {
        object_: await caller.fetch(f"/{object_}/dump") for object_ in {each[0] for each in turns}
    }


def _expected_turns(ledger: Ledger) -> list[tuple[str, str]]:
    lines = read_ledger(ledger.path)
    return [turn for line in lines if isinstance(line, Asked) for turn in expected_turns(line)]
