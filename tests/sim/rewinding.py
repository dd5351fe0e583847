"""Restarts from an entry, forks and looks at the past, and whether what comes of them fits.

An invocation that is restarted from an entry has a new id and follows the same order. What its
journal brings along must not be done again and must be seen again; its object is put back, so that
its lines are there once. A fork begins with a part of another object's log.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from holdfast import HoldfastError
from holdfast.journal import codec, keys
from holdfast.journal.entry import Completion, Input, Issued, Run
from holdfast.journal.records import decode_invocation, decode_outcome
from holdfast.objects.identity import InvocationId, format_invocation_id

from .actions import Outside
from .actors import BY_HANDLER, Cell

if TYPE_CHECKING:
    from .process import Process
    from .stored import Stored
    from .world import World

LOOKS_MAX = 5
"""So many moments are looked at, one after the other."""

_UNFIT = b'["saga","call"', BY_HANDLER.replace(" ", "").encode()
"""Such an order puts its id into an argument, so it takes another path after a restart."""


@dataclass(frozen=True, slots=True)
class Fork:
    """An object that begins as another one was."""

    key: str
    of: str
    tag: str
    """As the invocation of this order left it, or found it; empty: as it was then."""
    is_before: bool


@dataclass(frozen=True, slots=True)
class Restarted:
    """An invocation that began with a part of another one's journal."""

    id: str
    old_id: str
    tag: str
    key: str
    recorded: frozenset[str]
    """Paths of the steps whose results it began with."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an object held at a moment of the past, as somebody was told."""

    key: str
    id: str
    entry: int | None
    values: Mapping[str, Any]


