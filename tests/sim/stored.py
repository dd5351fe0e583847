"""What objects hold by name, and what they held at any moment of the past.

What a turn reads is what the turns before it have left, and what it has changed itself so far. The
turns of an object are known in their order by its log. Where one has failed, what it changed is not
known outside; whoever reads next tells. The same is known of every moment of the past.
"""

from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from .naming import NAMES, OPS
from .workload import KEYS, walk

if TYPE_CHECKING:
    from .verdict import Judge

_ANYTHING: Final = "?"

Held = dict[str, Any]
"""What an object holds by name: a value, ``None`` for nothing, or that it may be anything."""


class Stored:
    """What is known in the end of all that was stored by name."""

    def __init__(self, judge: "Judge") -> None:
        """Begin with nothing looked at."""
        self._judge = judge
        self._ledger = judge.ledger
        self.before: dict[str, Held] = {}
        """What an object held when a turn began, by the tag of its order."""
        self.after: dict[str, Held] = {}
        """What it held when that turn was over."""

    def judge(self) -> Iterator[str]:
        """What is wrong with what turns have read, and with what is there in the end."""
        for key in KEYS:
            object_ = f"Cell/{key}"
            if object_ not in self._ledger.put_back:
                held = yield from self._walk(object_)
                yield from self.compare(f"{object_} in the end", held, self._judge.states[object_])

    def compare_at(self, tag: str, key: str, *, is_before: bool) -> Iterator[str]:
        """What is wrong with an object that began as another one was when a turn began or ended."""
        yield from self.compare_with(tag, self._judge.states[f"Cell/{key}"], is_before=is_before)

    def compare_with(self, tag: str, found: Mapping[str, Any], *, is_before: bool) -> Iterator[str]:
        """What is wrong with what was found of a moment when a turn began, or was over."""
        held = (self.before if is_before else self.after).get(tag, {})
        when = "before" if is_before else "after"
        yield from self.compare(f"the object {when} {tag}", held, found)

    def compare(self, what: str, held: Held, found: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with what was found at a moment at which this was held."""
        for name, value in held.items():
            if value != _ANYTHING and found.get(name) != value:
                yield f"I11 {what} holds {found.get(name)!r:.100} as {name}, and not {value!r:.100}"

    def _walk(self, object_: str) -> Generator[str, None, Held]:
        ledger = self._ledger
        log = self._judge.logs.get(object_, [])
        held: Held = dict.fromkeys(NAMES)
        for tag in dict.fromkeys(line.partition(" ")[0] for line in log):
            order = ledger.orders.get(tag)
            if order is not None and ledger.is_repeated(tag):
                # It may have run at any time, so that nothing is known of what it has changed.
                held |= dict.fromkeys(_find_changed(order.ops), _ANYTHING)
        wild = {name for name, value in held.items() if value == _ANYTHING}
        for tag in dict.fromkeys(line.partition(" ")[0] for line in log):
            order = ledger.orders.get(tag)
            self.before[tag] = {**held}
            found = self._judge.results.get(tag, [])
            if order is None:
                continue
            if len(found) == 1 and not ledger.is_repeated(tag):
                yield from self._follow(tag, found[0][1], held)
            else:
                held |= dict.fromkeys(_find_changed(order.ops), _ANYTHING)
            held |= dict.fromkeys(wild, _ANYTHING)
            self.after[tag] = {**held}
        return held

    def _follow(self, tag: str, trace: list[list[Any]], held: Held) -> Iterator[str]:
        ops = dict(walk(self._ledger.orders[tag].ops))
        for path, kind, got in trace:
            if kind not in OPS:
                continue
            self._ledger.count("what was stored by name was compared")
            name, mark = ops[path][1], f"{tag} {path}"
            value = held.get(name)
            if kind == "get" and value not in (_ANYTHING, got):
                yield f"I4 {tag} read {got!r:.100} as {name}, and that is {value!r:.100}"
            if kind == "grow" and value != _ANYTHING:
                wanted: list[str] = [mark] if isinstance(value, str | None) else [*value, mark]
                if got != wanted:
                    yield f"I4 {tag} had {got!r:.200} as {name}, and that is {wanted!r:.200}"
            if kind == "keys":
                yield from self._check_names(tag, got["keys"], held)
            else:
                held[name] = got

    def _check_names(self, tag: str, names: list[str], held: Held) -> Iterator[str]:
        for name, value in held.items():
            if value != _ANYTHING and (name in names) != (value is not None):
                yield f"I4 {tag} sees the names {names}, and {name} is {value!r:.100}"


def _find_changed(ops: list[list[Any]]) -> set[str]:
    """The names that an order may change."""
    return {op[1] for _, op in walk(ops) if op[0] in {"set", "grow", "clear"}}
