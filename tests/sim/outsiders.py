"""Who resolves awakeables, sends signals and keeps promises, when a handler has asked for it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from .network import Ask, LostError

if TYPE_CHECKING:
    from .world import World

PAUSE_SECONDS_MAX = 60.0
AGAIN_SHARE = 0.5
"""How many links are used again later."""
_REFUSED = 403
_AGAIN = frozenset({429, 503, 507})


@dataclass(slots=True)
class Asking:
    """Something that was asked for."""

    line: tuple[str, str, str]
    """Its kind, the invocation, and a name."""
    values: list[str]
    ms: int
    done: int = 0
    """How many of its values are known to be taken."""

    def copy(self) -> "Asking":
        """The same, of another line of lives."""
        return replace(self)


class Outsiders:
    """One for all that is asked for."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        self.random = random
        self._open = 0
        self.askings: list[Asking] = []
        """All that was ever asked for."""

    @property
    def is_busy(self) -> bool:
        """Whether anything that was asked for is not yet known to be done."""
        return bool(self._open)

    def begin(self) -> None:
        """Listen to what handlers ask for."""
        self.world.ledger.on_ask = self._asked

    def take_up(self, askings: list[Asking]) -> None:
        """Go on with what others had begun; of what they tried last they know nothing."""
        for asking in askings:
            kind, id_, name = asking.line
            if asking.done < len(asking.values):
                if kind == "signal":
                    self.world.ledger.doubled.add((id_, name))
                self._begin(asking)

    def _asked(self, kind: str, id_: str, name: str, values: list[str], ms: int) -> None:
        self._begin(Asking((kind, id_, name), values, ms))

    def _begin(self, asking: Asking) -> None:
        self._open += 1
        self.askings.append(asking)
        self.world.clients_loop.spawn(self._complete(asking))

    async def _complete(self, asking: Asking) -> None:
        kind = asking.line[0]
        self.world.ledger.count(f"{kind} asked for")
        try:
            # One after the other, so that the order in which signals come is known.
            for value in asking.values[asking.done :]:
                await asyncio.sleep(asking.ms / 1000)
                await self._insist(asking, value)
                asking.done += 1
            if kind == "link" and self.random.random() < AGAIN_SHARE:
                self.world.clients_loop.spawn(self._use_again(asking))
        finally:
            self._open -= 1

    async def _use_again(self, asking: Asking) -> None:
        """Open a link, or press its button, again and again after it was answered."""
        for _ in range(self.random.randrange(1, 5)):
            await asyncio.sleep(self.random.random() * 2)
            ask = Ask(self.random.choice(("GET", "POST")), asking.line[2], token="")
            sent_us = self.world.universe.now_us
            with suppress(LostError):
                response = await self.world.network.ask(ask, 10)
                self.world.ledger.count("a link was used again")
                self._hear(asking, response.status, sent_us)

    def _hear(self, asking: Asking, status: int, sent_us: int) -> None:
        """A link that was sent then is answered."""
        ledger, (_, id_, link) = self.world.ledger, asking.line
        tag = asking.values[0].removeprefix("no ").partition(" ")[0]
        is_restarted = tag in ledger.rewound | ledger.forked
        is_sure = ledger.is_wall_steady and not is_restarted
        ledger.links.answer(link, id_, status, sent_us, is_sure=is_sure)

    async def _insist(self, asking: Asking, value: str) -> None:
        ledger, universe = self.world.ledger, self.world.universe
        kind, id_, name = asking.line
        ask = self._make(kind, id_, name, value)
        seconds = 0.1
        while True:
            sent_us = universe.now_us
            try:
                response = await self.world.network.ask(ask, 10)
            except LostError as error:
                ledger.tell(f"{kind} {name}: {error}")
                if kind == "signal" and str(error) != "connection refused":
                    ledger.doubled.add((id_, name))
            else:
                ledger.tell(f"{kind} {name} {value}: {response.status}")
                if kind == "link":
                    self._hear(asking, response.status, sent_us)
                if response.status == _REFUSED and kind == "link":
                    # Who has a link that does not count any more asks those inside to do it.
                    kind, name = "awakeable", name.split("/")[3]
                    ask = self._make(kind, id_, name, value)
                elif response.status not in _AGAIN:
                    return
                if kind == "signal" and response.status == 503:
                    # The store failed, perhaps with the signal in it: its outcome is unknown.
                    ledger.doubled.add((id_, name))
            await asyncio.sleep(self.random.random() * seconds)
            seconds = min(seconds * 1.3, PAUSE_SECONDS_MAX)

    def _make(self, kind: str, id_: str, name: str, value: str) -> Ask:
        """The request that completes it; a value that begins with "no" is a reason to reject."""
        verb = "reject" if value.startswith("no ") else "resolve"
        match kind:
            case "link":
                return Ask("POST", name, token="")
            case "awakeable":
                return Ask("POST", f"/restate/awakeables/{name}/{verb}", value)
            case "signal":
                return Ask("POST", f"/restate/invocation/{id_}/signals/{name}/{verb}", value)
            case _ if verb == "resolve" and self.random.random() < 0.5:
                return Ask("POST", f"/Flow/{name}/keep", value, key=f"keep-{id_}-{value}")
            case _:
                return Ask("POST", f"/restate/workflow/Flow/{name}/promises/outside/{verb}", value)
