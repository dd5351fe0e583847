"""What a server tells of an invocation, as the values that the runtime describes it with.

GET /invocations/{id}                       operators   an ``InvocationInfo``, named as in SQL
GET /restate/invocation/{id}/effects        callers     an ``EffectPage``
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from ..objects.errors import TerminalError
from ..objects.identity import Target
from ..runtime.effects import EffectInfo, EffectPage
from ..runtime.invocation_info import AwaitedInfo, AwaitedKind, InvocationInfo, Status


class _Awaited(msgspec.Struct):
    kind: AwaitedKind
    name: str = ""
    index: int = -1
    source: str = ""
    until: datetime | None = None
    invocation_id: str | None = None
    failures: int = 0
    last_failure: str = ""


class _Described(msgspec.Struct):
    id: str
    target_service_name: str
    target_handler_name: str
    status: Status
    created_at: datetime
    target_service_key: str | None = None
    mode: str = "queue"
    idempotency_key: str | None = None
    invoked_by_id: str | None = None
    restarted_from: str | None = None
    scheduled_start_at: datetime | None = None
    running_at: datetime | None = None
    completed_at: datetime | None = None
    next_retry_at: datetime | None = None
    retry_count: int = 0
    last_failure: str = ""
    is_canceled: bool = False
    journal_size: int = 0
    awaiting: list[_Awaited] = []
    completion_result: str | None = None
    completion_failure: str | None = None


class _Effects(msgspec.Struct):
    effects: tuple[EffectInfo, ...]
    next: int | None = None


_DESCRIBED: Final = msgspec.json.Decoder(_Described)
_EFFECTS: Final = msgspec.json.Decoder(_Effects)


def parse_info(body: bytes) -> InvocationInfo:
    """The description in an answer; of an error the status and the message are told."""
    said = _DESCRIBED.decode(body)
    target = Target(said.target_service_name, said.target_service_key, said.target_handler_name)
    mode: Any = said.mode
    outcome: Any = said.completion_result
    failure = said.completion_failure
    return InvocationInfo(
        id=said.id,
        target=target,
        status=said.status,
        accepted_at=said.created_at,
        scheduled_for=said.scheduled_start_at,
        begun_at=said.running_at,
        completed_at=said.completed_at,
        is_canceled=said.is_canceled,
        idempotency_key=said.idempotency_key,
        caller=said.invoked_by_id,
        mode=mode,
        failures=said.retry_count,
        next_attempt_at=said.next_retry_at,
        last_failure=said.last_failure,
        awaiting=tuple(_awaited(each) for each in said.awaiting),
        entries=said.journal_size,
        restarted_from=said.restarted_from,
        outcome=outcome,
        error=None if failure is None else _error(failure),
    )


def parse_effects(body: bytes) -> EffectPage:
    """The page of effects in an answer."""
    page = _EFFECTS.decode(body)
    return EffectPage(page.effects, page.next)


def _awaited(said: _Awaited) -> AwaitedInfo:
    return AwaitedInfo(**{name: getattr(said, name) for name in said.__struct_fields__})


def _error(text: str) -> TerminalError:
    """The failure that ``[409] canceled`` tells of."""
    code, bracket, message = text.removeprefix("[").partition("] ")
    if not bracket or not code.isdigit():
        return TerminalError(text)
    return TerminalError(message, status_code=int(code))
