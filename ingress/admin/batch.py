"""The verbs of one invocation for up to 1,000 of them; each is decided by itself.

A few at a time are decided in one turn of the loop, without waiting for the disk between: to decide
about 1,000 takes seconds, in which nobody else would be answered. Some may be refused while others
are done: the answer, 200, names both. Where the store failed, nobody knows which were done, and the
whole batch is answered as a single verb is.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from ...objects.errors import HoldfastError, RuntimeClosedError, StoreFailedError
from ..messages import Response
from .answers import json_response
from .invocations import VERBS, Done, Verb
from .refusals import AdminRefusal
from .route import Asked, Described, Route

BATCH_MAX: Final = 1000
"""Restate's."""

TURN_MAX: Final = 50
"""Decided in one turn. What one costs grows with what the turn has decided before."""


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Whom it is about, and for resume and restart-as-new with which code they go on."""

    invocation_ids: list[str]
    deployment: Literal["latest", "keep"] | None = None


class Failed(msgspec.Struct):
    """One that was refused, and why; nothing was changed about it."""

    invocation_id: str
    error: str


class BatchResult(msgspec.Struct):
    """Which were done, in the order they were named, and which were refused."""

    succeeded: list[str]
    failed: list[Failed]


class Restarted(msgspec.Struct):
    """One that was restarted, and what was made of it."""

    old_invocation_id: str
    new_invocation_id: str


class RestartResult(msgspec.Struct):
    """As ``BatchResult``, of restarts."""

    succeeded: list[Restarted]
    failed: list[Failed]


@dataclass(frozen=True, slots=True)
class _Each:
    """What has become of one."""

    id_: str
    done: Done | Failed | HoldfastError
    """The last where nobody knows."""


async def _do(asked: Asked, verb: Verb, batch: Batch) -> list[_Each]:
    ids = batch.invocation_ids
    if len(ids) > BATCH_MAX:
        message = f"Batch size {len(ids)} exceeds maximum allowed size of {BATCH_MAX}"
        raise AdminRefusal(400, message)
    doing: list[asyncio.Task[_Each]] = []
    for start in range(0, len(ids), TURN_MAX):
        # They begin in the order in which they were made, before this goes on.
        doing += [
            asyncio.ensure_future(_try(id_, verb(asked.engine, id_)))
            for id_ in ids[start : start + TURN_MAX]
        ]
        await asyncio.sleep(0)
    found = await asyncio.gather(*doing)
    for each in found:
        if isinstance(each.done, HoldfastError):
            raise each.done
    return found


async def _try(id_: str, doing: Awaitable[Done]) -> _Each:
    try:
        return _Each(id_, await doing)
    except (RuntimeClosedError, StoreFailedError) as error:
        return _Each(id_, error)
    except (AdminRefusal, HoldfastError) as error:
        return _Each(id_, Failed(id_, error.message))


def _route(verb: str) -> Route:
    do = VERBS[verb]
    is_restart = verb == "restart-as-new"

    async def answer(asked: Asked, batch: Any) -> Response:
        each = await _do(asked, do, batch)
        failed = [one.done for one in each if isinstance(one.done, Failed)]
        done = [(one.id_, one.done) for one in each if isinstance(one.done, Done)]
        if is_restart:
            made = [Restarted(id_, one.new_invocation_id or "") for id_, one in done]
            return json_response(200, RestartResult(made, failed))
        return json_response(200, BatchResult([id_ for id_, _ in done], failed))

    return Route(
        method="POST",
        path=f"/internal/invocations_batch_operations/{verb}",
        operation=f"batch_{verb.replace('-', '_')}",
        tag="batch",
        summary=f"As {verb}, for up to {BATCH_MAX:,} invocations",
        answer=answer,
        body=Batch,
        answers={
            200: Described(
                "Which were done and which were not.",
                RestartResult if is_restart else BatchResult,
            )
        },
        is_repeatable=not is_restart,
    )


ROUTES: Final = tuple(_route(verb) for verb in VERBS)
