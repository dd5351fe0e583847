"""What the sagas of a world did outside and took back, and whether that fits.

A saga is known by its place: the invocation and the path of its op. Its effects, and what takes
them back, are known by their number.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from .running import Place, Running


class Sagas:
    """All sagas of a world."""

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
        self._undoing: dict[Place, set[int]] = defaultdict(set)
        self._undone: dict[Place, set[int]] = defaultdict(set)
        self._failed: dict[tuple[Place, int], int] = defaultdict(int)
        self._keys: dict[tuple[Place, int], str] = {}

    def do(self, place: Place, number: int, tag: str) -> None:
        """An effect is about to happen."""
        self._begun[place].add(number)
        if self._undoing[place]:
            self._violate(f"I3 saga {place[1]} of {tag} acts while it is taken back")

    def undo(self, place: Place, number: int, key: str) -> None:
        """An effect is about to be taken back."""
        saga = f"saga {place[1]} of {place[0]}"
        self._count("an effect was taken back")
        self._undoing[place].add(number)
        if self._keys.setdefault((place, number), key) != key:
            self._violate(f"I3 {saga} takes {number} back under another idempotency key")
        later = {each for each in self._begun[place] if each > number}
        if later - self._undone[place]:
            self._violate(f"I10 {saga} takes {number} back before {later}")
        for each in self._begun[place]:
            at = place[0], f"{place[1]}/{each}"
            if self._running.is_running(at):
                self._violate(f"I3 {saga} takes {number} back while {each} is under way")

    def undone(self, place: Place, number: int, fails: int) -> None:
        """An effect is taken back.

        Raises:
            OSError: it is not, as it is to fail so often first.
        """
        if self._failed[place, number] < fails:
            self._failed[place, number] += 1
            message = "the outside is out of order"
            raise OSError(message)
        self._undone[place].add(number)

    def judge(self, place: Place, *, stood: bool | None) -> Iterator[str]:
        """What is wrong at the end; ``stood``: whether its block was left normally, if known."""
        begun, undone = self._begun[place], self._undone[place]
        saga = f"saga {place[1]} of {place[0]}"
        if stood is True and self._undoing[place]:
            yield f"I10 {saga} stands, and {self._undoing[place]} were taken back"
        elif (stood is False or undone) and begun - undone:
            yield f"I10 {saga} has {begun}, and only {undone} were taken back"

    def __iter__(self) -> Iterator[Place]:
        """The places of all that had an effect."""
        return iter(list(self._begun))
