"""What operators do to one invocation: tell it to end, stop it, go on, do it again, forget it.

Statuses and messages are Restate's. Each verb looks where the invocation stands and decides in the
same turn of the loop, so that "was queued, and is over at once" (200) and "was told" (202) are
never mixed up by what comes in between; the answer leaves once the decision is durable.

What the engine refuses for another reason keeps the engine's words: a restart whose key is in use,
a mailbox that is full.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ...objects.errors import (
    HoldfastError,
    InvalidArgumentError,
    NotKeptError,
    UnknownTargetError,
)
from ...runtime.standing import Phase, Standing
from .descriptions import describe_info
from .port import OperatedEngine
from .refusals import AdminRefusal, refuse_field


class Refused(NamedTuple):
    """With which status and which words around the id; and the error of the engine's own verb."""

    status: int
    words: str
    kind: type[HoldfastError] | None = None


Refusals = Mapping[Phase, Refused]
"""In which phases a verb is refused."""

_UNKNOWN: Final = Refused(404, "The requested invocation '{}' does not exist")
_OVER: Final = Refused(409, "The invocation '{}' was already completed.")
_NOT_RUNNING: Final = Refused(409, "The invocation '{}' is not running, cannot be paused.")
_NOT_COMPLETED: Final = Refused(409, "The invocation '{}' is not yet completed.")
_STILL_RUNNING: Final = Refused(409, "The invocation '{}' is still running.")

_CANCEL: Refusals = {Phase.ENDING: _OVER, Phase.COMPLETED: _OVER}
_KILL: Refusals = {Phase.COMPLETED: _OVER}
_PAUSE: Refusals = {
    **dict.fromkeys((Phase.NOT_BEGUN, Phase.ENDING), _NOT_RUNNING),
    Phase.COMPLETED: _NOT_RUNNING._replace(kind=UnknownTargetError),
}
_RESUME: Refusals = {
    Phase.NOT_BEGUN: Refused(
        425,
        "The invocation '{}' is either inboxed or scheduled, cannot be resumed.",
    ),
    Phase.COMPLETED: Refused(
        409, "The invocation '{}' is completed, cannot be resumed.", UnknownTargetError
    ),
}
_PURGE: Refusals = dict.fromkeys(
    (Phase.NOT_BEGUN, Phase.BEGUN, Phase.PAUSED, Phase.ENDING), _NOT_COMPLETED
)
_RESTART: Refusals = {
    Phase.NOT_BEGUN: Refused(
        425,
        "The invocation '{}' cannot be restarted because it's not running yet.",
    ),
    **dict.fromkeys((Phase.BEGUN, Phase.PAUSED, Phase.ENDING), _STILL_RUNNING),
}
_RUN: Final = Refused(
    422,
    (
        "Restarting the invocation '{}' is not supported. Restarting workflows is not supported: "
        "the run of one executes once per key."
    ),
)
_NO_INPUT: Final = Refused(
    410,
    (
        "The invocation '{}' cannot be restarted because the input is not available. This "
        "indicates that the journal was already purged, or not retained at all."
    ),
)


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb has come to.

    Attributes:
        status: of the answer.
        new_invocation_id: of a restart.
        is_new: whether it changed anything.
    """

    status: int
    new_invocation_id: str | None = None
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """How a restart is asked for; see ``InvocationHandle.restart``."""

    from_entry: int | None = None
    fork: str | None = None


BEGINNING: Final = Restart()


async def cancel(engine: OperatedEngine, id_: str, reason: str = "") -> Done:
    """Tell it to end; 200 where it had not begun and is over at once, 202 where it was told."""
    standing = await _look(engine, id_, _CANCEL)
    is_new = await engine.invocation(id_).cancel(reason)
    return Done(200 if standing.phase is Phase.NOT_BEGUN else 202, is_new=is_new)


async def kill(engine: OperatedEngine, id_: str, reason: str = "") -> Done:
    """End it now, and all it waits for."""
    await _look(engine, id_, _KILL)
    is_new = await engine.invocation(id_).kill(reason)
    return Done(200, is_new=is_new)


async def pause(engine: OperatedEngine, id_: str) -> Done:
    """Stop it where it is; 200 where it was paused already."""
    await _look(engine, id_, _PAUSE)
    is_new = await engine.invocation(id_).pause()
    return Done(202 if is_new else 200, is_new=is_new)


async def resume(engine: OperatedEngine, id_: str) -> Done:
    """Have it go on; one that neither waits for a person nor for its next attempt does anyway."""
    await _look(engine, id_, _RESUME)
    is_new = await engine.invocation(id_).resume()
    return Done(200, is_new=is_new)


async def purge(engine: OperatedEngine, id_: str) -> Done:
    """Forget all of it."""
    await _look(engine, id_, _PURGE)
    await engine.invocation(id_).purge()
    return Done(200)


async def purge_journal(engine: OperatedEngine, id_: str) -> Done:
    """Forget how it came to its outcome."""
    await _look(engine, id_, _PURGE)
    is_new = await engine.invocation(id_).purge_journal()
    return Done(200, is_new=is_new)


async def restart(engine: OperatedEngine, id_: str, how: Restart = BEGINNING) -> Done:
    """Run it once more, as a new invocation."""
    standing = await _look(engine, id_, _RESTART)
    if _is_run(engine, standing):
        await _refuse(engine, id_, _RUN)
    restarting = engine.invocation(id_).restart(from_entry=how.from_entry, fork=how.fork)
    try:
        new_id = await restarting
    except NotKeptError:
        raise AdminRefusal(_NO_INPUT.status, _NO_INPUT.words.format(id_)) from None
    return Done(200, new_id)


Verb = Callable[[OperatedEngine, str], Awaitable[Done]]

VERBS_WITH_REASON: Final[Mapping[str, Callable[[OperatedEngine, str, str], Awaitable[Done]]]] = {
    "cancel": cancel,
    "kill": kill,
}
"""Those that can be told why; whoever awaits the outcome is told that as well."""

VERBS: Final[Mapping[str, Verb]] = {
    "cancel": cancel,
    "kill": kill,
    "pause": pause,
    "resume": resume,
    "purge": purge,
    "purge-journal": purge_journal,
    "restart-as-new": restart,
}
"""By the word in the path.

