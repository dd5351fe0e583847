"""A journal entry as JSON, for people: what was asked for, and values as what they say."""

import json
from typing import Any

from msgspec.structs import fields

from ...journal.entry import Cancellation, Completion, Failure, Input, Issued, Reads, Run
from ...objects.errors import HoldfastError
from ...objects.identity import INVOCATION_ID_BYTES, InvocationId, Target, format_invocation_id
from ...objects.serde import packed_serde
from ...runtime.views.journals import EntryView

_PACKED = packed_serde(Any)


def entry_json(seen: EntryView) -> str:
    """``{"Command": {"Run": {"name": "llm"}}}``, or ``{"Notification": ...}``."""
    entry = seen.entry
    kind, _, name = seen.kind.partition(": ")
    said: dict[str, Any]
    match entry:
        case Input(argument=argument, headers=headers):
            said = {"headers": dict(headers), "payload": _json_value(argument)}
        case Issued(command):
            said = {each.name: _plain(getattr(command, each.name)) for each in fields(command)}
        case Completion(index, _, result):
            is_step = seen.answers is not None and isinstance(seen.answers.command, Run)
            said = {"completes": index, "result": _result(result, is_packed=is_step)}
        case Cancellation(_, reason):
            said = {"reason": reason}
        case Reads(fields=read):
            said = {"fields": sorted(read)}
    return json.dumps({kind: {name: said}}, ensure_ascii=False, default=repr)


def _result(result: bytes | Failure | None, *, is_packed: bool) -> Any:
    if result is None:
        return None
    if isinstance(result, Failure):
        return {"Failure": _plain(result)}
    return {"Success": _packed_value(result) if is_packed else _json_value(result)}


def _json_value(payload: bytes) -> Any:
    if not payload:
        return None
    try:
        return json.loads(payload)
    except ValueError:
        return _text_or_hex(payload)


def _packed_value(payload: bytes) -> Any:
    try:
        return _PACKED.decode(payload)
    except HoldfastError:
        return payload.hex()


def _plain(value: Any) -> Any:
    match value:
        case bytes() if len(value) == INVOCATION_ID_BYTES:
            return format_invocation_id(InvocationId(value))
        case bytes():
            return _text_or_hex(value)
        case Target():
            return str(value)
        case Failure():
            shown = {"code": value.status_code, "message": value.message, "type": value.type_name}
            return {**shown, "metadata": dict(value.metadata)} if value.metadata else shown
        case None | str() | int():
            return value
        case _:
            return str(value)


def _text_or_hex(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload.hex()
