"""The tables of invocations, of their journals and of what they wait for."""

import json
from collections.abc import Callable, Iterator

from ...journal.entry import Failure
from ...objects.errors import InvalidArgumentError
from ...objects.identity import (
    AwakeableId,
    InvocationId,
    parse_awakeable_id,
    parse_invocation_id,
)
from ...runtime.views.invocations import InvocationView, find_invocation, scan_completed, scan_open
from ...runtime.views.journals import EntryView, scan_journal
from ...runtime.views.rows import Rows, id_text
from ...runtime.views.steps import StepView, scan_steps
from ...runtime.views.waiting import AwakeableView, TimerView, scan_awakeables, scan_timers
from .entry_json import entry_json
from .table import NOT, Column, Given, Table, time_text

_BY_ID = (("id",),)
_NOT_STATUS = NOT + "status"


def _find_invocations(rows: Rows, given: Given) -> Iterator[InvocationView]:
    if "id" not in given:
        is_completed = given.get("status") == "completed"
        may_be_open = not is_completed
        may_be_completed = is_completed or (
            "status" not in given and given.get(_NOT_STATUS) != "completed"
        )
        if may_be_open:
            yield from scan_open(rows)
        if may_be_completed:
            yield from scan_completed(rows)
        return
    try:
        id_ = parse_invocation_id(given["id"])
    except InvalidArgumentError:
        return  # No such id, so no such row.
    found = find_invocation(rows, id_)
    if found is not None:
        yield found


def _find_entries(rows: Rows, given: Given) -> Iterator[EntryView]:
    try:
        id_ = parse_invocation_id(given["id"]) if "id" in given else None
    except InvalidArgumentError:
        return
    yield from scan_journal(rows, id_)


def _find_steps(rows: Rows, given: Given) -> Iterator[StepView]:
    try:
        id_ = parse_invocation_id(given["id"]) if "id" in given else None
    except InvalidArgumentError:
        return
    yield from scan_steps(rows, id_)


def _find_awakeables(rows: Rows, given: Given) -> Iterator[AwakeableView]:
    of: AwakeableId | InvocationId | None = None
    try:
        if "id" in given:
            of = parse_awakeable_id(given["id"])
        elif "invocation_id" in given:
            of = parse_invocation_id(given["invocation_id"])
    except InvalidArgumentError:
        return
    yield from scan_awakeables(rows, of)


def _find_timers(rows: Rows, _: Given) -> Iterator[TimerView]:
    return scan_timers(rows)


def _find_events(rows: Rows, given: Given) -> Iterator[InvocationView]:
    found = _find_invocations(rows, given) if given else scan_open(rows)
    return (each for each in found if each.last_failure)


def _invoked_by(seen: InvocationView) -> str | None:
    if seen.restarted_from is not None:
        return "restart_as_new"
    # Who sent something without waiting for it is not recorded, nor who called what is completed.
    return None if seen.caller is None else "service"


def _result_of(seen: InvocationView) -> str | None:
    if seen.is_open:
        return None
    return "success" if seen.failure is None else "failure"


def _failure_text(failure: Failure | None) -> str | None:
    return None if failure is None else f"[{failure.status_code}] {failure.message}"


def _invoked_target(entry: EntryView) -> str | None:
    target = entry.invoked[0]
    return None if target is None else str(target)


def _event_json(seen: InvocationView) -> str:
    said = {"message": seen.last_failure, "failures": seen.failures, "step": seen.failed_step}
    return json.dumps({name: value for name, value in said.items() if value is not None})


SYS_INVOCATION = Table(
    "sys_invocation",
    "Invocations, open and completed ones that are kept.",
    (
        Column("id", lambda seen: id_text(seen.id)),
        Column("target", lambda seen: str(seen.target)),
        Column("target_service_name", lambda seen: seen.target.service),
        Column("target_service_key", lambda seen: seen.target.key),
        Column("target_handler_name", lambda seen: seen.target.handler),
        Column(
            "target_service_ty",
            lambda seen: seen.service and seen.service.kind.replace(" ", "_"),
        ),
        Column("idempotency_key", lambda seen: seen.idempotency_key),
        Column("invoked_by", _invoked_by),
        Column("invoked_by_id", lambda seen: id_text(seen.caller)),
        Column("restarted_from", lambda seen: id_text(seen.restarted_from)),
        Column("mode", lambda seen: seen.mode),
        Column("status", lambda seen: seen.status),
        Column("is_canceled", lambda seen: seen.is_canceled, "BOOLEAN"),
        Column("journal_size", lambda seen: seen.journal_size, "INTEGER"),
        Column("created_at", lambda seen: time_text(seen.accepted_ms)),
        Column("scheduled_start_at", lambda seen: time_text(seen.scheduled_ms)),
        Column("running_at", lambda seen: time_text(seen.begun_ms)),
        Column("completed_at", lambda seen: time_text(seen.completed_ms)),
        Column("kept_until", lambda seen: time_text(seen.kept_until_ms)),
        Column("journal_kept_until", lambda seen: time_text(seen.journal_kept_until_ms)),
        Column("retry_count", lambda seen: seen.failures, "INTEGER"),
        Column("next_retry_at", lambda seen: time_text(seen.next_attempt_ms)),
        Column("last_failure", lambda seen: seen.last_failure),
        Column("completion_result", _result_of),
        Column("completion_failure", lambda seen: _failure_text(seen.failure)),
    ),
    _find_invocations,
    ("id",),
    (("id",), ("status",), (_NOT_STATUS,)),
)

