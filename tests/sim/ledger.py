"""What the world outside saw: every effect, every answer, and whether they fit together.

The ledger lives outside of the processes and outlives them. What must hold at a moment is checked
at that moment, and what must hold in the end by ``verdict``. A violation is kept, not raised.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast import StepInfo, TerminalError
from holdfast.objects.identity import parse_invocation_id

from .forgotten import Forgotten
from .links import Links
from .running import Running
from .sagas import Sagas
from .sections import Sections
from .universe import Universe

STORY_LINES_MAX = 5000
BEGINNING_US = 1000
"""So long after its intent is durable an action has begun."""


class Disk(Protocol):
    """What the ledger asks of the disk of the process that acts."""

    @property
    def has_failed(self) -> bool: ...
    def is_acceptance_durable(self, id_: bytes) -> bool: ...
    def is_completion_durable(self, id_: bytes) -> bool: ...


@dataclass(slots=True)
class Effect:
    """One execution of the action of a step."""

    id: str
    place: tuple[str, str]
    key: str
    tag: str
    options: dict[str, Any]

    @property
    def unknown(self) -> str:
        """What is to happen when its outcome is unknown."""
        return str(self.options.get("unknown", "retry"))

    @property
    def fails(self) -> int:
        """How often it fails at first."""
        return int(self.options.get("fails", 0))


@dataclass(slots=True, kw_only=True)
class Asked:
    """Something that a client asked for, or a handler."""

    tag: str
    kind: str
    key: str
    ops: list[list[Any]]
    parent: str = ""
    is_awaited: bool = False
    """Whether the parent calls it and waits for its outcome, however long that takes."""
    tries: int = 1
    """How often it may have been accepted: more than once without an idempotency key."""
    is_keyed: bool = False
    """Whether it has an idempotency key."""
    client: int = -1
    number: int = 0
    id: str = ""
    sent_us: int = 0
    acked_us: int = 0
    not_before_ms: int = 0
    mode: str = "queue"
    told: str = ""
    """Who is told how it ended, where a client has named somebody."""
    has_sections_below: bool = False
    """Whether an op below another one is a section, so that what is beside it goes on."""
    is_shielded: bool = False
    """Whether its caller's being told to end is none of its business."""
    ask: Any = None
    """The request that brings it, where a client sends it."""


