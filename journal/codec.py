"""Entries as bytes, and back.

    entry       := version message          version: one byte, 01
    message     := MessagePack array, first element the tag
    input       := [0, argument, {headers}, seed | nil] or
                   [0, argument, {headers}, seed | nil, order]
    run         := [1, deliveries, source, name] or
                   [1, deliveries, source, name, place]
    sleep       := [2, deliveries, source, due_ms]
    call        := [3, deliveries, source, target, digest, callee]
    send        := [4, deliveries, source, target, digest, delay_ms, callee]
    awakeable   := [5, deliveries, source] or
                   [5, deliveries, source, message | nil, schema | nil, due_ms]
    complete    := [6, deliveries, source, id, index, digest]
    cancel      := [7, deliveries, source, index]
    reads       := [8, deliveries, {field: {part: row}}]
    await       := [9, deliveries, source, promise]
    peek        := [10, deliveries, source, promise]
    settle      := [11, deliveries, source, promise, digest]
    signal      := [12, deliveries, source, name]
    signalled   := [13, deliveries, source, id, name, digest]
    attach      := [14, deliveries, source, id]
    patched     := [15, deliveries, source, name]
    completion  := [16, index, at_ms, bytes | nil]
    failed      := [17, index, at_ms, failure]
    cancelled   := [18, at_ms, reason]
    take        := [19, deliveries, source]
    drain       := [20, deliveries, source]
    compensate  := [21, deliveries, source, name]
    give up     := [22, deliveries, source, failure, [index...]]
    cancel      := [23, deliveries, source, id]      another invocation; 7 takes back a command
    told        := [24, deliveries, at_ms]
    callee      := id; empty where the call or send was refused: a failed with its index follows
    source      := text: "file.py:12#a1b2c3d4", a place and a fingerprint; either may be missing
    place       := as source; begins with ":" where the file is the source's
    target      := [service, key | nil, handler]
    failure     := [kind, status, message, type_name, {metadata}, [[type, message]...]]
                   then, once an invocation has ended with it: [target, id]

Payloads (arguments, results, state rows) are opaque here: they are passed through, never decoded
and encoded again. A tag once given is never used for anything else.
"""

from functools import lru_cache
from typing import Any, assert_never

import msgpack
from msgspec import Struct

from ..objects.errors import StoreDamagedError, StoreFormatError
from ..objects.identity import (
    InvocationId,
    Origin,
    Target,
    format_invocation_id,
    parse_invocation_id,
)
from .entry import (
    Attach,
    AwaitPromise,
    AwaitSignal,
    Call,
    Cancel,
    CancelInvocation,
    Cancellation,
    Command,
    Compensation,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    DrainMessages,
    Entry,
    Failure,
    GiveUp,
    Input,
    Issued,
    MakeAwakeable,
    Patched,
    PeekPromise,
    Reads,
    Run,
    Send,
    SendSignal,
    Sleep,
    TakeMessage,
    Told,
)

SLEEP, CALL, AWAIT, ATTACH = 2, 3, 9, 14
"""Tags, for ``tag_of``."""
ANSWERS = frozenset({7, 16, 17})
"""Tags of what says that the completion of a command is there, or is not wanted."""

VERSION = 1
_PREFIX = bytes((VERSION,))
_pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack


def pack(fields: Any) -> bytes:
    """One row: the version byte, then ``fields`` as MessagePack."""
    packed: bytes = _pack(fields)
    return _PREFIX + packed


def unpack(row: bytes, what: str) -> Any:
    """The fields of a row made by ``pack``.

    Raises:
        StoreFormatError: the row is of a later version.
        StoreDamagedError: the row is not what ``pack`` writes.
    """
    if row[:1] != _PREFIX:
        message = f"{what} has format {row[:1].hex() or 'none'}; this release reads format 01"
        raise StoreFormatError(message)
    try:
        return msgpack.unpackb(row[1:], strict_map_key=False, raw=False)
    except ValueError as error:
        message = f"{what} cannot be read: {error}"
        raise StoreDamagedError(message) from None