SYS_JOURNAL = Table(
    "sys_journal",
    "The entries of journals that are kept.",
    (
        Column("id", lambda seen: id_text(seen.invocation_id)),
        Column("index", lambda seen: seen.index, "INTEGER"),
        Column("entry_type", lambda seen: seen.kind),
        Column("name", lambda seen: seen.name),
        Column("completed", lambda seen: seen.is_answered, "BOOLEAN"),
        Column("completes_index", lambda seen: seen.completes, "INTEGER"),
        Column("invoked_id", lambda seen: id_text(seen.invoked[1])),
        Column("invoked_target", _invoked_target),
        Column("sleep_wakeup_at", lambda seen: time_text(seen.wakeup_ms)),
        Column("promise_name", lambda seen: seen.promise),
        Column("source", lambda seen: seen.source),
        Column("version", lambda seen: seen.raw[0], "INTEGER"),
        Column("raw", lambda seen: seen.raw, "BLOB"),
        Column("raw_length", lambda seen: len(seen.raw), "INTEGER"),
        Column("entry_json", entry_json),
        Column("appended_at", lambda seen: time_text(seen.appended_ms)),
    ),
    _find_entries,
    ("id", "index"),
    _BY_ID,
)

SYS_JOURNAL_EVENTS = Table(
    "sys_journal_events",
    "The last failure of each open invocation that has failed, or why it is paused.",
    (
        Column("id", lambda seen: id_text(seen.id)),
        Column("after_journal_entry_index", lambda seen: seen.journal_size - 1, "INTEGER"),
        Column(
            "event_type",
            lambda seen: "Paused" if seen.status == "paused" else "TransientError",
        ),
        Column("event_json", _event_json),
    ),
    _find_events,
    ("id",),
    _BY_ID,
)

SYS_STEP = Table(
    "sys_step",
    "The steps of journals that are kept, and where they stand.",
    (
        Column("id", lambda seen: id_text(seen.invocation_id)),
        Column("index", lambda seen: seen.index, "INTEGER"),
        Column("name", lambda seen: seen.name),
        Column("status", lambda seen: seen.status),
        Column("is_canceled", lambda seen: seen.is_canceled, "BOOLEAN"),
        Column("attempts", lambda seen: seen.record and seen.record.attempts_begun, "INTEGER"),
        Column("retry_count", lambda seen: seen.record and seen.record.failures, "INTEGER"),
        Column("began_at", lambda seen: seen.record and time_text(seen.record.began_ms)),
        Column("last_failed_at", lambda seen: seen.record and time_text(seen.record.failed_ms)),
        Column(
            "next_retry_at", lambda seen: seen.record and time_text(seen.record.next_attempt_ms)
        ),
        Column("completed_at", lambda seen: time_text(seen.completed_ms)),
        Column("last_failure", lambda seen: seen.last_failure),
        Column("idempotency_key", lambda seen: seen.idempotency_key),
        Column("source", lambda seen: seen.source),
    ),
    _find_steps,
    ("id", "index"),
    _BY_ID,
)


def _of_target(part: str) -> Callable[[AwakeableView], str | None]:
    def get(seen: AwakeableView) -> str | None:
        return None if seen.target is None else getattr(seen.target, part)

    return get


SYS_AWAKEABLE = Table(
    "sys_awakeable",
    "Awakeables that are open.",
    (
        Column("id", lambda seen: str(seen.id)),
        Column("invocation_id", lambda seen: id_text(seen.id.invocation_id)),
        Column("index", lambda seen: seen.id.index, "INTEGER"),
        Column("service_name", _of_target("service")),
        Column("service_key", _of_target("key")),
        Column("handler_name", _of_target("handler")),
        Column("message", lambda seen: seen.message),
        Column("json_schema", lambda seen: seen.schema),
        Column("created_at", lambda seen: time_text(seen.created_ms)),
        Column("expires_at", lambda seen: time_text(seen.due_ms)),
    ),
    _find_awakeables,
    ("id",),
    (("id",), ("invocation_id",)),
)

SYS_TIMER = Table(
    "sys_timer",
    "Timers that have not rung: sleeps, delayed sends, retries, deadlines of awakeables.",
    (
        Column("due_at", lambda seen: time_text(seen.due_ms)),
        Column("kind", lambda seen: seen.kind.name.lower()),
        Column("invocation_id", lambda seen: id_text(seen.invocation_id)),
        Column("index", lambda seen: seen.index, "INTEGER"),
    ),
    _find_timers,
    ("due_at", "invocation_id", "index"),
)