@dataclass(slots=True)
class Ledger:
    """Everything that was seen outside of the processes."""

    universe: Universe
    get_disk: Callable[[], Disk]
    get_wall_ms: Callable[[], int]
    story: list[str] = field(default_factory=list[str])
    violations: list[str] = field(default_factory=list[str])
    counters: Counter[str] = field(default_factory=Counter[str])
    is_sealed: bool = False
    is_wall_steady: bool = True
    orders: dict[str, Asked] = field(default_factory=dict[str, Asked])
    """By tag."""
    ids: dict[str, str] = field(default_factory=dict[str, str])
    """Tags by invocation id."""
    touched: set[str] = field(default_factory=set[str])
    """Ids of invocations that an operator, or another handler, has cancelled, killed or purged."""
    touched_tags: set[str] = field(default_factory=set[str])
    repeated_tags: set[str] = field(default_factory=set[str])
    """Of those that an operator had done again, or forgotten, so that a client may do it."""
    interrupted: set[str] = field(default_factory=set[str])
    """Objects whose turns were interrupted; whoever had one may have ended early."""
    doubled: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Signals by id and name that may have come more than once, because an answer was lost."""
    reads: dict[str, list[tuple[int, list[str]]]] = field(default_factory=dict[str, Any])
    """What was read of the logs of objects, and when."""
    answers: dict[str, str] = field(default_factory=dict[str, str])
    """Outcomes by invocation id, as they left a process for the first time."""
    on_ask: Callable[[str, str, str, list[str], int], None] | None = None
    """Told what a handler wants completed: kind, invocation, name, values, after so many ms."""
    _fingerprint: Any = field(default_factory=hashlib.blake2b)
    _traces: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _begun: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _begun_us: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _answered_us: dict[str, int] = field(default_factory=dict[str, int])
    _raised: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _happened: dict[str, str] = field(default_factory=dict[str, str])
    _holders: dict[str, str] = field(default_factory=dict[str, str])
    rewound: set[str] = field(default_factory=set[str])
    """Tags of those that an operator may have restarted from an entry, at their key."""
    forked: set[str] = field(default_factory=set[str])
    """Tags of those that an operator may have restarted from an entry, at another key."""
    put_back: set[str] = field(default_factory=set[str])
    """Objects whose state may have been put back, so that it has been what it is not any more."""
    kills: set[str] = field(default_factory=set[str])
    """Tags of those that somebody has tried to kill."""
    killed: set[str] = field(default_factory=set[str])
    """Tags of invocations of which an operator has heard that they are killed."""
    paused: dict[str, int] = field(default_factory=dict[str, int])
    """When an operator has heard that an invocation is paused, by its id."""
    is_forgetful: bool = False
    """Whether a call may be done again although nobody has asked for that."""
    is_crowded: bool = False
    """Whether what has no key that counts may be forgotten before its time."""
    resumed: Counter[str] = field(default_factory=Counter[str])
    """How often somebody has asked for an invocation to be resumed."""
    _keys: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    _trips: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _asked: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    _links: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    running: Running = field(init=False)
    sagas: Sagas = field(init=False)
    sections: Sections = field(init=False)
    forgotten: Forgotten = field(init=False)
    links: Links = field(init=False)

    def __post_init__(self) -> None:
        """Have the parts tell this one."""
        self.running = Running(self.violate, self.count)
        self.sagas = Sagas(self.running, self.violate, self.count)
        self.sections = Sections(self.running, self.violate, self.count)
        self.forgotten = Forgotten(self.violate, self.count)
        self.links = Links(self.violate, self.count)

    def tell(self, text: str) -> None:
        """A line of the story, which is part of the fingerprint."""
        if self.is_sealed:
            return
        now_us = self.universe.now_us
        self._fingerprint.update(f"{now_us} {text}\n".encode())
        if len(self.story) < STORY_LINES_MAX:
            self.story.append(f"{now_us / 1_000_000:14.6f}  {text}")

    def count(self, name: str) -> None:
        """Something happened that should happen sometimes."""
        self.counters[name] += 1

    def violate(self, text: str) -> None:
        """A promise was broken."""
        if not self.is_sealed:
            self.violations.append(text)
            self.tell(f"VIOLATION {text}")

    @property
    def fingerprint(self) -> str:
        """Of all that was told so far."""
        return str(self._fingerprint.hexdigest()[:32])

    # -- Actions of steps -----------------------------------------------------------------------

    def begin(
        self, info: StepInfo, tag: str, path: str, seen: list[list[Any]], options: dict[str, Any]
    ) -> Effect:
        """An action begins, by a handler that has seen ``seen``."""
        id_ = info.invocation_id
        place = (id_, path)
        effect = Effect(id_, place, info.idempotency_key, tag, options)
        if self.is_sealed:
            return effect
        self.tell(f"step {tag} {path} begins, attempt {info.attempt}, {id_[-8:]}")
        self._begun[place] += 1
        self._begun_us.setdefault(place, self.universe.now_us)
        object_ = self._find_object(tag)
        self.running.begin(place, object_, info.details, self._may_overlap)
        if "saga" in options:
            self.sagas.do((id_, options["saga"]), options["number"], tag)
        self._check_told(effect)
        if place in self._seen:
            self.violate(f"I3 step {path} of {tag} runs again after its result was seen")
        self.check_trace(id_, tag, seen)
        order = self.orders.get(tag)
        self._check_alive(id_, tag)
        self._check_repetition(effect)
        if order is not None:
            self.name(id_, tag)
            if order.kind == "Cell" and tag not in self.forked:
                self._check_turn(id_, tag, f"{order.kind}/{order.key}")
            is_early = self.get_wall_ms() < order.not_before_ms
            # One that an operator has started again does not wait for its time again.
            if is_early and self.is_wall_steady and tag not in self.repeated_tags:
                self.violate(f"I9 {tag} runs before its time")
        if self._begun[place] > 1:
            self.count("a step began again")
        return effect

    def happen(self, effect: Effect) -> str:
        """The effect itself. Raises where the order says that it fails at first."""
        if self.is_sealed:
            return ""
        if self._raised[effect.place] < effect.fails:
            self._raised[effect.place] += 1
            self.count("an action raised")
            self.running.end(effect.place)
            message = "the outside is out of order"
            if self._raised[effect.place] == 3:
                raise TerminalError(message)
            raise OSError(message)
        if effect.key in self._happened:
            self.count("an effect happened twice")
        result = f"{effect.place[1]}/{self.universe.now_us}"
        self._happened[effect.key] = result
        return result

    def say(self, effect: Effect, number: int) -> str:
        """The action says how far it is."""
        return self.running.say(effect.place, f"{effect.tag} {number}")

    def count_slow(self, effect: Effect) -> int:
        """How often this action came to where it may be slow."""
        return self.running.count_slow(effect.place)

    def leave(self, effect: Effect) -> None:
        """The action ends because it was told to."""
        self.running.end(effect.place)
        self.count("an action was told to end")
        is_ending = self.running.is_ending or self.get_disk().has_failed
        if "section" in effect.options and not is_ending and not self.may_be_killed(effect.tag):
            self.sections.leave(effect.id, effect.tag, effect.options)
        self.tell(f"step {effect.tag} {effect.place[1]} is told to end")

    def end(self, effect: Effect, result: str) -> str:
        """The action returns."""
        if "section" in effect.options and not self.is_sealed:
            self.sections.end(effect.id, effect.options)
        self.running.end(effect.place)
        self.tell(f"step {effect.tag} {effect.place[1]} ends with {result}")
        return result

    def look_up(self, key: str) -> str | None:
        """What became of an effect."""
        self.count("a step was verified")
        return self._happened.get(key)

    def count_trips(self, id_: str, path: str) -> int:
        """How often an attempt came there."""
        self._trips[id_, path] += 1
        return self._trips[id_, path]

    def ask(self, kind: str, id_: str, name: str, values: list[str], ms: int) -> None:
        """A handler asks the outside to complete something; asked again, it is the same."""
        if self.is_sealed or (kind, id_, name) in self._asked:
            return
        place = id_, values[0]
        if kind == "link":
            self.links.ask(name, self.universe.now_us)
            # One that is made in the millisecond of a revocation may be another one.
            is_other = self._links.setdefault(place, name) != name
            if is_other and not self.links.may_be_revoked(id_):
                self.violate(f"I4 {values[0]} has the link {name} after {self._links[place]}")
        self._check_alive(id_, f"{self.ids.get(id_, id_)} who asks for {kind} {name}")
        self._asked.add((kind, id_, name))
        self.tell(f"{kind} {name} is asked for: {values}")
        if self.on_ask is not None:
            self.on_ask(kind, id_, name, values, ms)

    def touch(self, id_: str, tag: str, *, is_repeated: bool) -> None:
        """Somebody is about to cancel, kill, restart or purge an invocation."""
        self.touched.add(id_)
        self.touched_tags.add(tag)
        if is_repeated:
            self.repeated_tags.add(tag)

    def kill(self, tag: str) -> None:
        """Somebody hears that an invocation is killed, and with it all that it waited for."""
        self.killed.add(tag)

    def pause(self, id_: str, tag: str, resumed: int) -> None:
        """Somebody hears that an invocation is paused, which had been resumed so often then."""
        self.name(id_, tag)  # It may be killed with its caller before it has ever acted.
        if self.resumed[id_] == resumed:
            self.paused[id_] = self.universe.now_us

    def may_be_killed(self, tag: str) -> bool:
        """Whether somebody has tried to kill it, or one of those it is for."""
        while tag:
            if tag in self.kills:
                return True
            order = self.orders.get(tag)
            tag = "" if order is None else order.parent
        return False

    def resume(self, id_: str) -> None:
        """Somebody is about to resume an invocation."""
        self.resumed[id_] += 1
        self.paused.pop(id_, None)

    def is_touched(self, tag: str) -> bool:
        """Whether anybody has cancelled, killed or restarted it, or one of those it is for."""
        while tag:
            if tag in self.touched_tags:
                return True
            order = self.orders.get(tag)
            if order is not None:
                is_interrupted = f"{order.kind}/{order.key}" in self.interrupted
                if is_interrupted or order.id in self.touched:
                    return True
            tag = "" if order is None else order.parent
        return False

    def forbid(self, places: Iterable[tuple[str, str]]) -> None:
        """Steps whose results an invocation begins with, so that they must not run in it."""
        self._seen.update(places)

    def find_id(self, number: int) -> str:
        """The id of some invocation that a client has heard of; empty if there is none."""
        known = [order.id for order in self.orders.values() if order.id]
        return known[number % len(known)] if known else ""

    def find_begun(self, id_: str, path: str) -> int | None:
        """When the action of a step began first; ``None``: it did not."""
        return self._begun_us.get((id_, path))

    def find_answered(self, before_us: int) -> list[str]:
        """Those whose outcome had left a process before that."""
        return [id_ for id_, at_us in self._answered_us.items() if at_us < before_us]

    def _find_object(self, tag: str) -> str:
        """Where an order is followed; what has no key is at no other's place."""
        order = self.orders.get(tag)
        is_there = order is not None and order.kind == "Cell" and tag not in self.forked
        return f"Cell/{order.key}" if order is not None and is_there else tag

    def _may_overlap(self, id_: str) -> bool:
        """Whether nobody waits for the actions of an invocation, because it may be killed."""
        return id_ in self.touched or self.is_touched(self.ids.get(id_, ""))

    def is_repeated(self, tag: str) -> bool:
        """Whether it may have been done again, or one of those it is for."""
        while tag:
            order = self.orders.get(tag)
            # The key of an errand is forgotten sooner than some clients ask again.
            is_again = order is not None and order.kind == "Errand" and order.client >= 0
            is_again = is_again or tag in self.rewound or tag in self.forked
            if is_again or tag in self.repeated_tags or self.is_forgetful:
                return True
            tag = "" if order is None else order.parent
        return False

    # -- Checks ---------------------------------------------------------------------------------

    def name(self, id_: str, tag: str) -> None:
        """Remember which order an invocation follows."""
        if self.ids.setdefault(id_, tag) != tag:
            self.violate(f"I1 {id_} follows {tag} after {self.ids[id_]}")

    def check_trace(self, id_: str, tag: str, seen: list[list[Any]]) -> None:
        """What a handler has seen must continue what it had seen before, or be a part of that."""
        trace = [json.dumps(each, sort_keys=True) for each in seen]
        known = self._traces.get(id_, [])
        both = min(len(known), len(trace))
        for number in range(both):
            if known[number] != trace[number]:
                self.violate(
                    f"I4 {tag} saw {trace[number]:.200} where it had seen {known[number]:.200}"
                )
                return
        if len(trace) > len(known):
            self._traces[id_] = trace
            for path, kind, _ in seen[len(known) :]:
                if kind == "step":
                    self._seen.add((id_, path))

    def _check_repetition(self, effect: Effect) -> None:
        """Whether an action may begin again, if it does, by what its step says of that."""
        place, key = effect.place, effect.key
        step = f"step {place[1]} of {effect.tag}"
        again = self._begun[place] - self._raised[place] - 1
        if self._keys.setdefault(place, key) != key:
            self.violate(f"I3 {step} has another idempotency key than before")
        if effect.unknown == "fail" and again > 0:
            self.violate(f"I3 {step} may not run again, its outcome being unknown")
        if effect.unknown == "pause" and again > self.resumed[effect.id]:
            self.violate(f"I3 {step} runs again, and nobody has said that it may")
        if effect.unknown == "verify" and key in self._happened:
            self.violate(f"I3 {step} runs again, although it has happened")

    def _check_told(self, effect: Effect) -> None:
        """Whether one that was told to end only ends its sections, and cleans up."""
        id_, tag = effect.id, effect.tag
        order = self.orders.get(tag)
        if "section" in effect.options:
            self.sections.begin(id_, tag, effect.options, is_told=self.is_touched(tag))
            return
        # An action that was decided before begins with what the cancellation is durable with.
        is_told = self.sections.is_told(id_, self.universe.now_us - BEGINNING_US)
        if is_told and order is not None and not order.has_sections_below:
            self.violate(f"I17 {tag} acts at {effect.place[1]} after it was told to end")

    def _check_alive(self, id_: str, tag: str) -> None:
        if id_ in self.answers:
            self.violate(f"I2 {tag} acts after its outcome was answered")
        disk, raw = self.get_disk(), parse_invocation_id(id_)
        if not disk.is_acceptance_durable(raw):
            self.violate(f"I12 {tag} acts before its acceptance is durable")
        if disk.is_completion_durable(raw):
            self.violate(f"I2 {tag} acts after its completion is durable")
        # An action that was decided before the pause begins with what that was durable with.
        paused_us = self.paused.get(id_, self.universe.now_us)
        if self.universe.now_us > paused_us + BEGINNING_US and not self.is_touched(tag):
            self.violate(f"I17 {tag} acts while it is paused")
        order = self.orders.get(tag)
        is_killed = order is not None and order.is_awaited and order.parent in self.killed
        if is_killed and not self.is_repeated(tag):
            self.violate(f"I17 {tag} acts after its caller was killed")

    def _check_turn(self, id_: str, tag: str, object_: str) -> None:
        holder = self._holders.get(object_, id_)
        if holder != id_ and not self._is_over(holder):
            other = self.ids.get(holder, holder)
            self.violate(f"I5 {tag} acts at {object_} while {other} has the turn")
        self._holders[object_] = id_

    def _is_over(self, id_: str) -> bool:
        return self.get_disk().is_completion_durable(parse_invocation_id(id_))

    def answer(self, id_: str, outcome: str) -> None:
        """The outcome of an invocation leaves a process."""
        if not self.get_disk().is_completion_durable(parse_invocation_id(id_)):
            self.violate(
                f"I12 the outcome of {self.ids.get(id_, id_)} is told before it is durable"
            )
        is_touched = id_ in self.touched or self.is_touched(self.ids.get(id_, ""))
        if id_ in self.paused and not is_touched:
            self.violate(f"I17 {self.ids.get(id_, id_)} has ended while it is paused")
        self._answered_us.setdefault(id_, self.universe.now_us)
        first = self.answers.setdefault(id_, outcome)
        if first != outcome:
            self.violate(
                f"I2 {self.ids.get(id_, id_)} ended with {outcome:.200} after {first:.200}"
            )

    def accept(self, id_: str) -> None:
        """The acceptance of an invocation leaves a process."""
        if not self.get_disk().is_acceptance_durable(parse_invocation_id(id_)):
            self.violate(f"I12 the acceptance of {id_} is told before it is durable")
