"""What comes in from outside and what goes back: plain values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct, field

from ..objects.call_options import CallOptions, Mode
from ..objects.errors import TerminalError
from ..objects.identity import InvocationId, Target
from ..objects.media import JSON


class CallRequest(Struct, frozen=True, kw_only=True):
    """A call from outside."""

    target: Target
    argument: bytes
    """The JSON body as it was received."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case; recorded, so never secrets."""
    idempotency_key: str | None = None
    delay_ms: int = 0
    """For sends: when the invocation takes its place in the mailbox."""
    mode: Mode = "queue"
    callback: Target | str | None = None
    """Who is told the outcome: a handler, or a URL."""


@dataclass(frozen=True, slots=True)
class IdNamed:
    """An invocation by its id."""

    invocation_id: InvocationId


@dataclass(frozen=True, slots=True)
class KeyNamed:
    """A call that came with an idempotency key, by that and by whom it called."""

    target: Target
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class WorkflowNamed:
    """The ``run`` of a workflow, by its class and key."""

    workflow: str
    key: str


Named = IdNamed | KeyNamed | WorkflowNamed
"""What somebody says who means one invocation; there may be no such one."""


def headers_of(options: CallOptions) -> dict[str, str]:
    """What a handler sees as the headers of a call that did not come by HTTP."""
    return {} if options.content_type is None else {"content-type": options.content_type}


def request_of(target: Target, argument: bytes, options: CallOptions) -> CallRequest:
    """The request that a call from this process is."""
    return CallRequest(
        target=target,
        argument=argument,
        headers=headers_of(options),
        idempotency_key=options.idempotency_key,
        delay_ms=0 if options.delay is None else options.delay_ms,
        mode=options.mode,
        callback=options.callback,
    )


class Answer(Struct, frozen=True, kw_only=True):
    """What a call from outside is told, once that is durable."""

    invocation_id: str
    is_duplicate: bool = False
    """The idempotency key named an earlier invocation, and this is about that one."""
    is_other_body: bool = False
    """... whose body was another one."""
    execution_time_ms: int | None = None
    """When a delayed invocation will start, milliseconds since 1970."""
    outcome: bytes | TerminalError | None = None
    """The result's JSON, or the failure; ``None`` when only the acceptance was asked for."""
    expires_ms: int | None = None
    """Where the outcome was there already: until when it is, milliseconds since 1970."""
    content_type: str = JSON
    """Of a result whose handler whoever asked has not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeStatistics:
    """A moment's view of a runtime, for metrics and tests."""

    invocations_accepted: int
    invocations_completed: int
    invocations_collected: int
    """Completed ones that were kept long enough, or were too much to keep, and are gone."""
    retained_bytes: int
    """Of those that are kept."""
    attempts_started: int
    attempts_resident: int
    attempts_suspended: int
    """Times an attempt left memory because it only waited."""
    actions_started: int
    objects_busy: int
    batches_written: int
    rows_written: int
    bytes_written: int
    syncs: int
