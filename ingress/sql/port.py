"""What a query needs of the engine behind a door."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from ...runtime.views.rows import Rows

T = TypeVar("T")


class QueryEngine(Protocol):
    """Lets others read; ``runtime.engine.Engine`` is one."""

    async def look(self, read: Callable[[Rows], T]) -> T:
        """What ``read`` finds in the rows of now, called in another thread; durable on return.

        Raises:
            RuntimeClosedError, StoreFailedError: nothing is answered now.
        """
        ...
