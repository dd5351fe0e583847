"""Those who complete one promise over HTTP, each with a value of its own, and who waits for it.

A promise is completed once. Who is told 202 was the first, and the value is his, for everybody and
whoever crashes; from the moment that anybody knows of it nobody is told that there is none, and
whoever waits is told of it at once.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from holdfast.ingress.messages import Response
from holdfast.journal import keys
from holdfast.journal.entry import Failure
from holdfast.journal.records import decode_promise

from .network import Ask, LostError

if TYPE_CHECKING:
    from .world import World

SHARE: Final = 0.15
"""How many worlds have them."""

NAME: Final = "rival"
PATIENCE_SECONDS: Final = 20
_AT_ONCE_US: Final = 1_000_000
_NOT_READY: Final = 470


@dataclass(slots=True)
class _Promise:
    """One, and what is known of it."""

    key: str
    tag: str = ""
    """Of the workflow's order; a workflow that nobody starts has none."""
    sent: set[str] = field(default_factory=set[str])
    """All values that somebody has tried."""
    value: str | None = None
    known_us: int | None = None
    """Since when somebody knows that it is completed."""


class Rivals:
    """All of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody has tried yet."""
        self._world = world
        self._random = random
        self._promises: dict[str, _Promise] = {}

    def begin(self) -> None:
        """Set to work, in some worlds."""
        if self._random.random() < SHARE and self._world.backup is None:
            self._world.clients_loop.spawn(self._live())

    async def _live(self) -> None:
        random, loop = self._random, self._world.clients_loop
        for number in range(random.randrange(1, 5)):
            await asyncio.sleep(random.random())
            promise = self._draw(number)
            for rival in range(random.randrange(1, 4)):
                no = "no " if random.random() < 0.3 else ""
                loop.spawn(self._complete(promise, f"{no}{promise.key} {rival}"))
            for _ in range(random.randrange(1, 4)):
                loop.spawn(self._read(promise))

    def _draw(self, number: int) -> _Promise:
        """That of a workflow that somebody has started, or of one that nobody ever will."""
        flows = [each for each in self._world.ledger.orders.values() if each.kind == "Flow"]
        key, tag = f"early-{number}", ""
        if flows and self._random.random() < 0.5:
            flow = self._random.choice(flows)
            key, tag = flow.key, flow.tag
        return self._promises.setdefault(key, _Promise(key, tag))

    async def _complete(self, promise: _Promise, value: str) -> None:
        verb = "reject" if value.startswith("no ") else "resolve"
        await asyncio.sleep(self._random.random() * self._random.choice((0.005, 0.05, 1)))
        sent_us = self._world.universe.now_us
        promise.sent.add(value)
        path = f"/restate/workflow/Flow/{promise.key}/promises/{NAME}/{verb}"
        response = await self._ask(Ask("POST", path, value))
        if response is None or self._may_be_another(promise):
            return
        ledger = self._world.ledger
        if response.status == 202:
            ledger.count("a rival was the first")
            if promise.known_us is not None and promise.known_us < sent_us:
                ledger.violate(f"I18 {value} completes what was {promise.value!r}")
            self._know(promise, value)
        elif response.status == 409:
            ledger.count("a rival was too late")
            self._know(promise, promise.value)

    async def _read(self, promise: _Promise) -> None:
        random, ledger, universe = self._random, self._world.ledger, self._world.universe
        await asyncio.sleep(random.random())
        for _ in range(random.randrange(1, 5)):
            wait_ms = random.choice((0, 0, 100, 3_000, 8_000))
            query = f"?wait={wait_ms}ms" if wait_ms else ""
            sent_us = universe.now_us
            path = f"/restate/workflow/Flow/{promise.key}/promises/{NAME}{query}"
            response = await self._ask(Ask("GET", path))
            if response is not None and not self._may_be_another(promise):
                is_outcome = response.headers.get("x-restate-error-source") == "invocation"
                if response.status == 200:
                    self._know(promise, json.loads(response.body))
                elif is_outcome:
                    self._know(promise, json.loads(response.body)["message"])
                elif response.status == _NOT_READY:
                    ledger.count("a rival's promise was not ready")
                    decided_us = sent_us + wait_ms * 1000
                    slack_us = _AT_ONCE_US if wait_ms else 0
                    known_us = promise.known_us
                    if known_us is not None and known_us + slack_us < decided_us:
                        ledger.violate(f"I18 {promise} is said to be open, asked at {sent_us}")
                    if universe.now_us < decided_us:
                        ledger.violate(f"I18 who waits for {promise} is sent away too soon")
            await asyncio.sleep(random.random() * 0.5)

    def _know(self, promise: _Promise, value: str | None) -> None:
        ledger = self._world.ledger
        if promise.known_us is None:
            promise.known_us = self._world.universe.now_us
        if value is None:
            return
        if promise.value is None:
            promise.value = value
        if value != promise.value or value not in promise.sent:
            ledger.violate(f"I18 {promise} is {value!r}")

    def _may_be_another(self, promise: _Promise) -> bool:
        """Whether the one that is there may be one of a workflow that came later."""
        ledger = self._world.ledger
        if not ledger.is_wall_steady or ledger.is_forgetful:
            return True
        return bool(promise.tag) and ledger.is_repeated(promise.tag)

    async def _ask(self, ask: Ask) -> Response | None:
        try:
            return await self._world.network.ask(ask, PATIENCE_SECONDS)
        except LostError:
            return None

    def judge(self) -> Iterator[str]:
        """What is wrong in the end."""
        for promise in self._promises.values():
            if promise.known_us is None or self._may_be_another(promise):
                continue
            row = self._world.rows.get(keys.promise(keys.object_key("Flow", promise.key), NAME))
            if row is None:
                yield f"I18 {promise} is completed, and is not there"
                continue
            result = decode_promise(row).result
            kept = result.message if isinstance(result, Failure) else json.loads(result)
            if kept not in promise.sent or promise.value not in {None, kept}:
                yield f"I18 {promise} is {kept!r} in the end"