def check_packed(data: bytes) -> None:
    """See that bytes are one MessagePack value and nothing else, whatever it means.

    Raises:
        StoreDamagedError: they are not.
    """
    try:
        # Pairs, because a key of a map may be anything, also what is no key of a dict.
        msgpack.unpackb(data, strict_map_key=False, raw=True, object_pairs_hook=list)
    except ValueError as error:
        message = f"it is no MessagePack value: {error}"
        raise StoreDamagedError(message) from None


class InputRow(Struct, frozen=True):
    """The first entry of a journal, encoded when it is written: most never are."""

    input: Input

    def encode(self) -> bytes:
        """The row."""
        input_ = self.input
        return pack([0, input_.argument, dict(input_.headers), input_.seed, input_.order])


def encode_command(command: Command, deliveries: int, source: str) -> bytes:
    """A command's entry."""
    match command:
        case Run(name, action):
            if action is None:
                return pack([1, deliveries, source, name])
            return pack([1, deliveries, source, name, _shorten_place(action, source)])
        case Sleep(due_ms):
            return pack([2, deliveries, source, due_ms])
        case Call(target, digest, callee):
            return pack([3, deliveries, source, encode_target(target), digest, callee])
        case Send(target, digest, delay_ms, callee):
            return pack([4, deliveries, source, encode_target(target), digest, delay_ms, callee])
        case Cancel(index):
            return pack([7, deliveries, source, index])
        case _:
            tag, fields = _command_fields(command)
            return pack([tag, deliveries, source, *fields])


@lru_cache(maxsize=4096)
def _shorten_place(place: str, source: str) -> str:
    """Most actions are written in the file that asks for them, so its name is written once."""
    file = source.rpartition(":")[0]
    return place[len(file) :] if file and place.startswith(f"{file}:") else place


_RareCommand = (
    MakeAwakeable
    | CompleteAwakeable
    | AwaitPromise
    | PeekPromise
    | CompletePromise
    | AwaitSignal
    | SendSignal
    | Attach
    | CancelInvocation
    | Patched
    | TakeMessage
    | DrainMessages
    | Compensation
    | GiveUp
)


def _command_fields(command: _RareCommand) -> tuple[int, list[Any]]:  # noqa: C901, PLR0911, PLR0912  # a table
    match command:
        case MakeAwakeable(None, None, 0):
            return 5, []
        case MakeAwakeable(message, schema, due_ms):
            return 5, [message, schema, due_ms]
        case CompleteAwakeable(invocation_id, index, digest):
            return 6, [invocation_id, index, digest]
        case AwaitPromise(name):
            return 9, [name]
        case PeekPromise(name):
            return 10, [name]
        case CompletePromise(name, digest):
            return 11, [name, digest]
        case AwaitSignal(name):
            return 12, [name]
        case SendSignal(invocation_id, name, digest):
            return 13, [invocation_id, name, digest]
        case Attach(invocation_id):
            return 14, [invocation_id]
        case Patched(name):
            return 15, [name]
        case TakeMessage():
            return 19, []
        case DrainMessages():
            return 20, []
        case Compensation(name):
            return 21, [name]
        case GiveUp(failure, owed):
            return 22, [encode_failure(failure), list(owed)]
        case CancelInvocation(invocation_id):
            return 23, [invocation_id]
        case _:
            assert_never(command)


def encode_reads(reads: Reads) -> bytes:
    """The entry of what a shared handler read."""
    return pack([8, reads.deliveries, {name: dict(rows) for name, rows in reads.fields.items()}])


def encode_told(told: Told) -> bytes:
    """The entry of the time that a handler was told."""
    return pack([24, told.deliveries, told.at_ms])


def encode_completion(completion: Completion) -> bytes:
    """A completion's entry."""
    result = completion.result
    if isinstance(result, Failure):
        return pack([17, completion.index, completion.at_ms, encode_failure(result)])
    return pack([16, completion.index, completion.at_ms, result])


def encode_cancellation(cancellation: Cancellation) -> bytes:
    """A cancellation's entry."""
    return pack([18, cancellation.at_ms, cancellation.reason])


