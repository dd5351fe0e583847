"""Rounds of kills that follow each other on one data directory, which grows old with them."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.load import Request
from tests.crash.rounds import Plan, Report, run_round
from tests.processes import free_port

ROUND_KILLS = 40


async def run_kills(directory: Path, seed: str, kills: int) -> AsyncIterator[Report]:
    """At least so many kills; every second round without fsync, which no kill can tell."""
    earlier: list[tuple[Request, Any]] = []
    port = free_port()
    random = Random(seed)
    number = done = 0
    while done < kills:
        plan = Plan(
            seed=f"{seed} round {number}",
            prefix=f"r{number}",
            kills=min(ROUND_KILLS, kills - done),
            directory=directory,
            port=port,
            durability="process" if number % 2 else "fsync",
        )
        report = await run_round(plan, random.sample(earlier, min(50, len(earlier))))
        earlier += report.sample
        number += 1
        done += report.kills
        yield report
