"""A promise that someone outside keeps, by its id."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Awakeable(Generic[T_co]):
    """Await it for what it is resolved with; give ``id`` to whoever will resolve it.

    Attributes:
        id: ``awk_`` and 40 hex digits; the same on every replay.
        future: the same promise as a future, for ``asyncio.wait`` and the like.
    """

    id: str
    future: "Future[T_co]"

    def __await__(self) -> Generator[Any, None, T_co]:
        """What it is resolved with.

        Raises:
            TerminalError: it was rejected.
        """
        return self.future.__await__()
