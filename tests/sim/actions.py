"""The actions of steps: what the handlers of a simulated world do outside, told to the ledger."""

import asyncio
from typing import Any

from holdfast import Happened, Intent, NeverHappened, step_info

from .ledger import Effect, Ledger
from .patching import Code

Trace = list[list[Any]]

CLEAN_UP_SECONDS = 0.003
"""An action that is told to end takes so long; nobody may take it for ended before."""


class Outside:
    """Whose ledger the actions of the moment write to: that of the one world that runs."""

    ledger: Ledger
    code: Code
    """Which code the process of the moment runs."""


async def act(tag: str, path: str, options: dict[str, Any], seen: Trace) -> str:
    """The action of a step: its effect comes after a while, and its answer another while later."""
    ledger = Outside.ledger
    effect = ledger.begin(step_info(), tag, path, seen, options)
    try:
        await _work(effect, options)
        result = ledger.happen(effect)
        await asyncio.sleep(options["ms"] / 2000)
    except asyncio.CancelledError:
        try:
            await asyncio.sleep(CLEAN_UP_SECONDS)
        finally:
            # Its own time limit may tell it once more, in the middle of this.
            ledger.leave(effect)
        raise
    return ledger.end(effect, result)


async def _work(effect: Effect, options: dict[str, Any]) -> None:
    """Take a while, and say how far it is; at first, it may be slow, or silent."""
    ledger = Outside.ledger
    for number in range(options.get("beats", 0)):
        step_info().heartbeat(ledger.say(effect, number))
        await asyncio.sleep(options["limit"] / 2000)
    if ledger.count_slow(effect) <= options.get("slow", 0):
        await asyncio.sleep(options["limit"] / 500)
    await asyncio.sleep(options["ms"] / 2000)


def act_plainly(tag: str, path: str, options: dict[str, Any], seen: Trace) -> str:
    """The same in a thread, all at once."""
    ledger = Outside.ledger
    effect = ledger.begin(step_info(), tag, path, seen, options)
    return ledger.end(effect, ledger.happen(effect))


async def look_up(intent: Intent) -> Happened | NeverHappened:
    """Whether a step of unknown outcome has happened, as the world outside knows."""
    result = Outside.ledger.look_up(intent.idempotency_key)
    return NeverHappened() if result is None else Happened(result)


async def ask(kind: str, name: str, values: list[str], ms: int) -> None:
    """The action that asks the outside to complete something, after so many milliseconds."""
    Outside.ledger.ask(kind, step_info().invocation_id, name, values, ms)


async def find_somebody(number: int) -> str:
    """The id of an invocation that a client has heard of; empty while there is none."""
    return Outside.ledger.find_id(number)


async def undo(place: list[str], number: int, fails: int) -> None:
    """The action that takes back what a step of a saga did, or may have done."""
    Outside.ledger.sagas.undo((place[0], place[1]), number, step_info().idempotency_key)
    await asyncio.sleep(0.002)
    Outside.ledger.sagas.undone((place[0], place[1]), number, fails)
