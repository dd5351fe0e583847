"""Awakeables, seen from whoever resolves them: what may be said, what is too late, what is open.

An awakeable is a row while it is open, with all that it says of itself: so it can be answered, and
listed, while the handler that waits for it is not in memory and even while its class is not there.
What does not fit its schema is refused before anything is decided, and it stays open.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec

from ..journal import codec, keys
from ..journal.entry import Failure, Issued, MakeAwakeable
from ..journal.records import (
    AwakeableRecord,
    TimerKind,
    decode_awakeable,
    decode_invocation,
)
from ..objects.awakeable import AwakeableInfo, AwakeablePage
from ..objects.errors import (
    AwakeableExpiredError,
    ConflictError,
    InvalidArgumentError,
    TerminalError,
    UnknownTargetError,
)
from ..objects.identity import (
    INVOCATION_ID_BYTES,
    AwakeableId,
    InvocationId,
    Target,
    accepted_ms,
    format_invocation_id,
)
from ..objects.moments import moment_of
from ..objects.schemas import find_problem, is_plain, load_checker, schema_of
from ..objects.syscalls import Question
from ..objects.whole_numbers import check_whole
from .commits import Commits
from .failures import failure_of
from .journal_reads import find_completion
from .lifecycle import Lifecycle
from .open_invocation import Result
from .seams import run_aside

PAGE_MAX: Final = 1_000
"""Awakeables on one page."""
LOOKED_AT_MAX: Final = 5_000
"""Rows that one page looks at, however few of them are wanted."""


def command_of(question: Question, now_ms: int) -> MakeAwakeable:
    """The command that asks ``question`` at ``now_ms``."""
    timeout = question.timeout
    return MakeAwakeable(
        question.message,
        schema_of(question.annotation),
        0 if timeout is None else now_ms + round(timeout.total_seconds() * 1000),
    )


def open_awakeable(
    lifecycle: Lifecycle,
    id_: InvocationId,
    index: int,
    command: MakeAwakeable,
    *,
    created_ms: int,
) -> None:
    """Have command ``index`` of an invocation completed from outside, or at its deadline."""
    record = AwakeableRecord(
        message=command.message,
        schema=command.schema,
        due_ms=command.due_ms,
        created_ms=created_ms,
    )
    lifecycle.commits.put_new(keys.awakeable(id_, index), record)
    if command.schema is not None and not is_plain(command.schema):
        _load_checker_once()
    if command.due_ms:
        lifecycle.timers.add(command.due_ms, id_, index, TimerKind.AWAKEABLE)


def find_refusal(commits: Commits, awakeable: AwakeableId, result: Result) -> Failure | None:
    """Why an awakeable must not be completed with a value that does not fit; it stays open then.

    One that is closed refuses nothing.
    """
    row = commits.get(keys.awakeable(awakeable.invocation_id, awakeable.index))
    schema = None if row is None else decode_awakeable(row).schema
    if schema is None or isinstance(result, Failure):
        return None
    problem = find_problem(schema, result)
    if problem is None:
        return None
    message = f"the value does not fit {awakeable}, which stays open: {problem}"
    return failure_of(TerminalError(message, status_code=400, type_name="InvalidArgumentError"))


def complete_awakeable(lifecycle: Lifecycle, awakeable: AwakeableId, result: Result) -> bool:
    """Resolve or reject an awakeable; ``False``: somebody completed it before, and that stands.

    Raises:
        InvalidArgumentError: the value does not fit its schema; it stays open.
        ConflictError: its deadline has passed, or its handler does not wait for it any more.
        UnknownTargetError: there never was such an awakeable, or it is long gone.
    """
    commits = lifecycle.commits
    refusal = find_refusal(commits, awakeable, result)
    if refusal is not None:
        raise InvalidArgumentError(refusal.message)
    if lifecycle.complete_awakeable(awakeable, result):
        return True
    id_, index = awakeable.invocation_id, awakeable.index
    row = commits.get(keys.journal(id_, index))
    entry = None if row is None else codec.decode_entry(row)
    if not isinstance(entry, Issued) or not isinstance(entry.command, MakeAwakeable):
        message = f"there is no awakeable {awakeable}: it was never made, or is long completed"
        raise UnknownTargetError(message)
    found = find_completion(commits, id_, index)
    if found is None:
        message = f"nobody waits for {awakeable} any more: its handler gave it up, or has ended"
        raise ConflictError(message)
    ended = found[1].result
    if isinstance(ended, Failure) and ended.kind == AwakeableExpiredError.code:
        message = f"too late: {ended.message}"
        raise ConflictError(message)
    return False


@cache
def _load_checker_once() -> None:
    """Before the first answer comes, which would else stop the loop for it."""
    run_aside(load_checker)


def list_awakeables(
    commits: Commits,
    *,
    service: str | None,
    key: str | None,
    limit: int,
    after: AwakeableId | None,
) -> AwakeablePage:
    """Those that are open now, of a service and a key where that is given, in order of their ids.

    Raises:
        InvalidArgumentError: a page cannot have that many.
    """
    if not 1 <= check_whole(limit, "limit") <= PAGE_MAX:
        message = f"a page has 1 to {PAGE_MAX} awakeables, not {limit!r:.40}"
        raise InvalidArgumentError(message)
    found: list[AwakeableInfo] = []
    last: AwakeableId | None = None
    for looked_at, (awakeable, row) in enumerate(_open_after(commits, after)):
        if len(found) == limit or looked_at == LOOKED_AT_MAX:
            return AwakeablePage(tuple(found), None if last is None else str(last))
        last = awakeable
        target = _find_target(commits, awakeable.invocation_id)
        if target is not None and service in {None, target.service} and key in {None, target.key}:
            found.append(_describe(awakeable, decode_awakeable(row), target))
    return AwakeablePage(tuple(found), None)


def find_awakeable(commits: Commits, awakeable: AwakeableId) -> AwakeableInfo | None:
    """An awakeable that is open now; ``None``: it is completed, closed, or never was."""
    row = commits.get(keys.awakeable(awakeable.invocation_id, awakeable.index))
    target = None if row is None else _find_target(commits, awakeable.invocation_id)
    if row is None or target is None:
        return None
    return _describe(awakeable, decode_awakeable(row), target)


def _open_after(commits: Commits, after: AwakeableId | None) -> Iterator[tuple[AwakeableId, bytes]]:
    start, end = keys.prefix_range(keys.AWAKEABLE)
    if after is not None:
        start = keys.awakeable(after.invocation_id, after.index) + b"\0"
    for key, row in commits.scan(start, end):
        id_ = InvocationId(key[1 : 1 + INVOCATION_ID_BYTES])
        yield AwakeableId(id_, int.from_bytes(key[-4:], "big")), row


def _find_target(commits: Commits, id_: InvocationId) -> Target | None:
    row = commits.get(keys.invocation(id_))
    return None if row is None else decode_invocation(row).target


def _describe(awakeable: AwakeableId, record: AwakeableRecord, target: Target) -> AwakeableInfo:
    created_ms = record.created_ms or accepted_ms(awakeable.invocation_id)
    return AwakeableInfo(
        id=str(awakeable),
        invocation_id=format_invocation_id(awakeable.invocation_id),
        service=target.service,
        key=target.key,
        handler=target.handler,
        message=_decode(record.message),
        schema=_decode(record.schema),
        created=moment_of(created_ms),
        deadline=moment_of(record.due_ms) if record.due_ms else None,
    )


def _decode(data: bytes | None) -> Any:
    return None if data is None else msgspec.json.decode(data)
