"""What is known of an invocation, as JSON: named as in the SQL tables."""

from datetime import datetime
from typing import Any

from ...runtime.invocation_info import AwaitedInfo, InvocationInfo
from ..answers import format_time


def describe_info(info: InvocationInfo) -> dict[str, Any]:
    """One invocation; what is not so, or not known, is left out."""
    target = info.target
    error = info.error
    return _without_nothing(
        id=info.id,
        target=str(target),
        target_service_name=target.service,
        target_service_key=target.key,
        target_handler_name=target.handler,
        status=info.status,
        mode=info.mode,
        idempotency_key=info.idempotency_key,
        invoked_by_id=info.caller,
        restarted_from=info.restarted_from,
        created_at=_time(info.accepted_at),
        scheduled_start_at=_time(info.scheduled_for),
        running_at=_time(info.begun_at),
        completed_at=_time(info.completed_at),
        next_retry_at=_time(info.next_attempt_at),
        retry_count=info.failures or None,
        last_failure=info.last_failure or None,
        is_canceled=info.is_canceled or None,
        journal_size=info.entries,
        awaiting=[_describe_awaited(each) for each in info.awaiting] or None,
        completion_result=info.outcome,
        completion_failure=None if error is None else f"[{error.status_code}] {error.message}",
    )


def _describe_awaited(awaited: AwaitedInfo) -> dict[str, Any]:
    return _without_nothing(
        kind=awaited.kind,
        name=awaited.name or None,
        index=awaited.index if awaited.index >= 0 else None,
        source=awaited.source or None,
        until=_time(awaited.until),
        invocation_id=awaited.invocation_id,
        failures=awaited.failures or None,
        last_failure=awaited.last_failure or None,
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(round(moment.timestamp() * 1000))


def _without_nothing(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
