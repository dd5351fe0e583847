"""Those who come to a door with tokens and have none, or another one: nobody lets them in.

In some worlds both doors have tokens, which everybody else is given. Whatever a stranger asks for
is answered with 401, and what he wanted to be done is done nowhere.
"""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from holdfast.ingress.messages import Response

from .network import Ask, LostError
from .workload import KEYS

if TYPE_CHECKING:
    from .world import World

SHARE: Final = 0.25
"""How many worlds have tokens."""

TOKEN: Final = "a-token-of-callers"  # of a world
OTHER_TOKEN: Final = "the-token-of-operators"  # the same
_GUESSES: Final = ("", TOKEN[:-1], f"{TOKEN}s", OTHER_TOKEN, TOKEN.upper())
_UNAUTHORIZED: Final = 401
PATIENCE_SECONDS: Final = 5


class Strangers:
    """All of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody has come yet."""
        self._world = world
        self._random = random
        # Of callers, and of operators.
        self.tokens = (TOKEN, OTHER_TOKEN) if random.random() < SHARE else None

    def begin(self) -> None:
        """Set to work, where there is anything to keep them out."""
        if self.tokens is not None and self._world.backup is None:
            self._world.clients_loop.spawn(self._live())

    async def _live(self) -> None:
        random, ledger = self._random, self._world.ledger
        for number in range(random.randrange(1, 15)):
            await asyncio.sleep(random.random())
            is_operator = random.random() < 0.3
            ask = self._draw_verb(number) if is_operator else self._draw(number)
            try:
                response = await self._world.network.ask(ask, PATIENCE_SECONDS)
            except LostError:
                continue
            if not is_operator:
                self._look_at(ask, response)
        ledger.tell("the strangers are gone")

    def _draw(self, number: int) -> Ask:
        random, ledger = self._random, self._world.ledger
        token, key = random.choice(_GUESSES), random.choice(KEYS)
        order = {"tag": f"stranger.{number}", "ops": [["note", 1]]}
        open_ = [each for each in self._world.outsiders.askings if each.line[0] != "link"]
        match random.choice(("call", "send", "state", "promise", "asked", "attach", "keep")):
            case "call":
                return Ask("POST", f"/Cell/{key}/run", order, token=token)
            case "send":
                return Ask("POST", f"/Cell/{key}/run/send", order, key="mine", token=token)
            case "promise":
                path = "/restate/workflow/Flow/early-0/promises/rival/resolve"
                return Ask("POST", path, "stolen", token=token)
            case "asked" if open_:
                kind, id_, name = random.choice(open_).line
                path = f"/restate/awakeables/{name}/resolve"
                if kind == "signal":
                    path = f"/restate/invocation/{id_}/signals/{name}/resolve"
                elif kind != "awakeable":
                    path = f"/restate/workflow/Flow/{name}/promises/outside/resolve"
                return Ask("POST", path, "stolen", token=token)
            case "attach":
                id_ = ledger.find_id(random.randrange(100))
                return Ask("GET", f"/restate/invocation/{id_}/output", token=token)
            case _:
                return Ask("GET", f"/Cell/{key}", token=token, is_wait=False)

    def _draw_verb(self, number: int) -> Ask:
        """Something that only operators may do; callers may not either."""
        random = self._random
        token = random.choice([*_GUESSES[:-2], TOKEN])
        id_ = self._world.ledger.find_id(number)

        def leave(response: Response, asked_us: int) -> None:
            del asked_us
            self._look_at(ask, response)

        ask = Ask("PATCH", f"/invocations/{id_}/kill", token=token, leave=leave)
        if random.random() < 0.3:
            ask = Ask("GET", f"/invocations/{id_}", token=token, leave=leave)
        return ask

    def _look_at(self, ask: Ask, response: Response) -> None:
        if response.status == _UNAUTHORIZED:
            self._world.ledger.count("a stranger was refused")
        else:
            what = f"{ask.method} {ask.path} with {ask.token!r}"
            self._world.ledger.violate(f"I10 {what} was answered {response.status}")
