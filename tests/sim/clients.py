"""Those who call: each waits for an answer before the next request, and asks again without."""

import asyncio
import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from holdfast.ingress.messages import Response

from .actors import DESK
from .hooks import make_url
from .inside import Inside
from .ledger import Asked, Ledger
from .nags import Nag
from .network import Ask, LostError
from .workload import KEYS, Workload, has_sections_below

if TYPE_CHECKING:
    from .world import World

PATIENCE_SECONDS = 20.0
TRIES_MAX = 60
PAUSE_SECONDS_MAX = 60.0
WAITS_MAX = 2
INSIDE_SHARE = 0.15
"""How many calls of cells come from the program that the runtime is embedded in."""

NAG_SHARE = 0.1
"""How many worlds have a client that asks for the same again and again."""
_AGAIN = frozenset({429, 503, 507})
_AWAITED = frozenset({"call", "serve", "keep", "guard", "seize"})


class Clients:
    """All of them."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        self.random = random
        self.workload = Workload(random, is_long=world.is_long, is_urgent=world.is_urgent)
        self.open = 0
        # To whose turn a client's next call is a message, because that turn reads.
        self._steered: dict[int, str] = {}

    @property
    def are_done(self) -> bool:
        return not self.open

    def begin(self) -> None:
        """Have all of them begin."""
        for number in range(self.world.options.clients):
            self.open += 1
            self.world.clients_loop.spawn(self._live(number))
        if self.random.random() < NAG_SHARE and "nag" in self.world.faults:
            self.open += 1
            self.world.clients_loop.spawn(self._nag())

    async def _live(self, client: int) -> None:
        random = self.random
        try:
            for number in range(random.randint(1, self.world.options.requests)):
                await asyncio.sleep(random.random() * random.choice((0.01, 0.1, 1)))
                await self._call(client, number)
                if random.random() < 0.2:
                    await self._read(random.choice(KEYS))
        finally:
            self.open -= 1

    async def _nag(self) -> None:
        try:
            await Nag(self.world, self.random).live()
        finally:
            self.open -= 1

    async def _read(self, key: str) -> None:
        """Look at an object: at its state as it is stored, or by its shared handler."""
        by_state = self.random.random() < 0.5
        path = f"/Cell/{key}" if by_state else f"/Cell/{key}/peek"
        ask = Ask("GET", path, is_wait=not by_state)
        try:
            response = await self.world.network.ask(ask, 5)
        except LostError:
            return
        if response.status == 200:
            body: Any = json.loads(response.body)
            log = body.get("log", []) if by_state else body[0]
            now_us = self.world.universe.now_us
            self.world.ledger.count("a log was read")
            self.world.ledger.reads.setdefault(f"Cell/{key}", []).append((now_us, log))

    async def _call(self, client: int, number: int) -> None:  # noqa: C901, PLR0915  # all that a call may be
        random, ledger = self.random, self.world.ledger
        key = random.choice(KEYS)
        steered = self._steered.pop(client, None)
        key = steered or key
        is_flow = steered is None and random.random() < 0.12
        is_errand = steered is None and not is_flow and random.random() < 0.1
        order = self.workload.draw_order(f"c{client}", key, is_errand=is_errand)
        is_keyed = not is_flow and random.random() < 0.7
        is_send = steered is not None or random.random() < 0.5
        is_inside = not (is_flow or is_errand) and random.random() < INSIDE_SHARE
        delay_ms = 0
        if any(op[0] in {"inbox", "drain"} for op in order["ops"]):
            # Somebody has to write to whoever reads.
            is_send = True
            self._steered[client] = key
        if is_flow:
            key = f"w{client}-{number}"
            order["ops"].append(["promise", random.randrange(1, 300), random.random() < 0.2])
        kind = "Flow" if is_flow else "Errand" if is_errand else "Cell"
        key = "" if is_errand else key
        asked = Asked(
            tag=order["tag"],
            kind=kind,
            key=key,
            ops=order["ops"],
            client=client,
            number=number,
            is_keyed=is_keyed or is_flow,
            has_sections_below=has_sections_below(order["ops"]),
        )
        path = f"/{kind}/run" if is_errand else f"/{kind}/{key}/run"
        if is_send:
            path += "/send"
            if steered is None and random.random() < 0.3:
                delay_ms = self.workload.draw_ms()
                path += f"?delay={delay_ms}ms"
                asked.not_before_ms = self.world.wall.now_ms() + delay_ms
            elif kind == "Cell" and (steered is not None or random.random() < 0.1):
                asked.mode = "steer" if steered else random.choice(("interrupt", "steer"))
                path += f"?mode={asked.mode}"
                if asked.mode == "interrupt":
                    ledger.interrupted.add(f"Cell/{key}")
                ledger.count(f"sent to {asked.mode}")
        ledger.orders[asked.tag] = asked
        note_children(ledger, self.workload)
        idempotency_key = f"key-{asked.tag}" if is_keyed else ""
        if is_inside:
            asked.told = random.choice(("", DESK, make_url(asked.tag)))
        inside = Inside(
            key=key,
            order=order,
            is_send=is_send,
            delay_ms=delay_ms,
            mode=asked.mode,
            idempotency_key=idempotency_key,
            told=asked.told,
        )
        ask = Ask("POST", path, order, key=idempotency_key, tag=asked.tag)
        ask = replace(ask, inside=inside) if is_inside else ask
        asked.ask = ask
        asked.sent_us = self.world.universe.now_us
        response = await self._insist(ask, is_harmless=is_keyed or (is_flow and is_send))
        if response is None:
            ledger.count("an answer never came")
            return
        id_ = response.headers.get("x-restate-id", "")
        if id_:
            asked.id = id_
            asked.acked_us = self.world.universe.now_us
            ledger.name(id_, asked.tag)
            if not is_send:
                self._look_at(id_, asked, response)

            elif response.status == 202 and random.random() < 0.3:
                await self._attach(id_)
            if is_keyed:
                await self.world.otherwise.ask(asked, ask)

    async def _attach(self, id_: str) -> None:
        """Ask how an invocation ended; whatever is answered is compared with all other answers."""
        path = f"/restate/invocation/{id_}/{self.random.choice(('attach', 'output'))}"
        try:
            response = await self.world.network.ask(Ask("GET", path, names=id_), 10)
        except LostError:
            return
        if response.status == 200:
            self.world.ledger.count("an outcome was asked for")

    def _look_at(self, id_: str, asked: Asked, response: Response) -> None:
        if response.status != 200:
            return
        result: Any = json.loads(response.body)
        if result is None or result.get("tag") != asked.tag:
            self.world.ledger.violate(f"I1 {asked.tag} got the answer {result!r:.200}")
            return
        self.world.ledger.check_trace(id_, asked.tag, result["trace"])

    async def _insist(self, ask: Ask, *, is_harmless: bool) -> Response | None:
        """Ask until there is an answer, where asking again is harmless."""
        seconds, waits = 0.5, 0
        for _ in range(TRIES_MAX):
            try:
                response = await self.world.network.ask(ask, PATIENCE_SECONDS)
            except LostError as error:
                waits += str(error) == "the client goes away"
                is_refused = str(error) == "connection refused"
                if waits > WAITS_MAX or not (is_harmless or is_refused):
                    return None
            else:
                source = response.headers.get("x-restate-error-source")
                if response.status not in _AGAIN or source == "invocation":
                    return response
                is_refused = response.status in {429, 507}
                if not is_harmless and not is_refused:
                    return None
            await asyncio.sleep(self.random.random() * seconds)
            seconds = min(seconds * 1.5, PAUSE_SECONDS_MAX)
        return None


def note_children(ledger: Ledger, workload: Workload) -> None:
    """Keep what the orders that were just drawn ask for."""
    for child in workload.children:
        ledger.orders[child.order["tag"]] = Asked(
            tag=child.order["tag"],
            kind="Errand" if child.how == "serve" else "Cell",
            key=child.key,
            ops=child.order["ops"],
            parent=child.parent,
            is_awaited=child.how in _AWAITED and not child.is_limited,
            mode=child.mode,
            has_sections_below=has_sections_below(child.order["ops"]),
            is_shielded=child.how == "keep" or (child.how == "guard" and not child.is_below),
        )
        if child.how == "part":
            ledger.touched_tags.add(child.order["tag"])
        if child.mode == "interrupt":
            ledger.interrupted.add(f"Cell/{child.key}")
    workload.children.clear()
