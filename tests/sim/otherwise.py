"""Clients that use an idempotency key a second time, for something else.

The second request gets the first one's answer, and is told so, or it is refused where the runtime
is strict. In no case is what it brings done.
"""

from collections.abc import Container, Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from .ledger import Asked
from .network import Ask, LostError

if TYPE_CHECKING:
    from .world import World

SHARE: Final = 0.05
"""How many requests with a key are followed by another one with the same."""

_HEADER: Final = "x-holdfast-idempotency"


class Otherwise:
    """Those of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody has done so yet."""
        self._world = world
        self._random = random
        self._orders: list[tuple[Asked, Asked]] = []

    async def ask(self, asked: Asked, ask: Ask) -> None:
        """Perhaps ask for something else with the key of a request that was answered."""
        if self._random.random() >= SHARE or asked.kind != "Cell" or ask.inside is not None:
            return
        ledger = self._world.ledger
        tag = f"{asked.tag}+"
        other = Asked(tag=tag, kind="Cell", key=asked.key, ops=[["note", 1]])
        ledger.orders[tag] = other
        self._orders.append((asked, other))
        body = {"tag": tag, "ops": other.ops}
        try:
            response = await self._world.network.ask(replace(ask, body=body, tag=""), 20)
        except LostError:
            return
        is_given = response.status in {200, 202}
        if not self._is_sure(asked) or not (is_given or response.status == 409):
            return
        id_ = response.headers.get("x-restate-id", "")
        if self._world.config.idempotency_strict:
            ledger.count("another request with the same key was refused")
            if is_given or response.headers.get("x-restate-error-source") == "invocation":
                ledger.violate(f"I8 {tag} has the key of {asked.tag}, and is answered")
        elif is_given:
            ledger.count("another request with the same key was answered")
            if id_ != asked.id or response.headers.get(_HEADER) != "other-body":
                ledger.violate(f"I8 {tag} has the key of {asked.tag}, and is answered as {id_}")

    def judge(self, places: Container[str]) -> Iterator[str]:
        """What is wrong in the end."""
        for asked, other in self._orders:
            if other.tag in places and self._is_sure(asked):
                yield f"I8 {other.tag} has the key of {asked.tag}, and ran"

    def _is_sure(self, asked: Asked) -> bool:
        """Whether the key counts for as long as the world lasts."""
        ledger = self._world.ledger
        is_kept = ledger.is_wall_steady and not ledger.is_forgetful
        return is_kept and not ledger.is_repeated(asked.tag) and asked.id not in ledger.touched
