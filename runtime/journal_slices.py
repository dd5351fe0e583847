"""Reading the journal of one invocation a slice at a time, for whoever tells people about it.

Entries never change and are only appended, so slices of different moments fit together; whether
the journal is still kept is asked anew for each.
"""

import asyncio
from typing import Protocol

from ..journal import codec, keys
from ..journal.entry import Entry
from ..journal.records import Kept
from ..objects.errors import InvalidArgumentError, NotKeptError, UnknownTargetError
from ..objects.identity import InvocationId, format_invocation_id
from ..objects.whole_numbers import check_whole
from .attachments import describe_unknown
from .budget import read_slice
from .core import Core

_SLICE_ROWS = 256


class Reader(Protocol):
    """Whoever makes something of the entries."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing further in the journal could change it."""
        ...

    def add(self, index: int, entry: Entry) -> None:
        """Take the next entry."""
        ...


def check_page(after: int, limit: int, limit_max: int, what: str) -> None:
    """Refuse a page of ``what`` that cannot be.

    Raises:
        InvalidArgumentError: it would be too long or empty, or begin at no entry.
    """
    if not 1 <= check_whole(limit, "limit") <= limit_max:
        message = f"a page has 1 to {limit_max} {what}, not {limit!r:.40}"
        raise InvalidArgumentError(message)
    if not -1 <= check_whole(after, "after") < 1 << 32:
        message = f"after={after!r:.40} is the index of no entry"
        raise InvalidArgumentError(message)


async def read_journal(core: Core, id_: InvocationId, after: int, reader: Reader) -> bool:
    """Give ``reader`` what it wants of the entries behind ``after``.

    Whether the invocation is open is returned in the decision that read the last slice.

    Raises:
        UnknownTargetError: there is no such invocation.
        NotKeptError: it is completed, and its journal is not kept.
    """
    start, end = keys.journal(id_, after + 1), keys.prefix_range(keys.JOURNAL + id_)[1]
    while True:
        is_open = _check_kept(core, id_)
        rows, is_all = read_slice(core.commits, start, end, _SLICE_ROWS)
        for key, row in rows:
            reader.add(int.from_bytes(key[-4:], "big"), codec.decode_entry(row))
        if is_all or reader.is_complete:
            return is_open
        start = rows[-1][0] + b"\0"
        await _next_round()
        core.check_open()


def _check_kept(core: Core, id_: InvocationId) -> bool:
    """Whether the invocation is open.

    Raises:
        UnknownTargetError, NotKeptError: it has no journal any more.
    """
    if core.lifecycle.find(id_) is not None:
        return True
    outcome = core.lifecycle.outcomes.find(id_)
    if outcome is None:
        raise UnknownTargetError(describe_unknown(id_))
    if outcome.kept is not Kept.JOURNAL:
        message = (
            f"the journal of {outcome.target} ({format_invocation_id(id_)}) is not kept, so "
            f"nothing is known of its steps; a call without steps leaves none, and others are kept "
            f"for their retention"
        )
        raise NotKeptError(message)
    return False


def _next_round() -> "asyncio.Future[None]":
    """Awaited, it gives everybody else their turn."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(_set_done, future)
    return future


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
