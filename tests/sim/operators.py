"""A person with an admin's powers, who uses them at the wrong moment."""

import asyncio
import json
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from holdfast import HoldfastError
from holdfast.journal import codec, keys
from holdfast.journal.entry import Input
from holdfast.journal.memory import MemoryStore
from holdfast.journal.records import InvocationState, decode_invocation, decode_outcome
from holdfast.objects.identity import InvocationId, format_invocation_id, parse_invocation_id
from holdfast.runtime.invocation_handle import InvocationHandle

from .actors import HELPERS, Cell
from .audits import Audits
from .batches import Batches
from .forgotten import LOOKS
from .ledger import Asked
from .network import Ask, LostError
from .process import Process
from .rewinding import Rewinder
from .urging import Urging
from .workload import KEYS

if TYPE_CHECKING:
    from .world import World

ACTS_MAX = 30
LATEST = 3
_VERBS = (
    *("cancel", "cancel", "kill", "pause", "pause", "resume", "resume", "restart"),
    *("purge", "purge", "purge journal", "purge journal"),
)
_PURGES = frozenset({"purge", "purge journal"})


class Operator:
    """Looks at what is open now and then, and does something to it."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        self.random = random
        self.rewinder = Rewinder(world, random)
        self.audits = Audits(world, random)
        self.urging = Urging(world, random)
        self.batches = Batches(world, random, self._tag_of, self._hear)

    def begin(self) -> None:
        """Set to work, and have what is paused resumed in the end."""
        self.world.clients_loop.spawn(self._resume_all())
        if "operator" in self.world.faults:
            self.world.clients_loop.spawn(self._meddle())

    async def _meddle(self) -> None:
        random = self.random
        seconds = random.choice((0.2, 0.5, 1.0))
        for _ in range(random.randrange(ACTS_MAX)):
            await asyncio.sleep(random.random() * seconds)
            process = self.world.process
            if self.world.clients.are_done:
                return
            if process.is_serving:
                self._act(process)

    def _act(self, process: Process) -> None:
        random, clients = self.random, self.world.clients_loop
        if random.random() < 0.1:
            process.spawn(self._edit(process, random.choice(KEYS)))
        elif random.random() < 0.08:
            clients.spawn(self._ask(self.audits.draw()))
        elif random.random() < 0.08:
            process.spawn(self._rotate(process, revoke=random.random() < 0.3))
        elif random.random() < 0.12:
            process.spawn(self.rewinder.act(process))
        elif random.random() < (0.15 if self.world.clients.workload.is_named else 0.03):
            process.spawn(self.rewinder.look_back(process))
        elif self.world.is_urgent and random.random() < 0.2:
            process.spawn(self.urging.act(process))
        elif random.random() < 0.08:
            process.spawn(self.batches.act(process, _is_helper))
        else:
            verb = random.choice(_VERBS)
            ids = self._find_victims(process, verb)
            if ids and not _is_helper(process, id_ := random.choice(ids)):
                process.spawn(self._do(process, id_, verb))

    def _find_victims(self, process: Process, verb: str) -> list[bytes]:
        """Whom it may hit: anybody, or those whom it hits worst."""
        random, disk = self.random, process.disk
        hits_worst = random.random() < 0.5
        if verb == "pause" and hits_worst:
            return [key[1:17] for key, _ in disk.scan(*keys.prefix_range(keys.LIVE))]
        if verb == "kill" and hits_worst:
            rows = disk.scan(*keys.prefix_range(keys.INVOCATION))
            callers = [decode_invocation(row).caller for _, row in rows]
            return [caller for caller in callers if caller is not None]
        if verb == "cancel" and hits_worst:
            held = self.world.ledger.sections.find_open()
            if held:
                return [parse_invocation_id(id_) for id_ in held]
        of_outcomes = 0.8 if verb in _PURGES else 0.3
        table = keys.OUTCOME if random.random() < of_outcomes else keys.INVOCATION
        ids = [key[1:17] for key, _ in disk.scan(*keys.prefix_range(table))]
        # Of what has just come to its end somebody may still be told, or ask again.
        return ids[-LATEST:] if verb in _PURGES and hits_worst else ids

    async def _edit(self, process: Process, key: str) -> None:
        """Write an object's state as it was read, provided that nobody has changed it since."""
        ledger = self.world.ledger
        try:
            seen = await process.runtime.wait_state(Cell, key)
            await process.runtime.set_state(Cell, key, dict(seen.values), version=seen.tag)
        except HoldfastError as error:
            ledger.count("an edit of state was refused")
            ledger.tell(f"operator: an edit of {key} was refused: {error.code}")
        else:
            ledger.count("state was edited")
            ledger.tell(f"operator: edited {key}")

    async def _rotate(self, process: Process, *, revoke: bool) -> None:
        """Have links signed with another key, and perhaps no other one count any more."""
        ledger, universe = self.world.ledger, self.world.universe
        began_us = universe.now_us
        if revoke:
            ledger.links.revoke(self.world.wall.now_ms())
        try:
            await process.runtime.rotate_link_keys(revoke=revoke)
        except HoldfastError as error:
            ledger.tell(f"operator: a rotation was refused: {error.code}")
            return
        ledger.count("the keys of links were rotated")
        ledger.tell(f"operator: rotated the keys of links, revoke {revoke}")
        if revoke:
            ledger.links.revoked(began_us, universe.now_us)

    def _start_again(self, order: Asked) -> None:
        """Start a workflow that was just forgotten, whose rows are there perhaps."""
        self.world.ledger.count("a forgotten workflow was started again")
        body = {"tag": order.tag, "ops": order.ops}
        ask = Ask("POST", f"/Flow/{order.key}/run/send", body, tag=order.tag)
        self.world.clients_loop.spawn(self._ask(ask))

    async def _look_for(self, handle: InvocationHandle[object]) -> None:
        """Look for what was just forgotten, here or from outside."""
        what = self.random.choice(LOOKS)
        if what in {"output", "attach"}:
            path = f"/restate/invocation/{handle.id}/{what}"
            self.world.clients_loop.spawn(self._ask(Ask("GET", path, names=handle.id)))
        else:
            await self.world.ledger.forgotten.look(handle, what)

    async def _ask(self, ask: Ask) -> None:
        with suppress(LostError):
            await self.world.network.ask(ask, 10)

    async def _resume_all(self) -> None:
        seconds = 2.0
        while True:
            await asyncio.sleep(seconds)
            seconds = min(seconds * 1.3, 600 if self.world.clients.are_done else 30)
            process = self.world.process
            if not process.is_serving:
                continue
            for key, row in list(process.disk.scan(*keys.prefix_range(keys.INVOCATION))):
                if decode_invocation(row).state is InvocationState.PAUSED:
                    self.world.ledger.count("a paused invocation was resumed")
                    process.spawn(self._do(process, key[1:17], "resume"))
            for id_ in self.rewinder.find_left(process):
                process.spawn(self._do(process, id_, "kill"))

    async def _do(self, process: Process, raw: bytes, verb: str) -> None:
        ledger = self.world.ledger
        id_ = format_invocation_id(InvocationId(raw))
        tag = self._tag_of(process, raw)
        if verb in {"cancel", "kill", "purge", "restart"}:
            ledger.touch(id_, tag, is_repeated=verb in {"purge", "restart"})
        if verb == "kill":
            ledger.kills.add(tag)
        if verb == "resume":
            ledger.resume(id_)
        resumed = ledger.resumed[id_]
        try:
            handle = process.runtime.invocation(id_)
            said = await _apply(handle, verb)
        except HoldfastError as error:
            ledger.tell(f"operator: {verb} {id_[-8:]} refused: {error.code}")
        else:
            ledger.count(f"operator: {verb}")
            ledger.tell(f"operator: {verb} {id_[-8:]}: {said!r:.60}")
            if said:
                await self._hear(process, id_, tag, verb, resumed)

    def _tag_of(self, process: Process, raw: bytes) -> str:
        id_ = format_invocation_id(InvocationId(raw))
        return self.world.ledger.ids.get(id_) or find_tag(process.disk.memory, raw)

    async def _hear(self, process: Process, id_: str, tag: str, verb: str, resumed: int) -> None:
        if verb == "pause":
            self.world.ledger.pause(id_, tag, resumed)
        else:
            await self._done(process, process.runtime.invocation(id_), tag, verb)

    async def _done(
        self, process: Process, handle: InvocationHandle[object], tag: str, verb: str
    ) -> None:
        """Something was done to an invocation, and that is known now."""
        ledger, now_us = self.world.ledger, self.world.universe.now_us
        match verb:
            case "kill":
                ledger.kill(tag)
            case "cancel":
                ledger.sections.tell(handle.id, now_us)
            case "purge" | "purge journal":
                ledger.forgotten.forget(handle.id, verb, now_us)
                order = ledger.orders.get(tag)
                if verb == "purge" and order is not None and order.kind == "Flow":
                    await ledger.forgotten.find(process.runtime, order.key, handle.id)
                    self._start_again(order)
                await self._look_for(handle)
            case _:
                pass


