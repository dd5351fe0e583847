"""Interrupts, messages and plain calls in mixed order, by handlers and in bursts of an operator.

Some worlds have many of them. What is known of each, whoever was canceled meanwhile: who is told to
end by an interrupt ends because of a call that interrupts at that key; the next turn there is one
of those that interrupt; of those that came in a known order the interrupting ones go first, then
the others, each in the order in which they came; and what was sent is run, or read, once.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast import HoldfastError, RuntimeClosedError, StoreFailedError
from holdfast.objects.call_options import CallOptions, Mode
from holdfast.objects.identity import Target
from holdfast.runtime.requests import request_of

from .clients import note_children
from .ledger import Asked
from .workload import KEYS, Workload, has_sections_below, walk

if TYPE_CHECKING:
    from .process import Process
    from .verdict import Judge
    from .world import World

BURST_MAX: Final = 7
_MODES: Final[tuple[Mode, ...]] = ("interrupt", "steer", "queue")
_INTERRUPTED: Final = " was canceled: interrupted by "
_BY_CALLER: Final = " was canceled: its caller "


@dataclass(slots=True)
class _Burst:
    """Calls of one key that were decided in this order, with nothing between them."""

    key: str
    tags: list[str] = field(default_factory=list[str])
    refused: set[str] = field(default_factory=set[str])


class Urging:
    """Who urges in one world."""

    def __init__(self, world: "World", random: Random) -> None:
        """Nobody was urged yet."""
        self._world = world
        self._random = random
        self._workload = Workload(random, is_long=False)
        self._bursts: list[_Burst] = []

    @property
    def known(self) -> dict[str, Any]:
        """What was sent so far."""
        return {"bursts": self._bursts}

    @known.setter
    def known(self, known: dict[str, Any]) -> None:
        self._bursts = known["bursts"]

    async def act(self, process: "Process") -> None:
        """Send a few to one key, all in one moment."""
        random, ledger, runtime = self._random, self._world.ledger, process.runtime
        burst = _Burst(random.choice(KEYS))
        made: list[tuple[Asked, Any]] = []
        for _ in range(random.randrange(2, BURST_MAX)):
            order = self._workload.draw_order("u", burst.key, 2)
            mode = random.choice(_MODES)
            asked = Asked(
                tag=order["tag"],
                kind="Cell",
                key=burst.key,
                ops=order["ops"],
                mode=mode,
                has_sections_below=has_sections_below(order["ops"]),
            )
            note_children(ledger, self._workload)
            argument = msgspec.json.encode(order)
            target = Target("Cell", burst.key, "run")
            try:
                told = runtime.submit(
                    request_of(target, argument, CallOptions(mode=mode)), wait=False
                )
            except HoldfastError as error:
                ledger.tell(f"operator: a burst is refused: {error.code}")
                break
            ledger.orders[asked.tag] = asked
            ledger.count(f"sent in a burst to {mode}")
            ledger.tell(f"operator: {asked.tag} is to {mode} at {burst.key}")
            if mode == "interrupt":
                ledger.interrupted.add(f"Cell/{burst.key}")
            burst.tags.append(asked.tag)
            made.append((asked, told))
        self._bursts.append(burst)
        for asked, told in made:
            try:
                answer = await told
            except (RuntimeClosedError, StoreFailedError):
                continue
            except HoldfastError as error:
                ledger.tell(f"operator: {asked.tag} is refused: {error.code}")
                burst.refused.add(asked.tag)
            else:
                asked.id = answer.invocation_id
                asked.acked_us = self._world.universe.now_us
                ledger.name(asked.id, asked.tag)
                ledger.accept(asked.id)

    def judge(self, judge: "Judge", places: Mapping[str, int]) -> Iterator[str]:
        """What is wrong in the end."""
        ids = {order.id: tag for tag, order in self._world.ledger.orders.items() if order.id}
        for burst in self._bursts:
            for tag in burst.refused:
                if tag in places:
                    yield f"I10 {tag} was refused, and ran"
            yield from self._judge_burst(burst, places)
        for id_, failure in judge.failures.items():
            if _INTERRUPTED in failure.message and _BY_CALLER not in failure.message:
                by = failure.message.partition(_INTERRUPTED)[2]
                yield from self._judge_victim(judge, id_, by, {**ids, **self._world.ledger.ids})
        yield from self._judge_sent(judge, places)

    def _judge_burst(self, burst: _Burst, places: Mapping[str, int]) -> Iterator[str]:
        ledger = self._world.ledger
        if f"Cell/{burst.key}" in ledger.put_back:
            return
        # The first of them may have found nobody, and so have begun.
        known = [tag for tag in burst.tags[1:] if tag in places and self._is_left_alone(tag)]
        for number, tag in enumerate(known):
            for later in known[number + 1 :]:
                is_first = not self._is_urgent(later) or self._is_urgent(tag)
                if (places[tag] < places[later]) != is_first:
                    ahead = tag if places[tag] < places[later] else later
                    yield f"I5 of {tag} and {later}, which came in this order, {ahead} ran first"

    def _judge_victim(
        self, judge: "Judge", id_: str, by: str, tags: Mapping[str, str]
    ) -> Iterator[str]:
        ledger = self._world.ledger
        victim, other = ledger.orders.get(tags.get(id_, "")), ledger.orders.get(tags.get(by, ""))
        ledger.count("a turn was interrupted")
        if victim is None or other is None:
            return
        if other.mode != "interrupt" or (other.kind, other.key) != (victim.kind, victim.key):
            yield f"I17 {victim.tag} was interrupted by {other.tag}, which does no such thing"
        object_ = f"Cell/{victim.key}"
        log = [line.partition(" ")[0] for line in judge.logs.get(object_, [])]
        if victim.tag not in log or object_ in ledger.put_back or ledger.is_repeated(victim.tag):
            return
        rest = log[len(log) - log[::-1].index(victim.tag) :]
        urgent = [
            order.tag
            for order in ledger.orders.values()
            if order.key == victim.key and order.mode == "interrupt"
        ]
        is_known = all(self._is_left_alone(tag) for tag in urgent)
        if is_known and rest and not self._is_urgent(rest[0]):
            yield f"I5 {victim.tag} was interrupted by {other.tag}, and {rest[0]} went next"

    def _judge_sent(self, judge: "Judge", places: Mapping[str, int]) -> Iterator[str]:
        """Whether what handlers have sent in any mode was run, or read, once."""
        ledger = self._world.ledger
        readers: dict[str, list[str]] = defaultdict(list)
        for tag, found in judge.results.items():
            for _, trace in found[:1]:
                for read in _read_by(trace):
                    readers[read].append(tag)
        for tag, found in judge.results.items():
            ops = dict(walk(ledger.orders[tag].ops))
            for path, kind, got in (line for _, trace in found[:1] for line in trace):
                if kind == "urge" and isinstance(got, str):
                    child: str = ops[path][2]["tag"]
                    yield from self._judge_one(judge, got, child, readers[child], places)

    def _judge_one(
        self,
        judge: "Judge",
        id_: str,
        tag: str,
        readers: Sequence[str],
        places: Mapping[str, int],
    ) -> Iterator[str]:
        ledger = self._world.ledger
        if ledger.is_repeated(tag) or id_ in ledger.touched:
            return
        is_read = id_ in judge.read_ids
        if len(readers) > 1 or (tag in places and (is_read or readers)):
            yield f"I10 {tag} was read by {readers}, and ran: {tag in places}"
        is_short = ledger.is_forgetful or ledger.is_crowded or not ledger.is_wall_steady
        if id_ not in judge.kept_ids and not is_short:
            yield f"I10 {tag} was sent as {id_}, and is gone"
        if is_read and ledger.orders[tag].mode != "steer":
            yield f"I10 {tag} was read, and is no message"

    def _is_urgent(self, tag: str) -> bool:
        order = self._world.ledger.orders.get(tag)
        return order is not None and order.mode == "interrupt"

    def _is_left_alone(self, tag: str) -> bool:
        """Whether nobody but an interrupt has meddled with it, or with those it is for."""
        ledger = self._world.ledger
        while tag:
            order = ledger.orders.get(tag)
            if tag in ledger.touched_tags or (order is not None and order.id in ledger.touched):
                return False
            if ledger.is_repeated(tag):
                return False
            tag = "" if order is None else order.parent
        return True


def _read_by(trace: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The tags of the messages that a turn has read."""
    for _, kind, got in trace:
        if kind == "inbox" and isinstance(got, str):
            yield got
        elif kind == "drain" and isinstance(got, dict):
            yield from got["drained"]
