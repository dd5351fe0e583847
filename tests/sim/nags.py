"""A client that asks for one and the same errand again and again, for longer than it is kept.

How long an idempotency key counts, and an outcome is there, is counted from the completion, which
is not before the acceptance; and when that was, the id tells.
"""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from holdfast.ingress.messages import Response
from holdfast.objects.identity import accepted_ms, parse_invocation_id

from .actors import KEY_OF_ERRANDS, OF_ERRANDS
from .ledger import Asked
from .network import Ask, LostError

if TYPE_CHECKING:
    from .world import World

SECONDS = 14
PATIENCE_SECONDS = 3
_KEY_MS = KEY_OF_ERRANDS.total_seconds() * 1000
_OUTCOME_MS = OF_ERRANDS.total_seconds() * 1000


class Nag:
    """One of them."""

    def __init__(self, world: "World", random: Random) -> None:
        """Have asked for nothing yet."""
        self.world = world
        self._random = random
        self._ids: list[str] = []

    async def live(self) -> None:
        """Ask until it is enough."""
        universe, random = self.world.universe, self._random
        tag = "nag.1"
        ops: list[list[Any]] = [["note", 1], ["step", {"ms": random.randrange(200)}]]
        order = {"tag": tag, "ops": ops}
        self.world.ledger.orders[tag] = Asked(tag=tag, kind="Errand", key="", ops=ops, client=0)
        ask = Ask("POST", "/Errand/run/send", order, key="key-nag", tag=tag)
        end = universe.now + SECONDS
        while universe.now < end:
            response = await self._ask(ask)
            if response is not None and response.status == 202:
                self._look(response.headers["x-restate-id"])
            if self._ids and random.random() < 0.4:
                await self._ask_for_outcome(random.choice(self._ids))
            await asyncio.sleep(random.random() * 0.7)

    def _look(self, id_: str) -> None:
        if id_ in self._ids:
            self.world.ledger.count("a nag was told the same")
            return
        if self._ids and self._is_kept(self._ids[-1], _KEY_MS):
            self.world.ledger.violate(f"I8 {id_} was accepted, and {self._ids[-1]} has its key")
        self._ids.append(id_)

    async def _ask_for_outcome(self, id_: str) -> None:
        response = await self._ask(Ask("GET", f"/restate/invocation/{id_}/output", names=id_))
        # Where more is kept than may be, it is there for as long as its key counts.
        kept_ms = _KEY_MS if self.world.ledger.is_crowded else _OUTCOME_MS
        if response is not None and response.status == 404 and self._is_kept(id_, kept_ms):
            self.world.ledger.violate(f"I1 {id_} is not there any more")

    def _is_kept(self, id_: str, kept_ms: float) -> bool:
        """Whether it is too early for it to be forgotten."""
        ledger, now_ms = self.world.ledger, self.world.wall.now_ms()
        is_early = now_ms < accepted_ms(parse_invocation_id(id_)) + kept_ms
        return is_early and ledger.is_wall_steady and id_ not in ledger.touched

    async def _ask(self, ask: Ask) -> Response | None:
        try:
            return await self.world.network.ask(ask, PATIENCE_SECONDS)
        except LostError:
            return None
