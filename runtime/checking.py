"""Open invocations checked against the code of now: does it still follow their journals?

Each is rehearsed (``rehearsal``) on what a view of the store shows, one at a time, so memory holds
one journal. A handler may block; whoever calls ``check`` watches it from another thread
(``holdfast.watched_check``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry.trace import ProxyTracerProvider

from ..journal import keys
from ..journal.store import StoreView
from ..objects.errors import UnknownTargetError
from ..objects.identity import InvocationId, format_invocation_id
from ..objects.mismatch import Mismatch
from ..objects.registry import Registry
from .attempt import AttemptParts
from .blocking import BlockingWatch
from .config import RuntimeConfig
from .failures import describe
from .lifecycle import Lifecycle
from .open_invocation import OpenInvocation
from .rehearsal import EmptyHost, Found, Obstacle, Rehearsal, ShutCommits, Verdict
from .seams import SystemClock, SystemRandomness, SystemThreads, this_thread
from .sources import SourceFinder
from .state_table import StateTable
from .steps import Steps
from .tracing import Tracing

__all__ = ["CheckedInvocation", "Checker", "Obstacle", "Verdict"]

CALLBACKS_MAX = 1_000_000
"""Callbacks of one handler without any delivery before it counts as spinning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedInvocation:
    """One open invocation, and what became of its rehearsal.

    Attributes:
        invocation_id: as text.
        target: ``Order/7/place``; empty where its row cannot be read.
        status: ``scheduled``, ``inboxed``, ``begun`` or ``paused``.
        entries: how many its journal holds.
        verdict: what came out.
        mismatch: where it diverges.
        obstacle: what stood in the way, where the verdict is unknown.
        reason: the same as a clause, for people.
    """

    invocation_id: str
    target: str = ""
    status: str = ""
    entries: int = 0
    verdict: Verdict = Verdict.UNKNOWN
    mismatch: Mismatch | None = None
    obstacle: Obstacle | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object; names are for ever."""
        return {
            "invocation_id": self.invocation_id,
            "target": self.target,
            "status": self.status,
            "entries": self.entries,
            "verdict": str(self.verdict),
            "mismatch": self.mismatch.as_json() if self.mismatch else None,
            "obstacle": str(self.obstacle) if self.obstacle else None,
            "reason": self.reason,
        }


class Checker:
    """Rehearses the open invocations of a view, one at a time. Belongs to one thread."""

    def __init__(self, view: StoreView, registry: Registry) -> None:
        """Check what ``view`` shows against the classes of ``registry``."""
        self.under_way: CheckedInvocation | None = None
        """What is rehearsed right now, as far as it is known; may be read from another thread."""
        self._view = view
        self._registry = registry
        self._commits = ShutCommits(view)
        clock, config = SystemClock(), _config()
        self._lifecycle = Lifecycle(
            commits=self._commits,
            registry=registry,
            clock=clock,
            randomness=SystemRandomness(),
            config=config,
            epoch=0,
        )
        host = EmptyHost()
        self._lifecycle.connect(host)
        # Nobody's spans: nothing happens.
        tracing, threads = Tracing(ProxyTracerProvider()), SystemThreads()
        watch = BlockingWatch(this_thread(), 0.0, threads.post)
        self._parts = AttemptParts(
            lifecycle=self._lifecycle,
            clock=clock,
            config=config,
            steps=Steps(
                lifecycle=self._lifecycle,
                clock=clock,
                threads=threads,
                tracing=tracing,
                watch=watch,
                owner=host,
            ),
            table=StateTable(self._commits, clock),
            host=host,
            sources=SourceFinder(),
            tracing=tracing,
            watch=watch,
        )

    def find_open(self, after: InvocationId | None = None) -> Iterator[InvocationId]:
        """The invocations that are not completed, in order of their ids; those after ``after``."""
        start, end = keys.prefix_range(keys.INVOCATION)
        if after is not None:
            start = keys.invocation(after) + b"\0"
        for key, _ in self._view.scan(start, end):
            yield InvocationId(key[1:])

    def check(self, id_: InvocationId) -> CheckedInvocation:
        """Rehearse one open invocation."""
        checked = CheckedInvocation(invocation_id=format_invocation_id(id_))
        try:
            invocation = self._lifecycle.find(id_)
            assert invocation is not None, "an open invocation without its row"
            checked = replace(
                checked,
                target=str(invocation.record.target),
                status=invocation.record.state.name.lower(),
                entries=invocation.next_index,
            )
            self.under_way = checked
            found = self._rehearse(invocation)
        except UnknownTargetError as error:
            found = Found(Verdict.UNKNOWN, obstacle=Obstacle.MISSING, reason=error.message)
        except (SystemExit, KeyboardInterrupt) as error:
            # A stranger's type may raise them; whoever checks is not to end with its exit code.
            found = Found(Verdict.UNKNOWN, obstacle=Obstacle.EXCEPTION, reason=describe(error))
        except Exception as error:  # noqa: BLE001  # rows of any age, and a stranger's code
            found = Found(Verdict.UNKNOWN, obstacle=Obstacle.DAMAGED, reason=describe(error))
        finally:
            self.under_way = None
            self._commits.forget()
        return replace(
            checked,
            verdict=found.verdict,
            mismatch=found.mismatch,
            obstacle=found.obstacle,
            reason=found.reason,
        )

    def _rehearse(self, invocation: OpenInvocation) -> Found:
        if invocation.handler is None:
            # Raises, and says what comes near.
            self._registry.get_handler(invocation.record.target)
        rehearsal = Rehearsal(invocation, self._parts)
        try:
            return rehearsal.run()
        finally:
            rehearsal.drop()


def _config() -> RuntimeConfig:
    """Nobody else waits for a turn, so there is no reason to interrupt a handler."""
    return RuntimeConfig(
        spin_callbacks_max=CALLBACKS_MAX,
        pump_callbacks_max=CALLBACKS_MAX,
        turn_seconds_max=float("inf"),
        always_replay=False,
    )
