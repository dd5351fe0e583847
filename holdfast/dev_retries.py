"""What failed before the code was edited, tried again by ``holdfast dev`` as it starts.

Whoever edits a handler does so because of what has just failed, and would wait for its next
attempt, or, where it was paused, for ever: and so would the next call of the same key. What waits
for a person, because one has paused it or a step of it has an unknown outcome, is left alone.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from .app import Runtime
from .objects.errors import HoldfastError
from .objects.identity import InvocationId, format_invocation_id
from .runtime.views.invocations import scan_open
from .runtime.views.rows import Rows

OPEN_MAX = 10_000
"""Open invocations that are looked at, the oldest first."""


async def try_again(runtime: Runtime) -> int:
    """Resume what waits for other code, or for its next attempt; gives how many there were."""

    def read(rows: Rows) -> list[InvocationId]:
        return list(_find_failed(rows))

    failed = await runtime.look(read)
    for id_ in failed:
        with suppress(HoldfastError):  # It has come to its end meanwhile.
            await runtime.invocation(format_invocation_id(id_)).resume()
    return len(failed)


def _find_failed(rows: Rows) -> Iterator[InvocationId]:
    for view in islice(scan_open(rows), OPEN_MAX):
        if view.status in {"paused", "backing-off"} and not view.waits_for_a_person:
            yield view.id