Raises (each):
    AdminRefusal: there is no such invocation, or it stands where the verb means nothing.
    HoldfastError: the engine refuses for another reason.
"""


async def _look(engine: OperatedEngine, id_: str, refusals: Refusals) -> Standing:
    """Where it stands, when the verb may go on; then this does not wait, so it is the same turn.

    Raises:
        AdminRefusal: it may not; what that tells is durable.
    """
    try:
        standing = engine.find_standing(id_)
    except InvalidArgumentError as error:
        refuse_field("invocation_id", error.message)
    if standing.phase is Phase.UNKNOWN:
        await _refuse(engine, id_, _UNKNOWN)
    refusal = refusals.get(standing.phase)
    if refusal is not None:
        await _refuse(engine, id_, refusal)
    return standing


async def _refuse(engine: OperatedEngine, id_: str, refusal: Refused) -> None:
    """Raise once what the refusal tells is durable.

    Raises:
        AdminRefusal: always.
    """
    await engine.wait_durable()
    raise AdminRefusal(refusal.status, refusal.words.format(id_), refusal.kind)


def _is_run(engine: OperatedEngine, standing: Standing) -> bool:
    target = standing.target
    if target is None:
        return False
    handler = engine.registry.find_code(target)[1]
    return handler is not None and handler.is_run


async def describe(engine: OperatedEngine, id_: str) -> dict[str, Any]:
    """What is known of it, as JSON that leaves out what is not so.

    Raises:
        AdminRefusal: there is none.
    """
    await _look(engine, id_, {})
    return describe_info(await engine.invocation(id_).describe())