def encode_target(target: Target) -> list[str | None]:
    """A target as part of a row."""
    return [target.service, target.key, target.handler]


def decode_target(fields: list[Any]) -> Target:
    """The target that ``encode_target`` wrote."""
    return Target(fields[0], fields[1], fields[2])


def encode_failure(failure: Failure) -> list[Any]:
    """A failure as part of a row."""
    fields: list[Any] = [
        failure.kind,
        failure.status_code,
        failure.message,
        failure.type_name,
        dict(failure.metadata),
        [list(pair) for pair in failure.cause],
    ]
    if failure.origin is not None:
        id_ = parse_invocation_id(failure.origin.invocation_id)
        fields.append([encode_target(failure.origin.target), id_])
    return fields


def decode_failure(fields: list[Any]) -> Failure:
    """The failure that ``encode_failure`` wrote."""
    kind, status_code, message, type_name, metadata, cause = fields[:6]
    origin = None
    if len(fields) > 6:
        target, id_ = fields[6]
        origin = Origin(decode_target(target), format_invocation_id(id_))
    return Failure(
        kind=kind,
        status_code=status_code,
        message=message,
        type_name=type_name,
        metadata=tuple(metadata.items()),
        cause=tuple((type_, text) for type_, text in cause),
        origin=origin,
    )


def tag_of(row: bytes) -> int:
    """The tag of an entry, without decoding it: for whoever looks for few among many.

    Tags are below 128 and entries have fewer than 16 fields, so it is the third byte.
    """
    return row[2]


def decode_entry(row: bytes) -> Entry:
    """The entry that ``row`` holds.

    Raises:
        StoreFormatError, StoreDamagedError: see ``unpack``; also for a tag this release lacks.
    """
    fields = unpack(row, "a journal entry")
    tag = fields[0]
    if tag == 16:
        return Completion(fields[1], fields[2], fields[3])
    if tag == 17:
        return Completion(fields[1], fields[2], decode_failure(fields[3]))
    if tag == 0:
        order = fields[4] if len(fields) > 4 else 0
        return Input(argument=fields[1], headers=fields[2], seed=fields[3], order=order)
    if tag == 8:
        return Reads(fields[1], fields[2])
    if tag == 18:
        return Cancellation(fields[1], fields[2])
    if tag == 24:
        return Told(fields[1], fields[2])
    return Issued(_decode_command(tag, fields[3:]), fields[1], fields[2])


def _decode_command(tag: int, fields: list[Any]) -> Command:
    match tag:
        case 1:
            return Run(*fields)
        case 2:
            return Sleep(fields[0])
        case 3:
            return Call(decode_target(fields[0]), fields[1], InvocationId(fields[2]))
        case 4:
            target = decode_target(fields[0])
            return Send(target, fields[1], fields[2], InvocationId(fields[3]))
        case 7:
            return Cancel(fields[0])
        case _:
            return _decode_rare_command(tag, fields)


def _decode_rare_command(tag: int, fields: list[Any]) -> Command:  # noqa: C901, PLR0911, PLR0912  # a table
    match tag:
        case 5:
            return MakeAwakeable(*fields)
        case 6:
            return CompleteAwakeable(InvocationId(fields[0]), fields[1], fields[2])
        case 9:
            return AwaitPromise(fields[0])
        case 10:
            return PeekPromise(fields[0])
        case 11:
            return CompletePromise(fields[0], fields[1])
        case 12:
            return AwaitSignal(fields[0])
        case 13:
            return SendSignal(InvocationId(fields[0]), fields[1], fields[2])
        case 14:
            return Attach(InvocationId(fields[0]))
        case 15:
            return Patched(fields[0])
        case 19:
            return TakeMessage()
        case 20:
            return DrainMessages()
        case 21:
            return Compensation(fields[0])
        case 22:
            return GiveUp(decode_failure(fields[0]), tuple(fields[1]))
        case 23:
            return CancelInvocation(InvocationId(fields[0]))
        case _:
            message = f"a journal entry has tag {tag}, which this release does not know"
            raise StoreFormatError(message)
