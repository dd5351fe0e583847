"""A kit for tests of your own objects: virtual time, crashes at every commit, journals to read.

Everything public is a name of this module, and ``__all__`` is the whole list. It needs no pytest;
the fixtures do, and are found by pytest itself. What runs handlers is loaded at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runtime.testing import ManualClock
    from .assertions import assert_journal
    from .clients import Client
    from .crashes import CrashReport, crash_everywhere
    from .effects import Effects, StepEffects
    from .endings import Ending, NeverEnds, Raised
    from .journals import (
        ANYTHING,
        CANCELED,
        NOT_KEPT,
        PENDING,
        Awaited,
        Call,
        Failed,
        Journal,
        Other,
        Send,
        Sleep,
        Step,
    )
    from .llm import (
        LlmMessage,
        LlmRequest,
        LlmServer,
        Reply,
        ScriptItem,
        Usage,
        always,
        call_tool,
        call_tool_raw,
        cut_after,
        fail_after,
        hang_up,
        http_error,
        malformed_after,
        rate_limited,
        say,
        server_error,
        slowly,
        stall,
        together,
        when,
        with_usage,
    )
    from .virtual import VirtualRuntime, unhurried
    from .worlds import World

__all__ = [
    "ANYTHING",
    "CANCELED",
    "NOT_KEPT",
    "PENDING",
    "Awaited",
    "Call",
    "Client",
    "CrashReport",
    "Effects",
    "Ending",
    "Failed",
    "Journal",
    "LlmMessage",
    "LlmRequest",
    "LlmServer",
    "ManualClock",
    "NeverEnds",
    "Other",
    "Raised",
    "Reply",
    "ScriptItem",
    "Send",
    "Sleep",
    "Step",
    "StepEffects",
    "Usage",
    "VirtualRuntime",
    "World",
    "always",
    "assert_journal",
    "call_tool",
    "call_tool_raw",
    "crash_everywhere",
    "cut_after",
    "fail_after",
    "hang_up",
    "http_error",
    "malformed_after",
    "rate_limited",
    "say",
    "server_error",
    "slowly",
    "stall",
    "together",
    "unhurried",
    "when",
    "with_usage",
]

_MODULES = {
    "assertions": ["assert_journal"],
    "clients": ["Client"],
    "crashes": ["CrashReport", "crash_everywhere"],
    "effects": ["Effects", "StepEffects"],
    "endings": ["Ending", "NeverEnds", "Raised"],
    "journals": [
        "ANYTHING",
        "CANCELED",
        "NOT_KEPT",
        "PENDING",
        "Awaited",
        "Call",
        "Failed",
        "Journal",
        "Other",
        "Send",
        "Sleep",
        "Step",
    ],
    "llm": [
        "LlmMessage",
        "LlmRequest",
        "LlmServer",
        "Reply",
        "ScriptItem",
        "Usage",
        "always",
        "call_tool",
        "call_tool_raw",
        "cut_after",
        "fail_after",
        "hang_up",
        "http_error",
        "malformed_after",
        "rate_limited",
        "say",
        "server_error",
        "slowly",
        "stall",
        "together",
        "when",
        "with_usage",
    ],
    "virtual": ["VirtualRuntime", "unhurried"],
    "worlds": ["World"],
}
_LOADED_AT_FIRST_USE = {
    "ManualClock": "..runtime.testing",
    **{name: f".{module}" for module, names in _MODULES.items() for name in names},
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
