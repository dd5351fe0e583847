"""A model that needs no key and no network: slow, scripted, and it counts.

What it answers depends on the whole text it is given, so a report can only be right when every
step before it handed over its result unharmed.
"""

import asyncio
import hashlib
import os
from pathlib import Path

from .. import step_info
from .ledger import Event, Ledger, LedgerLine

LEDGER_VARIABLE = "HOLDFAST_DEMO_LEDGER"
PACE_VARIABLE = "HOLDFAST_DEMO_PACE"

_SCRIPT = {
    "plan": "Compare three ways to survive a crash: hope, checkpoints, a journal.",
    "search": "Found 12 sources; 5 of them agree with each other.",
    "draft": "Hope is cheap. Checkpoints repeat work. A journal repeats nothing.",
    "review": "True but dry. Say what it costs: one fsync, shared by all that wait.",
    "polish": "A journal repeats nothing that is finished, for the price of one fsync.",
}


def answer(step: str, prompt: str) -> str:
    """What the model says: the script's text, and a mark of all that led to it."""
    mark = hashlib.sha256(prompt.encode()).hexdigest()[:8]
    return f"{_SCRIPT[step]} [{mark}]"


async def call_model(step: str, prompt: str) -> str:
    """Call the model: slow, and every call leaves its marks in the ledger."""
    pace = float(os.environ[PACE_VARIABLE])
    _mark("called", step)
    await asyncio.sleep(pace / 2)
    _mark("halfway", step)
    await asyncio.sleep(pace / 2)
    _mark("answered", step)
    return answer(step, prompt)


def _mark(event: Event, step: str) -> None:
    Ledger(Path(os.environ[LEDGER_VARIABLE])).append(
        LedgerLine(
            event=event,
            step=step,
            idempotency_key=step_info().idempotency_key,
            process=os.getpid(),
        )
    )
