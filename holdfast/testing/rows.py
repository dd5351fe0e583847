"""What a store holds, in words: the state of every object, what is open, what a batch changes.

For tests and their messages only. A table that this module does not know is counted by its name.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..journal import codec, keys
from ..journal.entry import Cancellation, Completion, Failure, Input, Issued
from ..journal.records import (
    InvocationRecord,
    decode_invocation,
    decode_outcome,
    decode_promise,
)
from ..journal.store import Store
from ..journal.values import FieldValue, make_value_type
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId, Target
from ..objects.serde import packed_serde
from .journals import PENDING, decode_result, view_command

SEQUENCE_BYTES: Final = 8
"""Each state row begins with the turn that wrote it."""

_NAMED: Final = {keys.INVOCATION, keys.OUTCOME}

TABLES: Final = {
    value: name.lower()
    for name, value in vars(keys).items()
    if name.isupper() and isinstance(value, bytes) and len(value) == 1
}


def read_state(store: Store) -> dict[str, dict[str, Any]]:
    """The state of all objects: by ``Class/key``, then by field, as builtins.

    A completed promise of a workflow is there as well, as ``promise <name>``.
    """
    rows: dict[tuple[str, str], dict[bytes, bytes]] = {}
    start, end = keys.prefix_range(keys.STATE)
    for key, row in store.scan(start, end):
        name, field, part = _state_names(key)
        rows.setdefault((name, field), {})[part] = row[SEQUENCE_BYTES:]
    value_type = make_value_type(Any, packed_serde)
    state: dict[str, dict[str, Any]] = {}
    for (name, field), parts in rows.items():
        value = FieldValue(field, value_type, parts).get()
        state.setdefault(name, {})[field] = _plain(value)
    start, end = keys.prefix_range(keys.PROMISE)
    for key, row in store.scan(start, end):
        name, promise, _ = _state_names(key)
        value = decode_result(decode_promise(row).result)
        state.setdefault(name, {})[f"promise {promise}"] = value
    return state


def open_invocations(store: Store) -> Iterator[tuple[InvocationId, InvocationRecord]]:
    """What is not completed, in order of acceptance."""
    start, end = keys.prefix_range(keys.INVOCATION)
    for key, row in store.scan(start, end):
        yield InvocationId(key[1:]), decode_invocation(row)


def has_anything_to_do(store: Store) -> bool:
    """Whether anything runs, or will run by itself when a time comes."""
    for table in (keys.LIVE, keys.TIMER):
        start, end = keys.prefix_range(table)
        for _ in store.scan(start, end):
            return True
    return False


def find_target(store: Store, id_: InvocationId) -> Target | None:
    """Whom an invocation calls; ``None`` if nothing is known of it."""
    row = store.get(keys.invocation(id_))
    if row is not None:
        return decode_invocation(row).target
    row = store.get(keys.outcome(id_))
    return None if row is None else decode_outcome(row).target


def find_last_of(store: Store, target: str) -> InvocationId | None:
    """The invocation of ``Class/key/handler`` that was accepted last, as far as it is kept."""
    found: InvocationId | None = None
    last = -1
    start, end = keys.prefix_range(keys.OUTCOME)
    for key, row in store.scan(start, end):
        outcome = decode_outcome(row)
        if outcome.sequence > last and str(outcome.target) == target:
            found, last = InvocationId(key[1:]), outcome.sequence
    for id_, record in open_invocations(store):
        if record.sequence > last and str(record.target) == target:
            found, last = id_, record.sequence
    return found


def describe_batch(store: Store, batch: Mapping[bytes, bytes | None]) -> list[str]:
    """What a batch changes, a line each; ``store`` tells whose rows they are."""
    names = {
        key[1:]: str(_target_of_row(key, row))
        for key, row in batch.items()
        if row is not None and key[:1] in _NAMED
    }
    lines: dict[str, None] = {}
    others: Counter[str] = Counter()
    for key, row in batch.items():
        id_ = key[1 : 1 + INVOCATION_ID_BYTES]
        name = names.get(id_) or str(find_target(store, InvocationId(id_)) or "an invocation")
        match key[:1], row:
            case keys.INVOCATION, bytes():
                lines[f"{name} is {decode_invocation(row).state.name.lower()}"] = None
            case keys.OUTCOME, bytes():
                lines[f"{name} is completed"] = None
            case keys.JOURNAL, bytes():
                lines[f"{name} {_describe_entry(store, batch, key, row)}"] = None
            case keys.STATE, _:
                object_, field, _ = _state_names(key)
                lines[f"{object_} {'forgets' if row is None else 'stores'} {field}"] = None
            case table, _:
                others[TABLES.get(table, repr(table))] += 1
    return [*lines, *(f"and {count} x {table}" for table, count in others.items())]


def _target_of_row(key: bytes, row: bytes) -> Target:
    is_open = key[:1] == keys.INVOCATION
    return decode_invocation(row).target if is_open else decode_outcome(row).target


def _describe_entry(
    store: Store, batch: Mapping[bytes, bytes | None], key: bytes, row: bytes
) -> str:
    match codec.decode_entry(row):
        case Input():
            return "called"
        case Issued(command):
            return f"asks for {view_command(command, PENDING)}".removesuffix(f" ({PENDING.value})")
        case Completion(index, _, result):
            asked = key[:-4] + keys.u32(index)
            asked_row = batch.get(asked) or store.get(asked)
            asked_entry = None if asked_row is None else codec.decode_entry(asked_row)
            if isinstance(asked_entry, Issued):
                return f"is given {view_command(asked_entry.command, result)}"
            return f"is given {'a failure' if isinstance(result, Failure) else 'a result'}"
        case Cancellation(_, reason):
            return f"is canceled: {reason}"
        case entry:
            return type(entry).__name__


def _state_names(key: bytes) -> tuple[str, str, bytes]:
    service, end = keys.split_text(key, 1)
    object_key, end = keys.split_text(key, end)
    field, end = keys.split_text(key, end)
    return f"{service}/{object_key}", field, key[end:]


def _plain(value: Any) -> Any:
    """``value`` without the tracked kinds of list and dict that long values come as."""
    if isinstance(value, list):
        return list(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, dict):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
