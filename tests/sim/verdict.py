"""What must hold in the end: every order has left the marks that it should, once, and in order."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.journal import keys
from holdfast.journal.entry import Failure
from holdfast.journal.records import decode_invocation, decode_outcome
from holdfast.objects.identity import InvocationId, format_invocation_id, parse_invocation_id
from holdfast.runtime.verify import verify_rows

from .actors import DESK, HOOKS, OF_STUMBLING, Cell, Desk, Flow, wanted_signals
from .ledger import Asked
from .network import Ask, LostError
from .operators import find_tag
from .stored import Stored
from .workload import KEYS, walk

if TYPE_CHECKING:
    from .world import World

_SHOWN_MAX = 3
_CANCELED = 409
_BY_CALLER = " was canceled: its caller "


class Judge:
    """Looks at one world that has come to rest."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.ledger = world.ledger
        self.logs: dict[str, list[str]] = {}
        """Final logs by object, ``Cell/a``."""
        self.states: dict[str, Mapping[str, Any]] = {}
        """What the same objects hold in all."""
        self.results: dict[str, list[tuple[str, list[list[Any]]]]] = defaultdict(list)
        """Ids and traces of those that succeeded, by tag."""

        self.given_up: set[tuple[str, str]] = set()
        """Sagas in which an errand stumbled until nobody tried again."""
        self.forks: dict[str, list[str]] = {}
        """Final logs of objects that were begun by an operator."""
        self.delivered: list[str] = []
        """Webhooks that were handled."""
        self.heard: list[str] = []
        """Of whom the desk was told that they have ended."""
        self.failures: dict[str, Failure] = {}
        """Of those that failed, by id."""
        self.kept_ids: set[str] = set()
        """Of all that have ended and are kept."""
        self.read_ids: set[str] = set()
        """Messages that a turn has read, so that they never ran."""

    def judge(self) -> None:
        """Tell the ledger of all that is wrong."""
        self._check_open()
        if self.ledger.violations:
            return
        disk = self.world.process.disk
        for problem in verify_rows(disk.memory, epoch=disk.epoch)[:_SHOWN_MAX]:
            self.ledger.violate(f"I11 rows: {problem:.300}")
        self._probe()
        self._read_results()
        self._check_kept()
        places = self._check_logs()
        for tag, found in self.results.items():
            for id_, trace in found:
                self._check_success(tag, id_, trace, places)
        self._check_order(places)
        self._check_messages(places)
        for problem in self.world.operator.urging.judge(self, places):
            self.ledger.violate(problem)
        self._check_sagas()
        self._check_sections()
        self._check_told()
        self._check_told_of_clients()
        for problem in self.world.otherwise.judge(places):
            self.ledger.violate(problem)
        for problem in self.world.watching.judge(self.states):
            self.ledger.violate(problem)
        self._check_doors()
        stored = Stored(self)
        for problem in stored.judge():
            self.ledger.violate(problem)
        rewinder = self.world.operator.rewinder
        for problem in rewinder.judge({**self.logs, **self.forks}, self.results, stored):
            self.ledger.violate(problem)

    def _check_doors(self) -> None:
        """I1, I8, I10, I18: what came by other doors than those of calls is there, once."""
        if self.world.backup is not None:
            return  # It was asked for elsewhere.
        problems = (*self.world.rivals.judge(), *self.world.deliveries.judge(self.delivered))
        for problem in problems:
            self.ledger.violate(problem)

    def _check_open(self) -> None:
        scan = self.world.rows.scan(*keys.prefix_range(keys.INVOCATION))
        for key, row in [*scan][:_SHOWN_MAX]:
            record = decode_invocation(row)
            id_ = format_invocation_id(InvocationId(key[1:17]))
            self.ledger.violate(
                f"I15 {record.target} {self.ledger.ids.get(id_, id_)} is {record.state.name}"
            )

    def _probe(self) -> None:
        """Call every object once more, and read all of them."""
        world = self.world
        done = world.clients_loop.spawn(self._probe_all())
        for _ in range(200_000):
            if done.done() or not world.universe.step():
                break
        # What a client asked for again, because it was forgotten meanwhile, ends as well.
        for _ in range(20_000):
            if world.is_at_rest or not world.universe.step():
                break
        if not done.done():
            self.ledger.violate("I17 an object does not answer any more")
        elif done.exception() is not None:
            self.ledger.violate(f"I17 an object does not answer: {done.exception()!r:.300}")

    async def _probe_all(self) -> None:
        world = self.world
        objects = [("Cell", key) for key in KEYS]
        objects += [
            ("Flow", order.key) for order in self.ledger.orders.values() if order.kind == "Flow"
        ]
        for kind, key in objects:
            if kind == "Cell":
                order: dict[str, Any] = {"tag": f"probe.{key}", "ops": []}
                response = await self._ask(Ask("POST", f"/{kind}/{key}/run", order))
                if response.status != 200:
                    self.ledger.violate(f"I17 {kind}/{key} answers {response.status}")
            state = await _state_of(world, Cell if kind == "Cell" else Flow, key)
            self.logs[f"{kind}/{key}"] = list(state.get("log", []))
            self.states[f"{kind}/{key}"] = state
        rewinder = world.operator.rewinder
        new = {fork.key for fork in rewinder.forks} | {each.key for each in rewinder.restarted}
        for key in sorted(new - set(KEYS)):
            state = await _state_of(world, Cell, key)
            self.forks[f"Cell/{key}"] = list(state.get("log", []))
            self.states[f"Cell/{key}"] = state
        heard = await _state_of(world, Desk, DESK)
        self.heard = list(heard.get("heard", []))
        hooked = await _state_of(world, Desk, HOOKS)
        self.delivered = list(hooked.get("hooked", []))

    async def _ask(self, ask: Ask) -> Any:
        for _ in range(20):
            try:
                return await self.world.network.ask(ask, 10_000)
            except LostError:
                continue
        message = f"{ask.path} is never answered"
        raise AssertionError(message)

    def _read_results(self) -> None:
        for key, row in self.world.rows.scan(*keys.prefix_range(keys.OUTCOME)):
            outcome = decode_outcome(row)
            self.kept_ids.add(format_invocation_id(InvocationId(key[1:17])))
            if isinstance(outcome.result, Failure):
                self.failures[format_invocation_id(InvocationId(key[1:17]))] = outcome.result
                _, stumbled, path = outcome.result.message.partition(OF_STUMBLING)
                if stumbled:
                    self.given_up.add((format_invocation_id(InvocationId(key[1:17])), path))
            if outcome.result is None or isinstance(outcome.result, Failure):
                continue
            if outcome.target.handler != "run":
                continue
            if outcome.result == b"null":
                self.read_ids.add(format_invocation_id(InvocationId(key[1:17])))
                self.ledger.count("a message was read by a turn")
                continue
            result: Any = json.loads(outcome.result)
            if not result["tag"].startswith("probe"):
                id_ = format_invocation_id(InvocationId(key[1:17]))
                self.results[result["tag"]].append((id_, result["trace"]))

    def _check_kept(self) -> None:
        """I1, I8: what was accepted is there, and is one invocation."""
        for problem in self.ledger.forgotten.judge(self.world.rows):
            self.ledger.violate(problem)
        if not self.ledger.is_wall_steady or self.ledger.is_forgetful:
            return
        for order in self.ledger.orders.values():
            if self.ledger.is_crowded and not order.is_keyed:
                continue
            if not order.id or self.ledger.is_touched(order.tag) or order.kind == "Errand":
                continue
            if self.world.process.disk.get(keys.OUTCOME + parse_invocation_id(order.id)) is None:
                self.ledger.violate(f"I1 {order.tag} was accepted as {order.id} and is gone")
            for id_, _ in self.results.get(order.tag, []):
                if id_ != order.id:
                    self.ledger.violate(f"I8 {order.tag} is {order.id} and {id_}")

    def _check_logs(self) -> dict[str, int]:
        """I5, I10, I11: lines come once, and those of one turn in one go; gives first places."""
        places: dict[str, int] = {}
        for object_, log in self.logs.items():
            seen: set[str] = set()
            last = ""
            for place, line in enumerate(log):
                tag = line.partition(" ")[0]
                if line in seen and not self.ledger.is_repeated(tag):
                    self.ledger.violate(f"I10 {object_} holds {line!r} twice")
                if tag != last and tag in places and not self.ledger.is_repeated(tag):
                    self.ledger.violate(f"I5 {object_}: {tag} was interrupted by {last}")
                order = self.ledger.orders.get(tag)
                if order is None or f"{order.kind}/{order.key}" != object_:
                    self.ledger.violate(f"I10 {object_} holds {line!r} of nobody's order")
                seen.add(line)
                places.setdefault(tag, place)
                last = tag
            for before, read in self.ledger.reads.get(object_, []):
                if log[: len(read)] != read and object_ not in self.ledger.put_back:
                    self.ledger.violate(f"I19 {object_} was read at {before} as what it never was")
        return places

    def _check_success(
        self, tag: str, id_: str, trace: list[list[Any]], places: dict[str, int]
    ) -> None:
        """I4, I10, I11, I18: what an invocation that succeeded has seen is what there is."""
        ledger = self.ledger
        order = ledger.orders[tag]
        if len(self.results[tag]) > 1 and not self.ledger.is_repeated(tag):
            ledger.violate(f"I8 {tag} was done {len(self.results[tag])} times")
        ledger.check_trace(id_, tag, trace)
        if self.ledger.is_touched(tag) or (order.kind == "Flow" and self.ledger.is_forgetful):
            return
        log = self.logs.get(f"{order.kind}/{order.key}", [])
        wanted = [
            f"{tag} {path} {number}"
            for path, kind, count in trace
            if kind == "note" and isinstance(count, int)
            for number in range(count)
        ]
        start = places.get(tag, 0)
        if order.kind != "Errand" and log[start : start + len(wanted)] != wanted:
            ledger.violate(f"I11 {tag} wrote {wanted[:5]} and {len(wanted)} lines are not there")
        ops = dict(walk(order.ops))
        for path, kind, got in trace:
            self._check_op(tag, id_, path, kind, got, ops[path], places)

    def _check_op(  # noqa: C901, PLR0913, PLR0917  # one op, from all sides
        self,
        tag: str,
        id_: str,
        path: str,
        kind: str,
        got: Any,
        op: list[Any],
        places: dict[str, int],
    ) -> None:
        ledger = self.ledger
        if kind in {"call", "send", "attach", "keep", "seize"}:
            failed = is_failure(got)
            child = op[2]["tag"]
            if not failed and child not in places and not self.ledger.is_touched(child):
                ledger.violate(f"I10 {child}, a {kind} of {tag}, has left no mark")
        elif kind == "serve" and not is_failure(got) and got != op[1]["tag"]:
            ledger.violate(f"I2 {tag} was answered by {got} and not by {op[1]['tag']}")
        elif kind == "join" and len(got) == 2 and ledger.ids.get(got[0]) != got[1]:
            ledger.violate(f"I2 {tag} heard of {got[0]} what {got[1]} had to tell")
        elif kind == "awake" and isinstance(got, str):
            no = "no " if op[3].startswith("no") else ""
            if got != f"{no}{tag} {path}":
                ledger.violate(f"I18 {tag} was woken with {got!r}")
        elif kind == "promise" and isinstance(got, str):
            no = "no " if op[2] else ""
            if got != f"{no}{tag} {path}":
                ledger.violate(f"I18 {tag} was promised {got!r}")
        elif kind == "hear" and got != ["TimeoutError"]:
            wanted = wanted_signals(tag, path, op[1])
            is_doubled = (id_, f"s{path}") in ledger.doubled
            if got != wanted and not (is_doubled and _is_stuttered(got, wanted)):
                ledger.violate(f"I18 {tag} heard {got} and not {wanted}")
        elif kind == "sleep" and ledger.is_wall_steady and not is_failure(got):
            times: list[Any] = list(got)
            if times[1] - times[0] < op[1] / 1000 - 0.0015:
                ledger.violate(f"I9 {tag} slept {times[1] - times[0]} seconds and not {op[1]} ms")

    def _check_messages(self, places: dict[str, int]) -> None:
        """I10: a message for a turn was read by one turn, or ran by itself, and not both."""
        readers = [
            got
            for found in self.results.values()
            for _, trace in found[:1]
            for _, kind, got in trace
            if kind == "inbox" and isinstance(got, str)
        ]
        for found in self.results.values():
            for _, trace in found[:1]:
                for _, kind, got in trace:
                    if kind == "drain" and not is_failure(got):
                        drained: list[str] = list(got["drained"])
                        readers += drained
                        self.ledger.counters["a message was read by draining"] += len(drained)
        for order in self.ledger.orders.values():
            if order.mode != "steer" or self.ledger.is_repeated(order.tag):
                continue
            is_read = order.id in self.read_ids
            if readers.count(order.tag) > 1:
                self.ledger.violate(f"I10 the message {order.tag} was read twice")
            if order.tag in places and (is_read or order.tag in readers):
                self.ledger.violate(f"I10 the message {order.tag} was read, and ran as well")

    def _check_sagas(self) -> None:
        """I10: the effects of a saga stand, or all of them were taken back."""
        traces = {id_: trace for found in self.results.values() for id_, trace in found}
        for place in self.ledger.sagas:
            id_, at = place
            tag = self.ledger.ids.get(id_, "")
            is_again = tag in self.ledger.repeated_tags | self.ledger.rewound | self.ledger.forked
            if self.ledger.may_be_killed(tag) or is_again:
                continue
            said = [got for path, _, got in traces.get(id_, []) if path == at]
            stood = isinstance(said[0], int) if said else None
            if place in self.given_up:
                stood = False
            for problem in self.ledger.sagas.judge(place, stood=stood):
                self.ledger.violate(problem)

    def _check_sections(self) -> None:
        """I17: a cancellation is held back to the end of a section, and is the outcome then."""
        ledger = self.ledger
        for place in ledger.sections:
            tag = ledger.ids.get(place[0], "")
            is_again = tag in ledger.repeated_tags | ledger.rewound | ledger.forked
            if not ledger.may_be_killed(tag) and not is_again:
                for problem in ledger.sections.judge(place):
                    ledger.violate(problem)
        for id_ in sorted(ledger.sections.held):
            failure = self.failures.get(id_)
            is_kept = self.world.rows.get(keys.OUTCOME + parse_invocation_id(id_)) is not None
            if is_kept and (failure is None or failure.status_code != _CANCELED):
                ledger.violate(f"I17 {id_} was told to end in a section, and ended with {failure}")
        for id_, failure in self.failures.items():
            if _BY_CALLER in failure.message:
                tag = ledger.ids.get(id_) or find_tag(self.world.rows, parse_invocation_id(id_))
                order = ledger.orders.get(tag)
                if order is not None and order.is_shielded:
                    ledger.violate(f"I17 {tag} was told to end by its caller, which shields it")

    def _check_told(self) -> None:
        """I10: whoever is to be told how an invocation has ended was told so once."""
        self.ledger.counters["an outcome was told to a handler"] += len(self.heard)
        told = set(self.heard)
        if len(told) != len(self.heard):
            self.ledger.violate("I10 the desk was told twice how an invocation has ended")
        hooks = self.world.hooks
        for problem in hooks.judge():
            self.ledger.violate(problem)
        for tag, found in self.results.items():
            ops = dict(walk(self.ledger.orders[tag].ops))
            for _, trace in found:
                for path, kind, got in trace:
                    if kind != "send" or not isinstance(got, str):
                        continue
                    is_told = hooks.is_over(got) if ops[path][4] else got in told
                    if not is_told:
                        self.ledger.violate(f"I10 nobody was told how {got}, sent by {tag}, ended")

    def _check_told_of_clients(self) -> None:
        """I10: the same of those that a client has named."""
        told = set(self.heard)
        for order in self.ledger.orders.values():
            if order.id and order.told:
                hooks = self.world.hooks
                is_told = order.id in told if order.told == DESK else hooks.is_over(order.id)
                if not is_told:
                    self.ledger.violate(f"I10 nobody was told how {order.tag} ended")

    def _check_order(self, places: dict[str, int]) -> None:
        """I6: what a client asked for after an answer comes after it."""
        lines: dict[tuple[int, str], list[Asked]] = defaultdict(list)
        for order in self.ledger.orders.values():
            is_queued = order.mode == "queue" and not order.not_before_ms
            if order.client >= 0 and order.kind == "Cell" and is_queued:
                lines[order.client, order.key].append(order)
        for orders in lines.values():
            orders.sort(key=lambda order: order.number)
            last: Asked | None = None
            for order in orders:
                if self.ledger.is_touched(order.tag) or order.tag not in places:
                    continue
                if last is not None and places[order.tag] < places[last.tag]:
                    self.ledger.violate(f"I6 {order.tag} overtook {last.tag}")
                if order.acked_us:
                    last = order


def judge(world: "World") -> None:
    """Tell the world's ledger what does not hold."""
    Judge(world).judge()


def is_failure(got: Any) -> bool:
    """Whether an op has caught an error, whose name is all that the trace holds then."""
    return isinstance(got, list) and len(got) == 1  # pyright: ignore[reportUnknownArgumentType]  # JSON


def _is_stuttered(got: Any, wanted: list[str]) -> bool:
    """Whether signals came in order, some of them more than once."""
    once = [each for number, each in enumerate(got) if not number or got[number - 1] != each]
    return once == wanted[: len(once)]


async def _state_of(world: "World", cls: type, key: str) -> Mapping[str, Any]:
    """The state of an object, read by the process and awaited by a client."""
    mine = world.clients_loop.create_future()

    def tell(done: Any) -> None:
        if done.exception() is not None:
            mine.set_exception(done.exception())
        else:
            mine.set_result(done.result())

    async def read() -> Mapping[str, Any]:
        return await world.process.runtime.state(cls, key)

    world.process.spawn(read()).add_done_callback(tell)
    state: Mapping[str, Any] = await mine
    return state
