"""The outcome of an invocation that somebody else made, for those outside who read bytes.

Whoever asks names it by its id, as a workflow, or by an idempotency key. The result is handed on as
it was recorded; ``InvocationHandle.attach`` is the same for those who want it decoded.
"""

import asyncio

import msgspec
from msgspec.structs import replace

from ..objects.errors import NotReadyError, UnknownTargetError
from ..objects.identity import InvocationId, Target, format_invocation_id
from ..objects.media import BYTES, JSON
from .answers import add_outcome
from .attachments import describe_lost, describe_unknown
from .core import Core
from .finding import find_invocation
from .open_invocation import Result
from .requests import Answer, IdNamed, KeyNamed, Named, WorkflowNamed

NOT_FOUND = "invocation not found"
NOT_READY = "the invocation exists but has not completed yet"


def read_outcome(core: Core, named: Named, *, wait: bool) -> "asyncio.Future[Answer]":
    """As ``Outside.read_outcome``."""
    id_ = _find(core, named)
    if id_ is None:
        return core.answers.when_durable(_unknown(named))
    answer = Answer(invocation_id=format_invocation_id(id_))
    invocation = core.lifecycle.find(id_)
    if invocation is not None:
        if wait:
            content_type = _content_type(core, invocation.record.target, None)
            answer = replace(answer, content_type=content_type)
            return core.answers.with_outcome(id_, answer)
        return core.answers.when_durable(NotReadyError(f"{NOT_READY}: {invocation.name}"))
    outcomes = core.lifecycle.outcomes
    outcome = outcomes.find(id_)
    if outcome is None:
        return core.answers.when_durable(_unknown(named))
    if outcome.result is None:
        return core.answers.when_durable(UnknownTargetError(describe_lost(id_)))
    answer = replace(
        answer,
        expires_ms=outcomes.keeping.counts_until_ms(outcome),
        content_type=_content_type(core, outcome.target, outcome.result),
    )
    return core.answers.when_durable(add_outcome(answer, outcome.result))


def look_up(core: Core, named: Named) -> "asyncio.Future[str]":
    """As ``Outside.look_up``."""
    id_ = _find(core, named)
    is_there = id_ is not None and (
        core.lifecycle.find(id_) is not None or core.lifecycle.outcomes.find(id_) is not None
    )
    if id_ is None or not is_there:
        return core.answers.when_durable(_unknown(named))
    return core.answers.when_durable(format_invocation_id(id_))


def _content_type(core: Core, target: Target, result: Result | None) -> str:
    """That of its result, which without its class is what it looks like."""
    handler = core.registry.find_code(target)[1]
    if handler is not None:
        return handler.content_type
    return BYTES if isinstance(result, bytes) and not _is_json(result) else JSON


def _is_json(result: bytes) -> bool:
    try:
        msgspec.json.decode(result, type=msgspec.Raw) if result else None
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _find(core: Core, named: Named) -> InvocationId | None:
    match named:
        case IdNamed(id_):
            core.check_open()
            return id_
        case KeyNamed(target, key):
            return find_invocation(core, target.service, target.key, target.handler, key)
        case WorkflowNamed(workflow, key):
            return find_invocation(core, workflow, key, "run", None)


def _unknown(named: Named) -> UnknownTargetError:
    match named:
        case IdNamed(id_):
            reason = describe_unknown(id_)
        case KeyNamed(target, key):
            reason = f"no call of {target} with the idempotency key {key!r:.80} is known"
        case WorkflowNamed(workflow, key):
            reason = f"{workflow}/{key} was not started, or is completed and no longer kept"
    return UnknownTargetError(f"{NOT_FOUND}: {reason}")