class Rewinder:
    """Meddles with what is over."""

    def __init__(self, world: "World", random: Random) -> None:
        """Begin with nothing done."""
        self.world = world
        self.forks: list[Fork] = []
        self.restarted: list[Restarted] = []
        self.looks: list[Look] = []
        self._random = random
        self._number = 0
        self._seen: set[bytes] = set()

    @property
    def known(self) -> dict[str, Any]:
        """What was done and found so far."""
        return {name: getattr(self, name) for name in ("forks", "restarted", "looks", "_seen")}

    @known.setter
    def known(self, known: dict[str, Any]) -> None:
        for name, value in known.items():
            setattr(self, name, value)

    async def act(self, process: "Process") -> None:
        """Restart something from an entry, or fork an object."""
        random = self._random
        of_cells = self._find_of_cells(process)
        if not of_cells:
            return
        id_, key = random.choice(of_cells)
        try:
            if random.random() < 0.75:
                await self._restart(process, id_, key)
            else:
                await self._fork(process, id_, key)
        except HoldfastError as error:
            self.world.ledger.tell(f"operator: the past of {key} is refused: {error.code}")

    async def look_back(self, process: "Process") -> None:
        """Look at the past of objects, while it is forgotten perhaps."""
        found = self._find_of_cells(process)
        for id_, key in self._random.sample(found, min(LOOKS_MAX, len(found))):
            try:
                await self._look(process, id_, key)
            except HoldfastError as error:
                self.world.ledger.tell(f"operator: the past of {key} is not known: {error.code}")

    def _find_of_cells(self, process: "Process") -> list[tuple[InvocationId, str]]:
        """Those that have ended and had the turn of a cell, and its key."""
        rows = list(process.disk.scan(*keys.prefix_range(keys.OUTCOME)))
        return [
            (InvocationId(key[1:17]), target.key or "")
            for key, row in rows
            if (target := decode_outcome(row).target).service == "Cell" and target.handler == "run"
        ]

    def find_left(self, process: "Process") -> Iterator[bytes]:
        """Restarted ones that were seen before and are still open: what they wait for is over."""
        for key, row in list(process.disk.scan(*keys.prefix_range(keys.INVOCATION))):
            details = decode_invocation(row).details
            if details is not None and details.restarted_at:
                if key in self._seen:
                    yield key[1:17]
                self._seen.add(key)

    async def _restart(self, process: "Process", id_: InvocationId, key: str) -> None:
        ledger, random = self.world.ledger, self._random
        rows = [row for _, row in process.disk.scan(*keys.prefix_range(keys.JOURNAL + id_))]
        if len(rows) < 2 or any(each in rows[0].replace(b" ", b"") for each in _UNFIT):
            return
        if Outside.code == "after" and b'"patch"' in rows[0]:
            return  # It may have begun without the patch.
        entry = random.randrange(1, len(rows) + 1)
        entries = [codec.decode_entry(row) for row in rows[:entry]]
        if not isinstance(entries[0], Input):
            await self._restart_rest(process, id_)
            return
        tag = _find_tag(entries[0])
        self._number += 1
        fork = f"f{self._number}" if random.random() < 0.3 else None
        old_id = format_invocation_id(id_)
        ledger.touch(old_id, tag, is_repeated=False)
        (ledger.forked if fork else ledger.rewound).add(tag)
        ledger.put_back.add(f"Cell/{key}")
        new_id = await process.runtime.invocation(old_id).restart(from_entry=entry, fork=fork)
        ledger.count("restarted from an entry")
        ledger.tell(f"operator: {tag} is restarted from entry {entry} as {new_id[-8:]}")
        restarted = Restarted(new_id, old_id, tag, fork or key, _find_recorded(entries))
        self.restarted.append(restarted)
        ledger.forbid((new_id, path) for path in restarted.recorded)

    async def _restart_rest(self, process: "Process", id_: InvocationId) -> None:
        """What is left of a journal while it is deleted must not be taken for one."""
        ledger, old_id = self.world.ledger, format_invocation_id(id_)
        ledger.count("what was left of a journal was to be restarted")
        await process.runtime.invocation(old_id).restart(from_entry=1)
        ledger.violate(f"I11 {old_id} was restarted with a part of its journal")

    async def _fork(self, process: "Process", id_: InvocationId, key: str) -> None:
        ledger, random = self.world.ledger, self._random
        tag = ledger.ids.get(format_invocation_id(id_), "")
        at = format_invocation_id(id_) if tag and random.random() < 0.7 else None
        entry = 0 if at is not None and random.random() < 0.3 else None
        self._number += 1
        fork = Fork(f"f{self._number}", key, tag if at else "", entry is not None)
        self.forks.append(fork)
        await process.runtime.fork(Cell, key, to=fork.key, at=at, entry=entry)
        ledger.count("an object was forked")
        ledger.tell(f"operator: {key} is forked as {fork.key}")

    async def _look(self, process: "Process", id_: InvocationId, key: str) -> None:
        at = format_invocation_id(id_)
        entry = self._random.choice((None, 0, 1))
        values = await process.runtime.state(Cell, key, at=at, entry=entry)
        ledger = self.world.ledger
        ledger.count("the past was read")
        read = (self.world.universe.now_us, list(values.get("log", [])))
        ledger.reads.setdefault(f"Cell/{key}", []).append(read)
        self.looks.append(Look(key, at, entry, dict(values)))

    def judge(
        self,
        logs: dict[str, list[str]],
        results: dict[str, list[tuple[str, list[list[Any]]]]],
        stored: "Stored",
    ) -> Iterator[str]:
        """What is wrong in the end, by final logs and by the traces of those that succeeded."""
        for fork in self.forks:
            log, old = logs.get(f"Cell/{fork.key}", []), logs.get(f"Cell/{fork.of}", [])
            if not log or not old or f"Cell/{fork.of}" in self.world.ledger.put_back:
                continue  # Nobody knows of a fork whose reply was lost.
            if old[: len(log)] != log:
                yield f"I19 {fork.key} was forked of {fork.of} as that never was"
            places = [n for n, line in enumerate(old) if line.partition(" ")[0] == fork.tag]
            is_known = places and not self.world.ledger.is_repeated(fork.tag)
            if is_known and len(log) != (places[0] if fork.is_before else places[-1] + 1):
                yield f"I11 {fork.key} is not {fork.of} as {fork.tag} had it"
            elif is_known and not any(each.key == fork.key for each in self.restarted):
                yield from stored.compare_at(fork.tag, fork.key, is_before=fork.is_before)
        for look in self.looks:
            yield from self._judge_look(look, logs.get(f"Cell/{look.key}", []), stored)
        for each in self.restarted:
            traces = dict(results.get(each.tag, []))
            trace, before = traces.get(each.id), traces.get(each.old_id)
            if trace is not None:
                yield from self._judge_log(each, trace, logs.get(f"Cell/{each.key}", []))
            if trace is not None and before is not None:
                yield from _compare(each, trace, before)

    def _judge_look(self, look: Look, log: list[str], stored: "Stored") -> Iterator[str]:
        ledger = self.world.ledger
        tag = ledger.ids.get(look.id, "")
        places = [n for n, line in enumerate(log) if line.partition(" ")[0] == tag]
        is_sure = places and look.entry != 1 and not ledger.is_repeated(tag)
        if not is_sure or f"Cell/{look.key}" in ledger.put_back:
            return
        ledger.count("a moment of the past was compared")
        wanted = log[: places[0] if look.entry == 0 else places[-1] + 1]
        if list(look.values.get("log", [])) != wanted:
            yield f"I19 {look.key} was not as {tag} had it: {len(wanted)} lines"
        yield from stored.compare_with(tag, look.values, is_before=look.entry == 0)

    def _judge_log(self, each: Restarted, trace: list[list[Any]], log: list[str]) -> Iterator[str]:
        ledger = self.world.ledger
        number = sum(other.tag == each.tag for other in self.restarted)
        order = ledger.orders[each.tag]
        is_repeated = ledger.is_repeated(order.parent) or each.tag in ledger.repeated_tags
        if number > 1 or is_repeated or ledger.is_forgetful:
            return
        found = [line for line in log if line.partition(" ")[0] == each.tag]
        wanted = sum(count for _, kind, count in trace if kind == "note" and isinstance(count, int))
        if len(set(found)) != len(found) or len(found) != wanted:
            yield f"I11 {each.tag} was restarted, and wrote {len(found)} lines for {wanted}"


def _compare(each: Restarted, trace: list[list[Any]], old: list[list[Any]]) -> Iterator[str]:
    before = {path: got for path, kind, got in old if kind == "step"}
    for path, kind, got in trace:
        if kind == "step" and path in each.recorded and before.get(path, got) != got:
            yield f"I4 {each.tag} sees {got} at {path} after its restart, and had {before[path]}"


def _find_recorded(entries: list[Any]) -> frozenset[str]:
    """Paths of the steps whose results are among these entries."""
    names: dict[int, str] = {}
    done: set[str] = set()
    for index, entry in enumerate(entries):
        match entry:
            case Issued(Run(name)) if name.startswith("step "):
                names[index] = name.removeprefix("step ")
            case Completion(command) if command in names:
                done.add(names[command])
            case _:
                pass
    return frozenset(done)


def _find_tag(entry: Any) -> str:
    assert isinstance(entry, Input), "a journal without its input"
    return str(json.loads(entry.argument)["tag"])
