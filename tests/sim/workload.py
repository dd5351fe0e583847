"""How orders are drawn from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from holdfast.objects.call_options import Mode

from .actors import BY_HANDLER
from .hooks import make_url
from .naming import NAMES

KEYS = ("a", "b", "c", "d")
NAMED_SHARE = 0.3
"""How many worlds store things by name."""

DEPTH_MAX = 2
DAY_MS = 86_400_000
URL_SHARE = 0.5
"""How many sends have their outcome told to a URL, and not to a handler."""

# What an op is drawn from, by weight.
_OPS = {
    "step": 30,
    "note": 16,
    "sleep": 8,
    "call": 8,
    "send": 8,
    "awake": 6,
    "hear": 5,
    "attach": 3,
    "part": 3,
    "peek": 3,
    "inbox": 5,
    "both": 5,
    "group": 3,
    "within": 4,
    "trip": 3,
    "serve": 3,
    "join": 2,
    "saga": 5,
    "drain": 2,
    "patch": 6,
    "keep": 2,
    "guard": 5,
    "tidy": 4,
}
_URGENT = {"urge": 14, "seize": 5, "inbox": 10, "drain": 6}
"""In worlds where many are in a hurry."""

_NAMED = {"set": 8, "grow": 16, "get": 12, "clear": 16, "keys": 4}
"""In worlds that store things by name."""

_HOWS = (
    *("yes", "yes", "no", "yes by link", "no by link"),
    *(f"yes {BY_HANDLER}", f"no {BY_HANDLER}"),
)
_UNKNOWN = ("retry", "retry", "retry", "fail", "pause", "verify")


@dataclass(slots=True)
class Child:
    """An order inside of an order."""

    parent: str
    key: str
    order: dict[str, Any]
    how: str
    is_limited: bool = False
    """Whether the parent may stop waiting for it."""
    is_below: bool = False
    """Whether its op is a part of another one."""
    mode: Mode = "queue"


class Workload:
    """Draws orders; what they contain is kept for those who check it."""

    def __init__(self, random: Random, *, is_long: bool, is_urgent: bool = False) -> None:
        self.random = random
        weights = {**_OPS, **(_URGENT if is_urgent else {})}
        self.is_named = random.random() < NAMED_SHARE
        if self.is_named:
            weights |= _NAMED
        self._kinds, self._weights = [*weights], [*weights.values()]
        self.is_long = is_long
        self.children: list[Child] = []
        self._number = 0
        # Whether the order that is drawn is for a service, and is a part of a task group.
        self._is_errand = self._is_grouped = False

    def draw_order(
        self, prefix: str, key: str, depth: int = 0, *, is_errand: bool = False
    ) -> dict[str, Any]:
        """An order for the object at ``key``; it begins with a note, so that it leaves a mark."""
        before = self._is_errand, self._is_grouped
        self._is_errand, self._is_grouped = is_errand, False
        try:
            return self._draw_order(prefix, key, depth)
        finally:
            self._is_errand, self._is_grouped = before

    def _draw_order(self, prefix: str, key: str, depth: int) -> dict[str, Any]:
        random = self.random
        self._number += 1
        tag = f"{prefix}.{self._number}"
        ops: list[list[Any]] = [["note", 1]]
        ops += [self._draw_op(tag, key, depth) for _ in range(random.choice((0, 1, 1, 2, 2, 3, 5)))]
        if random.random() < 0.06:
            ops.append(["fail"])
        elif random.random() < 0.02:
            ops.append(["bad"])
        elif random.random() < 0.3:
            ops.append(["note", 1])
        return {"tag": tag, "ops": ops}

    def draw_ms(self) -> int:
        """How long something takes: mostly a moment, sometimes hours."""
        random = self.random
        draw = random.random()
        if draw < 0.8:
            return random.randrange(1, 100)
        if draw < 0.97 or not self.is_long:
            return random.randrange(100, 5_000)
        return random.randrange(20_000, DAY_MS)

    def _draw_op(self, tag: str, key: str, depth: int) -> list[Any]:
        kind = self.random.choices(self._kinds, self._weights)[0]
        return self._make_op(kind, tag, key, depth)

    def _make_op(self, kind: str, tag: str, key: str, depth: int) -> list[Any]:  # noqa: C901, PLR0911, PLR0912  # a table
        random = self.random
        match kind:
            case "note":
                return ["note", random.choice((1, 1, 2, 3, 40))]
            case "sleep":
                return ["sleep", self.draw_ms()]
            case "call" | "send" | "attach" | "part" | "keep" if depth < DEPTH_MAX:
                return self._draw_child(kind, tag, key, depth)
            case "urge" if depth < DEPTH_MAX:
                return self._draw_urge(tag, key, depth)
            case "seize" if depth < DEPTH_MAX:
                target = random.choice([each for each in KEYS if each != key])
                order = self.draw_order(tag, target, depth + 1)
                self.children.append(Child(tag, target, order, kind, mode="interrupt"))
                return ["seize", target, order]
            case "set" | "grow" | "get" | "clear":
                return [kind, random.choice(NAMES)]
            case "keys":
                return ["keys", ""]
            case "awake":
                how = random.choice(_HOWS)
                return ["awake", random.randrange(1, 300), random.choice((0, 0, 50)), how]
            case "hear":
                return self._draw_hearing()
            case "peek":
                return ["peek", random.choice(KEYS)]
            case "inbox":
                return ["inbox", random.randrange(50, 3000)]
            case "drain":
                return ["drain", random.choice((0, 20, 300))]
            case "patch":
                return ["patch"]
            case "both":
                return ["both", [self._draw_below(tag, key, depth) for _ in range(2)]]
            case "group":
                return self._draw_group(tag, key, depth)
            case "within":
                first = len(self.children)
                op = self._draw_below(tag, key, depth)
                for child in self.children[first:]:
                    child.is_limited = True
                return ["within", random.randrange(1, 200), op]
            case "tidy" if not self._is_grouped:
                return ["tidy", random.choice((0, 20, 60, 250)), self._draw_below(tag, key, depth)]
            case "guard":
                return self._draw_section(tag, key, depth)
            case "trip":
                return ["trip", random.choice((1, 1, 2)), random.choice((0, 0, 20))]
            case "serve" if depth < DEPTH_MAX:
                order = self.draw_order(tag, key, depth + 1, is_errand=True)
                self.children.append(Child(tag, "", order, "serve"))
                return ["serve", order]
            case "join":
                return ["join", random.randrange(100), random.randrange(1, 500)]
            case "saga":
                how = random.choice(
                    ("stand", "fail", "fail", "call", "trip" if self._is_errand else "fail")
                )
                fails = random.choice((0, 0, 1))
                return ["saga", how, random.randrange(1, 4), random.randrange(0, 30), fails]
            case _:
                return ["step", self._draw_step()]

    def _draw_urge(self, tag: str, key: str, depth: int) -> list[Any]:
        random = self.random
        target = key if random.random() < 0.3 else random.choice(KEYS)
        order = self.draw_order(tag, target, depth + 1)
        mode: Mode = random.choice(("interrupt", "steer", "steer"))
        self.children.append(Child(tag, target, order, "urge", mode=mode))
        return ["urge", target, order, mode, random.choice((0, 0, random.randrange(200)))]

    def _draw_below(self, tag: str, key: str, depth: int) -> list[Any]:
        """An op that is a part of another one."""
        first = len(self.children)
        op = self._draw_op(tag, key, depth + 1)
        for child in self.children[first:]:
            child.is_below = child.is_below or child.parent == tag
        return op

    def _draw_group(self, tag: str, key: str, depth: int) -> list[Any]:
        """Ops in a task group; no clean-up, which an attempt that fails would ask for once only."""
        before, self._is_grouped = self._is_grouped, True
        ops = [self._draw_below(tag, key, depth) for _ in range(2)]
        if self.random.random() < 0.3:
            ops.append(["trip", 1, self.random.choice((0, 10, 40))])
        self._is_grouped = before
        return ["group", ops]

    def _draw_section(self, tag: str, key: str, depth: int) -> list[Any]:
        random = self.random
        called: list[Any] = ["", "", None]
        if depth < DEPTH_MAX and random.random() < 0.4:
            called = self._draw_child("guard", tag, key, depth)
        return ["guard", random.randrange(1, 4), random.choice((0, 20, 60, 250)), *called[1:]]

    def _draw_step(self) -> dict[str, Any]:
        random = self.random
        options: dict[str, Any] = {"ms": random.randrange(0, 60)}
        options["unknown"] = random.choice(_UNKNOWN)
        if random.random() < 0.15:
            options["fails"] = random.choice((1, 2, 3))
        draw = random.random()
        if draw < 0.2:
            options["plain"] = True
        elif draw < 0.35:
            # The first attempts are slower than they may, or silent for longer.
            options |= {"limit": random.randrange(40, 90), "slow": random.choice((0, 1, 1, 3))}
            options["ms"] = min(options["ms"], options["limit"] // 4)
            if draw < 0.27:
                options["beats"] = random.randrange(1, 4)
        return options

    def _draw_hearing(self) -> list[Any]:
        random = self.random
        every_ms = random.randrange(1, 20)
        pause_ms = random.choice((0, 0, random.randrange(1, 100)))
        patience_ms = random.choice((0, every_ms, random.randrange(1, 40)))
        by = BY_HANDLER if random.random() < 0.3 else ""
        hearing = ["hear", random.choice((1, 2, 3)), every_ms, pause_ms, patience_ms, by]
        if random.random() < 0.3:
            # While the next attempt is waited for, a signal and the end of the patience both come.
            return ["both", [hearing, ["trip", 1, random.randrange(5, 30)]]]
        return hearing

    def _draw_child(self, kind: str, tag: str, key: str, depth: int) -> list[Any]:
        random = self.random
        # Upwards mostly; the other way may close a cycle, which is refused.
        above = [each for each in KEYS if each > key]
        target = random.choice(above) if above and random.random() < 0.9 else random.choice(KEYS)
        order = self.draw_order(tag, target, depth + 1)
        self.children.append(Child(tag, target, order, kind))
        if kind == "send":
            url = make_url(order["tag"]) if random.random() < URL_SHARE else ""
            return ["send", target, order, random.choice((0, 0, self.draw_ms())), url]
        if kind == "part":
            return ["part", target, order, random.randrange(0, 50)]
        return [kind, target, order]


def walk(ops: list[list[Any]], prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every op by its path."""
    for number, op in enumerate(ops):
        path = f"{prefix}{number}"
        yield path, op
        if op[0] in {"both", "group"}:
            yield from walk(op[1], f"{path}.")
        elif op[0] in {"within", "tidy"}:
            yield from walk([op[2]], f"{path}.")
        elif op[0] == "guard" and op[4] is not None:
            yield f"{path}.c", ["call", *op[3:]]


def has_sections_below(ops: list[list[Any]]) -> bool:
    """Whether an op that is a part of another one puts off what its neighbours are told.

    A section does, and a saga while it compensates.
    """
    return any(op[0] in {"guard", "saga"} and "." in path for path, op in walk(ops))
