"""Sections that a cancellation does not reach into, and what handlers do once they are told to end.

A section is known by its place: the invocation and the path of its op; the clean-up of an op has
the same path and a mark. Its steps are known by their number. Only what is certain is checked: a
section below another op may be left early, by a timeout or by what fails beside it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .running import Place, Running

CLEANING = "!"
"""Marks the path of a clean-up."""


class Sections:
    """All sections and clean-ups of a world, and who was told to end."""

    def __init__(
        self,
        running: Running,
        violate: Callable[[str], None],
        count: Callable[[str], None],
    ) -> None:
        """Begin with none."""
        self._running = running
        self._violate = violate
        self._count = count
        self._begun: dict[Place, set[int]] = defaultdict(set)
        self._ended: dict[Place, set[int]] = defaultdict(set)
        self._lengths: dict[Place, int] = {}
        # When it was known of an invocation that it is told to end; and those that were in a
        # section then, or in a clean-up.
        self._told_us: dict[str, int] = {}
        self.held: set[str] = set()

    def begin(self, id_: str, tag: str, options: Mapping[str, Any], *, is_told: bool) -> None:
        """A step of a section begins; ``is_told``: whether anybody may have told it to end."""
        place = id_, str(options["section"])
        self._begun[place].add(options["number"])
        self._lengths[place] = options["of"]
        if place[1].endswith(CLEANING):
            self._count("a handler cleaned up")
            if _is_sure(place) and not is_told:
                self._violate(f"I17 {tag} cleans up at {place[1]}, and nobody told it to end")

    def end(self, id_: str, options: Mapping[str, Any]) -> None:
        """A step of a section has ended by itself."""
        self._ended[id_, options["section"]].add(options["number"])

    def leave(self, id_: str, tag: str, options: Mapping[str, Any]) -> None:
        """A step of a section is told to end, and the process goes on."""
        place = id_, str(options["section"])
        if _is_sure(place):
            self._violate(f"I17 a cancellation reaches into section {place[1]} of {tag}")

    def tell(self, id_: str, now_us: int) -> None:
        """An invocation is told to end, and that is known outside."""
        self._told_us[id_] = now_us
        for place in self._begun:
            is_there = place[0] == id_ and _is_sure(place)
            if is_there and self._running.is_any_running(id_, f"{place[1]}/"):
                self._count("a cancellation was held back")
                self.held.add(id_)

    def find_open(self) -> list[str]:
        """The invocations that are in a section, or clean up, now."""
        return sorted(
            {id_ for id_, path in self._begun if self._running.is_any_running(id_, f"{path}/")}
        )

    def is_told(self, id_: str, before_us: int) -> bool:
        """Whether it was known before that moment that an invocation is told to end."""
        return id_ in self._told_us and self._told_us[id_] < before_us

    def judge(self, place: Place) -> Iterator[str]:
        """What is wrong in the end with one whose handler has come to its end by itself."""
        if _is_sure(place) and len(self._ended[place]) < self._lengths[place]:
            ended, length = len(self._ended[place]), self._lengths[place]
            yield f"I17 section {place[1]} of {place[0]} was left after {ended} steps of {length}"

    def __iter__(self) -> Iterator[Place]:
        """The places of all that began."""
        return iter(list(self._begun))


def _is_sure(place: Place) -> bool:
    """Whether nothing but the end of its invocation ends it early."""
    return "." not in place[1]
