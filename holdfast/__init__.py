"""Holdfast: virtual objects whose handlers survive crashes, as a library.

Everything public is a name of this module, and ``__all__`` is the whole list. What a module of
handlers needs is here at once. What stores or runs them is loaded at first use, so that importing
such a module opens no door to a database or a web server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .objects.awakeable import Awakeable, AwakeableInfo, AwakeablePage
from .objects.callback import Completed, CompletedFailure
from .objects.context import Context
from .objects.errors import (
    AccessDeniedError,
    AnswerLostError,
    AwakeableExpiredError,
    CanceledError,
    ConflictError,
    ContextMisuseError,
    DeadlockError,
    ForbiddenInHandlerError,
    HandlerStuckError,
    HoldfastError,
    InvalidArgumentError,
    InvalidDefinitionError,
    JournalMismatchError,
    MailboxFullError,
    NotKeptError,
    NotReachedError,
    NotReadyError,
    OutcomeUnknownError,
    RetryableError,
    RuntimeClosedError,
    StepFailedError,
    StoreDamagedError,
    StoreFailedError,
    StoreFormatError,
    StoreFullError,
    StoreLockedError,
    TerminalError,
    UnknownTargetError,
)
from .objects.fields import state
from .objects.handler import handler, shared
from .objects.identity import Origin, Target
from .objects.inbox import Inbox
from .objects.mismatch import Mismatch, MismatchCause
from .objects.options import HandlerOptions
from .objects.promise import Promise
from .objects.retry import RetryPolicy
from .objects.saga import NotCompensated, Saga
from .objects.service import Service, VirtualObject, Workflow
from .objects.step_info import StepInfo, step_info
from .objects.syscalls import Happened, Intent, NeverHappened, StepOptions
from .version import __version__

if TYPE_CHECKING:
    from .app import Runtime
    from .client.any_client import AnyClient
    from .client.client import Client
    from .client.sync_client import SyncClient
    from .journal.backup import BackupInfo
    from .journal.memory import MemoryStore
    from .objects.webhooks import GitHub, Slack, StandardWebhooks, Stripe
    from .runtime.config import RuntimeConfig
    from .runtime.effects import EffectInfo, EffectPage
    from .runtime.invocation_handle import InvocationHandle
    from .runtime.invocation_info import AwaitedInfo, InvocationInfo
    from .runtime.journal_pages import EntryInfo, JournalPage
    from .runtime.state_reads import StateSnapshot
    from .runtime.testing import ManualClock

__all__ = [
    "AccessDeniedError",
    "AnswerLostError",
    "AnyClient",
    "AwaitedInfo",
    "Awakeable",
    "AwakeableExpiredError",
    "AwakeableInfo",
    "AwakeablePage",
    "BackupInfo",
    "CanceledError",
    "Client",
    "Completed",
    "CompletedFailure",
    "ConflictError",
    "Context",
    "ContextMisuseError",
    "DeadlockError",
    "EffectInfo",
    "EffectPage",
    "EntryInfo",
    "ForbiddenInHandlerError",
    "GitHub",
    "HandlerOptions",
    "HandlerStuckError",
    "Happened",
    "HoldfastError",
    "Inbox",
    "Intent",
    "InvalidArgumentError",
    "InvalidDefinitionError",
    "InvocationHandle",
    "InvocationInfo",
    "JournalMismatchError",
    "JournalPage",
    "MailboxFullError",
    "ManualClock",
    "MemoryStore",
    "Mismatch",
    "MismatchCause",
    "NeverHappened",
    "NotCompensated",
    "NotKeptError",
    "NotReachedError",
    "NotReadyError",
    "Origin",
    "OutcomeUnknownError",
    "Promise",
    "RetryPolicy",
    "RetryableError",
    "Runtime",
    "RuntimeClosedError",
    "RuntimeConfig",
    "Saga",
    "Service",
    "Slack",
    "StandardWebhooks",
    "StateSnapshot",
    "StepFailedError",
    "StepInfo",
    "StepOptions",
    "StoreDamagedError",
    "StoreFailedError",
    "StoreFormatError",
    "StoreFullError",
    "StoreLockedError",
    "Stripe",
    "SyncClient",
    "Target",
    "TerminalError",
    "UnknownTargetError",
    "VirtualObject",
    "Workflow",
    "__version__",
    "handler",
    "shared",
    "state",
    "step_info",
]

_LOADED_AT_FIRST_USE = {
    "AnyClient": ".client.any_client",
    "BackupInfo": ".journal.backup",
    "EffectInfo": ".runtime.effects",
    "EffectPage": ".runtime.effects",
    "EntryInfo": ".runtime.journal_pages",
    "JournalPage": ".runtime.journal_pages",
    "Client": ".client.client",
    "InvocationHandle": ".runtime.invocation_handle",
    "InvocationInfo": ".runtime.invocation_info",
    "AwaitedInfo": ".runtime.invocation_info",
    "GitHub": ".objects.webhooks",
    "Slack": ".objects.webhooks",
    "StandardWebhooks": ".objects.webhooks",
    "Stripe": ".objects.webhooks",
    "ManualClock": ".runtime.testing",
    "MemoryStore": ".journal.memory",
    "Runtime": ".app",
    "RuntimeConfig": ".runtime.config",
    "StateSnapshot": ".runtime.state_reads",
    "SyncClient": ".client.sync_client",
}


def __getattr__(name: str) -> Any:
    """Load what this module promises and has not needed so far."""
    module = _LOADED_AT_FIRST_USE.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(module, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is public."""
    return __all__