def _is_helper(process: Process, raw: bytes) -> bool:
    """Whether it only takes back, or tells, what another one did: that is to happen once."""
    row, outcome = process.disk.get(keys.INVOCATION + raw), process.disk.get(keys.OUTCOME + raw)
    if row is not None:
        return decode_invocation(row).target.handler in HELPERS
    return outcome is not None and decode_outcome(outcome).target.handler in HELPERS


def find_tag(rows: MemoryStore, raw: bytes) -> str:
    """The tag of the order that an invocation follows, by its argument, its result or its key."""
    row = rows.get(keys.journal(InvocationId(raw), 0))
    entry = None if row is None else codec.decode_entry(row)
    if isinstance(entry, Input):
        return _tag_of(entry.argument)
    outcome = rows.get(keys.OUTCOME + raw)
    if outcome is None:
        return ""
    record = decode_outcome(outcome)
    # Of a message that a turn has read nothing else is left.
    by_key = (record.idempotency_key or "").removeprefix("key-")
    return (_tag_of(record.result) if isinstance(record.result, bytes) else "") or by_key


def _tag_of(data: bytes) -> str:
    return str(json.loads(data).get("tag", "")) if data.startswith(b"{") else ""


async def _apply(handle: InvocationHandle[object], verb: str) -> object:
    match verb:
        case "cancel":
            return await handle.cancel("by the operator")
        case "kill":
            return await handle.kill("by the operator")
        case "pause":
            return await handle.pause()
        case "resume":
            return await handle.resume()
        case "purge":
            await handle.purge()
            return True
        case "purge journal":
            return await handle.purge_journal()
        case _:
            return await handle.restart()
