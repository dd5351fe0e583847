"""Which actions run in the process of the moment, and what each has said of itself last."""

from collections import Counter
from collections.abc import Callable

Place = tuple[str, str]
"""The invocation and the path of an op."""


class Running:
    """The actions of a world; what runs is forgotten when its process dies."""

    def __init__(self, violate: Callable[[str], None], count: Callable[[str], None]) -> None:
        """Begin with none."""
        self._violate = violate
        self._count = count
        self._now: dict[Place, str] = {}
        # What was said at a place, in order; whether all of it was heard before the process died.
        self._said: dict[Place, list[str]] = {}
        self._heard: dict[Place, int] = {}
        self._is_whole: dict[Place, bool] = {}
        self._slow: Counter[Place] = Counter()
        self.is_ending = False
        """Whether the process ends, so that all that runs is told to end."""

    def died(self) -> None:
        """The process is gone, and with it all that ran."""
        self.is_ending = False
        self._now.clear()
        for place in self._is_whole:
            self._is_whole[place] = False

    def begin(
        self, place: Place, object_: str, details: object, is_touched: Callable[[str], bool]
    ) -> None:
        """An action begins; ``details`` is what its last attempt is said to have said."""
        if place in self._now:
            self._violate(f"I3 {place} begins while its last attempt runs")
        for other, at in self._now.items():
            if at == object_ and other[0] != place[0] and not is_touched(other[0]):
                self._violate(f"I5 {place} begins at {at} while {other} runs")
        self._now[place] = object_
        said = self._said.get(place, [])
        if details is None and not self._is_whole.get(place):
            return
        if (details is not None or said) and details not in said:
            self._violate(f"I3 {place} is told {details!r}, and what was said is {said}")
            return
        heard = said.index(str(details)) if said else -1
        if self._is_whole.get(place) and heard != len(said) - 1:
            self._violate(f"I3 {place} is told {details!r} of {said}")
        if heard < self._heard.get(place, -1):
            self._violate(f"I3 {place} is told {details!r} after {said[self._heard[place]]!r}")
        self._heard[place] = heard
        if heard >= 0:
            self._count("an attempt was told how far the last one came")

    def end(self, place: Place) -> None:
        """It has ended."""
        self._now.pop(place, None)

    def is_running(self, place: Place) -> bool:
        """Whether an action runs there."""
        return place in self._now

    def is_any_running(self, id_: str, below: str) -> bool:
        """Whether an action of an invocation runs whose path begins so."""
        return any(place[0] == id_ and place[1].startswith(below) for place in self._now)

    def say(self, place: Place, text: str) -> str:
        """It says how far it is."""
        said = self._said.setdefault(place, [])
        details = f"{len(said)} {text}"
        said.append(details)
        self._is_whole[place] = True
        return details

    def count_slow(self, place: Place) -> int:
        """How often an action came to where it may be slow."""
        self._slow[place] += 1
        return self._slow[place]
