"""A journal entry as JSON, for people: what was asked for, and values as what they say.

What a journal holds came from callers and handlers, and may be what JSON or UTF-8 cannot say. A
table of all journals must not fail over one of them, so such a value is shown as well as can be.
"""

import json
import math
from typing import Any, Final, cast

from msgspec.structs import fields

from ...journal.entry import Cancellation, Completion, Failure, Input, Issued, Reads, Run, Told
from ...objects.errors import HoldfastError
from ...objects.identity import INVOCATION_ID_BYTES, InvocationId, Target, format_invocation_id
from ...objects.serde import packed_serde
from ...runtime.views.journals import EntryView

_PACKED = packed_serde(Any)
_DEPTH_MAX: Final = 100
"""Of what cannot be shown as it is; what is nested deeper is left out."""


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
        case Told(_, at_ms):
            said = {"at_ms": at_ms}
    return _dump({kind: {name: said}})


def _dump(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=repr)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return json.dumps(_sayable(value), ensure_ascii=False)
    return text


def _sayable(value: Any, depth: int = 0) -> Any:
    """``value`` without what JSON or UTF-8 cannot say."""
    if depth > _DEPTH_MAX:
        return "..."
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float():
            return value
        case dict():
            members = cast("dict[object, object]", value)
            return {_name(key): _sayable(each, depth + 1) for key, each in members.items()}
        case list() | tuple():
            items = cast("list[object]", value)
            return [_sayable(each, depth + 1) for each in items]
        case _:
            return _sayable(repr(value))


def _name(key: object) -> str:
    if isinstance(key, bytes):
        return _text_or_hex(key)
    if key is None or isinstance(key, bool | int):
        return json.dumps(key)
    name: str = _sayable(key if isinstance(key, str) else repr(key))
    return name


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
    except (ValueError, RecursionError):
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
