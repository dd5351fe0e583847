"""A model that answers from a script: OpenAI's HTTP API on this machine, with no key and no bill.

``words`` makes replies, ``script`` chooses one for each request, ``playback`` records who asked
what, ``chat`` and ``responses`` are the shapes of the two APIs, ``delivery`` sends a reply with all
that is scripted to go wrong, ``server`` is what tests hold, and ``__main__`` serves from the
command line. Nothing here knows anything of the runtime.
"""

from .reply import Reply, Usage
from .request import LlmMessage, LlmRequest
from .script import ScriptItem, always, when
from .server import LlmServer
from .words import (
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
    with_usage,
)

__all__ = [
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
]
