"""The tables of objects, of services, and of the limits of the runtime."""

from collections.abc import Iterator

from ...journal.entry import Failure
from ...objects.definition import ServiceDefinition
from ...runtime.views.objects import (
    FieldView,
    PromiseView,
    TurnView,
    WaitingView,
    scan_inbox,
    scan_promises,
    scan_state,
    scan_turns,
)
from ...runtime.views.rows import LimitView, Rows, accepted_at_ms, id_text
from .table import Column, Given, Table, time_text

_BY_OBJECT = (("service_name", "service_key"), ("service_name",))


def _find_state(rows: Rows, given: Given) -> Iterator[FieldView]:
    return scan_state(rows, given.get("service_name"), given.get("service_key"))


def _find_inbox(rows: Rows, given: Given) -> Iterator[WaitingView]:
    return scan_inbox(rows, given.get("service_name"), given.get("service_key"))


def _find_turns(rows: Rows, given: Given) -> Iterator[TurnView]:
    return scan_turns(rows, given.get("service_name"), given.get("service_key"))


def _find_promises(rows: Rows, given: Given) -> Iterator[PromiseView]:
    return scan_promises(rows, given.get("service_name"), given.get("service_key"))


def _find_services(rows: Rows, _: Given) -> Iterator[ServiceDefinition]:
    return iter(rows.registry.services.values())


def _find_limits(rows: Rows, _: Given) -> Iterator[LimitView]:
    return iter(rows.limits)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _value_of(seen: PromiseView) -> bytes | None:
    return seen.result if isinstance(seen.result, bytes) else None


def _failure_of(seen: PromiseView) -> str | None:
    return seen.result.message if isinstance(seen.result, Failure) else None


STATE = Table(
    "state",
    "The state of objects and workflows, a row a field, as it was stored last.",
    (
        Column("service_name", lambda seen: seen.service),
        Column("service_key", lambda seen: seen.key),
        Column("key", lambda seen: seen.name),
        Column("key_length", lambda seen: len(seen.name.encode()), "INTEGER"),
        Column("value_utf8", lambda seen: _text(seen.json)),
        Column("value", lambda seen: seen.json, "BLOB"),
        Column(
            "value_length",
            lambda seen: None if seen.json is None else len(seen.json),
            "INTEGER",
        ),
    ),
    _find_state,
    ("service_name", "service_key", "key"),
    _BY_OBJECT,
)

SYS_INBOX = Table(
    "sys_inbox",
    "Who waits for a turn; those with an interrupt go first, then by their numbers.",
    (
        Column("service_name", lambda seen: seen.service),
        Column("service_key", lambda seen: seen.key),
        Column("id", lambda seen: id_text(seen.invocation_id)),
        Column("sequence_number", lambda seen: seen.sequence, "INTEGER"),
        Column("mode", lambda seen: seen.mode),
        Column("created_at", lambda seen: time_text(accepted_at_ms(seen.invocation_id))),
    ),
    _find_inbox,
    ("id",),
    _BY_OBJECT,
)

SYS_KEYED_SERVICE_STATUS = Table(
    "sys_keyed_service_status",
    "Who holds the turn at an object.",
    (
        Column("service_name", lambda seen: seen.service),
        Column("service_key", lambda seen: seen.key),
        Column("invocation_id", lambda seen: id_text(seen.invocation_id)),
    ),
    _find_turns,
    ("service_name", "service_key"),
    _BY_OBJECT,
)

SYS_PROMISE = Table(
    "sys_promise",
    "Promises of workflows that are completed, or that somebody awaits.",
    (
        Column("service_name", lambda seen: seen.service),
        Column("service_key", lambda seen: seen.key),
        Column("key", lambda seen: seen.name),
        Column("completed", lambda seen: seen.completed_ms is not None, "BOOLEAN"),
        Column("completion_success_value", _value_of, "BLOB"),
        Column("completion_success_value_utf8", lambda seen: _text(_value_of(seen))),
        Column("completion_failure", _failure_of),
        Column("completed_at", lambda seen: time_text(seen.completed_ms)),
    ),
    _find_promises,
    ("service_name", "service_key", "key"),
    _BY_OBJECT,
)

SYS_SERVICE = Table(
    "sys_service",
    "The classes that are served.",
    (
        Column("name", lambda seen: seen.name),
        Column("ty", lambda seen: seen.kind.replace(" ", "_")),
        Column("public", lambda seen: not seen.is_private, "BOOLEAN"),
        Column("handlers", lambda seen: ", ".join(sorted(seen.handlers))),
    ),
    _find_services,
    ("name",),
)

SYS_LIMIT = Table(
    "sys_limit",
    "Bounds of the runtime, and how much of them is used where that is counted.",
    (
        Column("name", lambda seen: seen.name),
        Column("used", lambda seen: seen.used, "INTEGER"),
        Column("maximum", lambda seen: seen.maximum, "INTEGER"),
    ),
    _find_limits,
    ("name",),
)
