"""The parts of a started runtime, for whoever decides about what comes from outside.

One value instead of eight arguments. It holds no decision of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..journal.store import Store
from ..objects.registry import Registry
from .answers import Answers
from .attempts import Attempts
from .commits import Commits
from .config import RuntimeConfig
from .lifecycle import Lifecycle
from .retention import Retention
from .seams import Clock, Threads
from .state_reads import StateReads
from .views.looking import Looks
from .watches import Watches


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What a started runtime is made of."""

    registry: Registry
    lifecycle: Lifecycle
    attempts: Attempts
    commits: Commits
    answers: Answers
    watches: Watches
    states: StateReads
    clock: Clock
    config: RuntimeConfig
    store: Store
    threads: Threads
    looks: Looks
    retention: Retention
    check_open: Callable[[], None]
    """Raises when nothing is accepted now, or when a handler calls from inside."""
