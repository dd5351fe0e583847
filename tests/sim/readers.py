"""Those who look over HTTP, without a call: at a state until it is another one, and for outcomes.

A state has the tag that every other one has that is the same, and nobody is told of one that was
replaced before he asked. Who waits is told of the next one at once, and of none before his time is
over. A call is found by its idempotency key, and a workflow by its own, as the invocation that was
accepted.
"""

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast import HoldfastError
from holdfast.ingress.messages import Response

from .actors import Flow
from .ledger import Asked
from .network import Ask, LostError
from .workload import KEYS

if TYPE_CHECKING:
    from .world import World

SHARE: Final = 0.15
"""How many worlds have them."""

PATIENCE_SECONDS: Final = 20
_AT_ONCE_US: Final = 1_000_000
_NOT_READY: Final = 470


class Readers:
    """All of one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody has looked yet."""
        self._world = world
        self._random = random
        # What states look like, by their tags.
        self._bodies: dict[str, bytes] = {}
        # How long logs were known to be, and since when, by key; each longer than the one before.
        self._known: dict[str, list[tuple[int, int]]] = {key: [] for key in KEYS}

    def begin(self) -> None:
        """Set to work, in some worlds."""
        if self._random.random() < SHARE and self._world.backup is None:
            for key in self._random.sample(KEYS, self._random.randrange(1, 3)):
                self._world.clients_loop.spawn(self._follow(key))
            self._world.clients_loop.spawn(self._look_around())

    # -- States ------------------------------------------------------------------------------

    async def _follow(self, key: str) -> None:
        """Look at the state of an object, again and again."""
        random, tag, length = self._random, "", 0
        for _ in range(random.randrange(3, 20)):
            wait_ms = random.choice((0, 50, 500, 3_000, 8_000))
            query = f"?wait={wait_ms}ms" if wait_ms else ""
            headers = {"if-none-match": f'"{tag}"'} if tag else {}
            sent_us = self._world.universe.now_us
            ask = Ask("GET", f"/Cell/{key}{query}", headers=headers, is_wait=False)
            response = await self._ask(ask)
            if response is not None and response.status == 304:
                self._world.ledger.count("a state was not another one")
                self._check_known(key, length, sent_us, wait_ms)
                if self._world.universe.now_us < sent_us + wait_ms * 1000:
                    self._world.ledger.violate(f"I19 who waits for {key} is sent away too soon")
            elif response is not None and response.status == 200:
                new = response.headers["etag"].strip('"')
                if new == tag:
                    self._world.ledger.violate(f"I19 {key} is told again as {tag}")
                self._world.ledger.count("a state was another one")
                tag, length = new, self._take(key, new, response.body)
                self._check_known(key, length, sent_us, 0)
                self._know(key, length)
            await asyncio.sleep(random.random() * random.choice((0.01, 0.3)))

    def _take(self, key: str, tag: str, body: bytes) -> int:
        """Note a state; gives how long its log is."""
        ledger = self._world.ledger
        state: dict[str, Any] = json.loads(body)
        log: list[str] = state.get("log", [])
        if len(log) != state.get("count", 0):
            ledger.violate(f"I19 a reader of {key} sees the middle of a change")
        if self._bodies.setdefault(tag, body) != body:
            ledger.violate(f"I19 {tag} is the tag of {body!r:.200} and {self._bodies[tag]!r:.200}")
        now_us = self._world.universe.now_us
        ledger.reads.setdefault(f"Cell/{key}", []).append((now_us, log))
        return len(log)

    def _know(self, key: str, length: int) -> None:
        known = self._known[key]
        if not known or known[-1][1] < length:
            known.append((self._world.universe.now_us, length))

    def _check_known(self, key: str, length: int, sent_us: int, wait_ms: int) -> None:
        """Whether a log of this length is not one of before; ``wait_ms``: it was waited for."""
        ledger = self._world.ledger
        if f"Cell/{key}" in ledger.put_back:
            return
        decided_us = sent_us + wait_ms * 1000 - (_AT_ONCE_US if wait_ms else 0)
        for known_us, known in self._known[key]:
            if known > length and known_us < max(sent_us, decided_us):
                ledger.violate(f"I19 {key} is told with {length} lines, asked after {known}")
                return

    # -- Outcomes ----------------------------------------------------------------------------

    async def _look_around(self) -> None:
        """Look for calls by what their callers know of them."""
        random, ledger = self._random, self._world.ledger
        for _ in range(random.randrange(2, 15)):
            await asyncio.sleep(random.random())
            orders = [each for each in ledger.orders.values() if each.acked_us and each.is_keyed]
            if not orders:
                continue
            order = random.choice(orders)
            match random.choice(("lookup", "attach", "output", "inside")):
                case "lookup":
                    await self._look_up(order)
                case "inside" if order.kind == "Flow":
                    self._find_inside(order)
                case "attach":
                    await self._read(order, "attach")
                case _:
                    await self._read(order, "output")

    async def _look_up(self, order: Asked) -> None:
        body = {"target": "idempotentInvocation", "service": order.kind, "handler": "run"}
        body |= {"idempotencyKey": f"key-{order.tag}"}
        if order.kind == "Cell":
            body["key"] = order.key
        if order.kind == "Flow":
            body = {"target": "workflow", "workflowName": "Flow", "workflowKey": order.key}
        sent_us = self._world.universe.now_us
        response = await self._ask(Ask("POST", "/restate/lookup", body))
        if response is not None and response.status == 200:
            id_: str = msgspec.json.decode(response.body)["invocationId"]
            self._world.ledger.forgotten.answer(id_, sent_us)
            self._look_at(order, id_)
        elif response is not None and response.status == 404:
            self._miss(order, sent_us)

    async def _read(self, order: Asked, verb: str) -> None:
        ledger, sent_us = self._world.ledger, self._world.universe.now_us
        named = f"invocation/Errand/run/key-{order.tag}"
        if order.kind == "Cell":
            named = f"invocation/Cell/{order.key}/run/key-{order.tag}"
        if order.kind == "Flow":
            named = f"workflow/Flow/{order.key}"
        response = await self._ask(Ask("GET", f"/restate/{named}/{verb}"))
        if response is None:
            return
        id_ = response.headers.get("x-restate-id", "")
        if id_:
            self._look_at(order, id_)
        elif response.status == 404:
            self._miss(order, sent_us)
        elif response.status == _NOT_READY:
            is_over = order.id in ledger.find_answered(sent_us)
            if is_over and not ledger.is_repeated(order.tag):
                ledger.violate(f"I2 {order.tag} is said to run, and has ended")

    def _find_inside(self, order: Asked) -> None:
        """The same by the program that the runtime is embedded in."""
        process = self._world.process
        if process.is_serving:
            process.spawn(self._ask_inside(order))

    async def _ask_inside(self, order: Asked) -> None:
        sent_us = self._world.universe.now_us
        try:
            found = await self._world.process.runtime.find_invocation(Flow, order.key)
        except HoldfastError:
            return
        if found is None:
            self._miss(order, sent_us)
        else:
            self._world.ledger.forgotten.answer(found.id, sent_us)
            self._look_at(order, found.id)

    def _look_at(self, order: Asked, id_: str) -> None:
        ledger = self._world.ledger
        ledger.count("a call was found by its key")
        if id_ != order.id and not ledger.is_repeated(order.tag) and ledger.is_wall_steady:
            ledger.violate(f"I8 {order.tag} is {order.id}, and is found as {id_}")

    def _miss(self, order: Asked, sent_us: int) -> None:
        ledger = self._world.ledger
        is_sure = ledger.is_wall_steady and not ledger.is_repeated(order.tag)
        if is_sure and order.acked_us < sent_us and order.kind != "Errand":
            ledger.violate(f"I1 {order.tag} was accepted as {order.id}, and is not found")

    async def _ask(self, ask: Ask) -> Response | None:
        try:
            return await self._world.network.ask(ask, PATIENCE_SECONDS)
        except LostError:
            return None
