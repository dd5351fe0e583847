"""A backup that is taken while the server works, and the line of lives that begins with it.

A backup holds what was acknowledged when it was taken, and some of what was written since. What the
outside knew at that moment is kept beside it. When the world itself is over, the backup is restored
in a world of its own: nobody breaks anything there any more, those who had asked for something with
a key ask again, and all that holds for a world has to hold for this one, as if nothing had happened
since the backup. What did happen since is the business of the other line.
"""

import asyncio
import copy
import hashlib
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from holdfast import RuntimeConfig
from holdfast.journal.memory import MemoryStore

from .ledger import Asked, Ledger
from .network import LostError
from .outsiders import Asking
from .patching import Patching
from .seams import WallClock
from .universe import Universe

if TYPE_CHECKING:
    from .world import World

SHARE: Final = 0.04
"""How many worlds are restored."""

TRIES_MAX: Final = 5
SECONDS_MAX: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One, and what was known outside when it was taken."""

    memory: MemoryStore
    ledger: Ledger
    universe: Universe
    askings: list[Asking]
    known: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
    """What hooks, the one who looks at the past, and the one who urges had found out."""
    lives: int
    patching: Patching
    config: RuntimeConfig
    offset_ms: int
    may_jump: bool

    def settle(self, ledger: Ledger, wall: WallClock) -> None:
        """Have the ledger of the restored world ask those that another one made for it asks."""
        self.ledger.get_disk, self.ledger.get_wall_ms = ledger.get_disk, ledger.get_wall_ms
        wall.offset_ms, wall.may_jump = self.offset_ms, self.may_jump


class Restoring:
    """Whether and when a world is backed up."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nothing was done yet."""
        self._world = world
        self._random = random
        self._tries = 0
        self.backup: Backup | None = None

    def begin(self) -> None:
        """Draw a moment for it, in some worlds."""
        if "backup" in self._world.faults and self._random.random() < SHARE:
            self._wait()

    def _wait(self) -> None:
        self._world.universe.after(self._random.random() * SECONDS_MAX, self._try)

    def _try(self) -> None:
        process, self._tries = self._world.process, self._tries + 1
        if process.is_serving:
            self._world.ledger.tell("a backup is taken")
            self.backup = _take(self._world, self._random)
        elif self._tries < TRIES_MAX:
            self._wait()


def _take(world: "World", random: Random) -> Backup:
    universe = Universe(f"{world.seed}/restored")
    universe.now_us = world.universe.now_us
    ledger = _copy(world.ledger, universe)
    ledger.running.died()
    operator = world.operator
    known = copy.deepcopy((world.hooks.known, operator.rewinder.known, operator.urging.known))
    return Backup(
        memory=world.process.disk.copy(random),
        ledger=ledger,
        universe=universe,
        askings=[each.copy() for each in world.outsiders.askings],
        known=known,
        lives=world.lives,
        patching=copy.copy(world.patching),
        config=world.config,
        offset_ms=world.wall.offset_ms,
        may_jump=world.wall.may_jump,
    )


def _copy(ledger: Ledger, universe: Universe) -> Ledger:
    """All that a ledger knows; what was told and counted so far stays with the first one."""
    instead: list[tuple[object, object]] = [
        (ledger.universe, universe),
        (ledger.story, []),
        (ledger.counters, Counter()),
        (ledger._fingerprint, hashlib.blake2b()),  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its own
        (ledger.on_ask, None),
    ]
    return copy.deepcopy(ledger, {id(old): new for old, new in instead})


def take_up(world: "World", backup: Backup) -> None:
    """Have a world that has just begun go on as the outside was when the backup was taken."""
    world.ledger.count("a backup was restored")
    hooks, rewinder, urging = backup.known
    world.hooks.known = hooks
    world.operator.rewinder.known = rewinder
    world.operator.urging.known = urging
    world.outsiders.take_up(backup.askings)
    for order in list(world.ledger.orders.values()):
        if order.ask is not None and order.is_keyed and order.kind != "Errand":
            world.clients.open += 1
            world.clients_loop.spawn(_ask_again(world, order))


async def _ask_again(world: "World", order: Asked) -> None:
    """Ask with the key that was used before; whoever had an answer before gets the same one."""
    ledger = world.ledger
    try:
        for _ in range(TRIES_MAX):
            await asyncio.sleep(1)
            try:
                response = await world.network.ask(order.ask, 20)
            except LostError:
                continue
            id_ = response.headers.get("x-restate-id", "")
            if not id_:
                continue
            ledger.count("a restored server was asked again")
            is_sure = ledger.is_wall_steady and not ledger.is_forgetful
            is_same = not order.id or id_ == order.id or ledger.is_repeated(order.tag)
            if is_sure and not is_same:
                ledger.violate(f"I8 {order.tag} is {order.id}, and {id_} once it is restored")
            return
    finally:
        world.clients.open -= 1
