"""Random programs, and exactly what each leaves behind.

A program is a JSON list of commands, run by an object of the first layer; it may run others on the
second, and those on the third, so that waiting can never go in a circle. Each command that changes
anything adds a number that occurs nowhere else to the list of the object it runs on. What a
program leaves is therefore known before it runs, whatever runs beside it and whenever a process
dies: every number once, on its object, those of one program on its own object in order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

COMMANDS_MAX = (20, 6, 4)
"""How long a program may be on each layer."""

LAYERS = len(COMMANDS_MAX)

Program = list[list[Any]]

ADDING = ("add", "step", "thread", "flaky", "awakeable")
PLAIN = (*ADDING, "step", "slow", "sleep", "indirect")
CALLING = ("call", "recover", "begin", "gather", "relay", "race")

Place = tuple[int, int]
"""A layer and the number of a key."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A program, where it runs, what it answers and what it leaves."""

    place: Place
    program: Program
    result: int
    """How many numbers it added, itself and by those it waited for."""
    left: dict[Place, list[int]] = field(default_factory=dict[Place, list[int]])
    """The numbers."""

    @property
    def own(self) -> list[int]:
        """Those it adds to its own object itself, in the order in which they must stand there."""
        return [command[1] for command in self.program if command[0] in ADDING]


class Author:
    """Draws programs from a seed."""

    def __init__(self, seed: str, *, keys: int) -> None:
        """Programs over ``keys`` keys on each layer."""
        self._random = Random(seed)
        self._keys = keys
        self._numbers = count(1)

    def write(self) -> Iterator[Drawn]:
        """One after the other, without end."""
        while True:
            left: dict[Place, list[int]] = {}
            place = (0, self._random.randrange(self._keys))
            program, result = self._program(place, left)
            yield Drawn(place, program, result, left)

    def _program(self, place: Place, left: dict[Place, list[int]]) -> tuple[Program, int]:
        program: Program = []
        result = 0
        begun = 0
        may_call = place[0] < LAYERS - 1
        for _ in range(self._random.randint(1, COMMANDS_MAX[place[0]])):
            kinds = CALLING if may_call and self._random.random() < 0.25 else PLAIN
            command, added = self._command(self._random.choice(kinds), place, left)
            program.append(command)
            result += added
            if command[0] == "begin":
                begun += 1
            elif begun and self._random.random() < 0.5:
                program.append(["await"])
                begun -= 1
        # What was begun and not awaited goes on by itself; its result is nobody's.
        return program, result

    def _command(
        self, kind: str, place: Place, left: dict[Place, list[int]]
    ) -> tuple[list[Any], int]:
        random = self._random
        if kind == "slow":
            return ["slow", random.randint(0, 20)], 0
        if kind == "sleep":
            return ["sleep", random.randint(0, 30)], 0
        if kind == "indirect":
            layer = random.randrange(LAYERS)
            target = (layer, random.randrange(self._keys))
            number = self._number(target, left)
            return ["indirect", *target, number, random.choice([0, 0, 10, 200])], 0
        if kind == "flaky":
            return ["flaky", self._number(place, left), random.randint(1, 2)], 1
        if kind in PLAIN:
            return [kind, self._number(place, left)], 1
        return self._calling(kind, place[0] + 1, left)

    def _calling(
        self, kind: str, layer: int, left: dict[Place, list[int]]
    ) -> tuple[list[Any], int]:
        calls: list[list[Any]] = []
        added = 0
        for _ in range(self._random.randint(2, 3) if kind in {"gather", "race"} else 1):
            place = (layer, self._random.randrange(self._keys))
            program, result = self._program(place, left)
            calls.append([place[1], program])
            added += result
        if kind in {"begin", "race", "recover"}:
            # The result is not waited for, or depends on who was first, or was lost in an error.
            added = 0
        return [kind, *(calls if kind in {"gather", "race"} else calls[0])], added

    def _number(self, place: Place, left: dict[Place, list[int]]) -> int:
        number = next(self._numbers)
        left.setdefault(place, []).append(number)
        return number
