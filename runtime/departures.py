"""The error of a handler that leaves its journal, with both sides in words."""

from ..journal.differences import Now, explain
from ..journal.replay import Difference
from ..objects.errors import JournalMismatchError
from .handler_loop import HandlerLoop
from .open_invocation import OpenInvocation
from .sources import SourceFinder


def departure_of(
    difference: Difference,
    invocation: OpenInvocation,
    sources: SourceFinder,
    loop: HandlerLoop,
    time_ms: int,
) -> JournalMismatchError:
    """What is raised where the handler asks, or waits, otherwise than the journal says."""
    handler = invocation.handler
    assert handler is not None, "an attempt without code to run"
    is_asking = difference.attempted is not None
    now = Now(
        place=sources.find(handler) if is_asking else loop.waits_at,
        handler=handler.source,
        fingerprint=handler.fingerprint,
        time_ms=time_ms,
    )
    return JournalMismatchError(mismatch=explain(difference, now))
