"""A provider that delivers webhooks until it is told that they were taken, and who forges them.

A delivery is handled once, however often it comes and whatever is said of it the next time. What
the provider has not signed, or signed long ago, leaves no trace.
"""

import asyncio
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hmac import digest as hmac_digest
from random import Random
from typing import TYPE_CHECKING, Final

from .actors import HOOKS, SECRET
from .network import Ask, LostError

if TYPE_CHECKING:
    from .world import World

SHARE: Final = 0.15
"""How many worlds have them."""

PATIENCE_SECONDS: Final = 15
TRIES_MAX: Final = 40
_UNAUTHORIZED: Final = 401
_LONG_AGO_S: Final = 400
_TAKEN: Final = frozenset({200, 202})


@dataclass(slots=True)
class _Event:
    """Something that has happened at the provider."""

    id: str
    tries: int = 0
    is_taken: bool = False


class Deliveries:
    """All of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nothing was delivered yet."""
        self._world = world
        self._random = random
        self._events: list[_Event] = []

    def begin(self) -> None:
        """Set to work, in some worlds."""
        if self._random.random() < SHARE and self._world.backup is None:
            self._world.clients_loop.spawn(self._live())

    async def _live(self) -> None:
        random, loop = self._random, self._world.clients_loop
        for number in range(random.randrange(1, 8)):
            await asyncio.sleep(random.random())
            event = _Event(f"evt-{number}")
            self._events.append(event)
            loop.spawn(self._deliver(event))
            if random.random() < 0.4:
                loop.spawn(self._forge(number))

    async def _deliver(self, event: _Event) -> None:
        random = self._random
        for _ in range(random.choice((1, 1, 2))):  # Some are sent again because of a button.
            for _ in range(TRIES_MAX):
                if await self._send(event):
                    break
                await asyncio.sleep(random.random() * 2)
            await asyncio.sleep(random.random() * 5)

    async def _send(self, event: _Event) -> bool:
        """Deliver it once; whether it was taken."""
        ledger, event.tries = self._world.ledger, event.tries + 1
        body = {"id": event.id, "tries": event.tries}
        status = await self._post(event.id, body, SECRET, 0)
        if status in _TAKEN:
            ledger.count("a webhook was taken")
            if event.is_taken:
                ledger.count("a webhook was taken again")
            event.is_taken = True
        elif status in {400, 404, 409} or (status == _UNAUTHORIZED and ledger.is_wall_steady):
            ledger.violate(f"I8 the delivery {event} was answered {status}")
        return status in _TAKEN

    async def _forge(self, number: int) -> None:
        """Have something delivered that the provider has not sent, or not now."""
        is_old = self._random.random() < 0.5
        id_ = f"forged-{number}"
        secret, age_s = (SECRET, _LONG_AGO_S) if is_old else (SECRET[:-1], 0)
        status = await self._post(id_, {"id": id_, "tries": 1}, secret, age_s)
        if status == _UNAUTHORIZED:
            self._world.ledger.count("a forged webhook was refused")
        is_sure = self._world.ledger.is_wall_steady or not is_old
        if is_sure and status not in {None, _UNAUTHORIZED, 503}:
            self._world.ledger.violate(f"I10 {id_} was answered {status}")

    async def _post(self, id_: str, body: object, secret: bytes, age_s: int) -> int | None:
        signed_at = self._world.wall.now_ms() // 1000 - age_s
        text = json.dumps(body).encode()
        mac = hmac_digest(secret, f"{id_}.{signed_at}.".encode() + text, "sha256")
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": f"{signed_at}",
            "webhook-signature": f"v1,{b64encode(mac).decode()}",
        }
        path = f"/Desk/{HOOKS}/hooked_by{self._random.choice(('', '/send'))}"
        ask = Ask("POST", path, body, headers=headers, token="", is_harmless=True)
        try:
            return (await self._world.network.ask(ask, PATIENCE_SECONDS)).status
        except LostError:
            return None

    def judge(self, handled: Sequence[str]) -> Iterator[str]:
        """What is wrong in the end, given which events were handled."""
        times = Counter(handled)
        known = {event.id for event in self._events}
        for id_, count in times.items():
            if id_ not in known:
                yield f"I10 the webhook {id_} was handled, and nobody has signed it"
            if count > 1 and self._world.ledger.is_wall_steady:
                yield f"I8 the webhook {id_} was handled {count} times"
        for event in self._events:
            if event.is_taken and not times[event.id]:
                yield f"I1 the webhook {event.id} was taken, and not handled"
