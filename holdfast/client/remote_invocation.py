"""One invocation behind a server, by its id: the same verbs as ``InvocationHandle``."""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import urlencode

from ..objects.annotations import resolve_annotation, underlying_function
from ..objects.errors import InvalidArgumentError, TerminalError
from ..objects.handler import Handler
from ..objects.identity import check_label, format_invocation_id, parse_invocation_id
from ..objects.media import JSON as MEDIA_JSON
from ..objects.media import is_json, raw_serde
from ..objects.serde import SENT_JSON, Serde, json_serde, result_serde
from ..runtime.effects import EffectPage
from ..runtime.invocation_info import InvocationInfo
from .asking import Asker
from .calls import JSON, READ, decode_result, segment
from .descriptions import parse_effects
from .exchange import Ask
from .failures import INVOCATION_ID
from .operators import Operators
from .remote_promise import reason_text

R_co = TypeVar("R_co", covariant=True)

_ANY_JSON: Final = json_serde(Any)
_TEXT: Final = json_serde(str)
_OVER: Final = 409
_NOT_BEGUN: Final = 425


class RemoteInvocation(Generic[R_co]):
    """One invocation, named by its id; ``client.invocation(id)`` makes these.

    Whether there is such an invocation is found out by the method.
    """

    def __init__(
        self,
        asker: Asker,
        operators: Operators,
        invocation_id: str,
        handler: Handler[..., R_co] | None = None,
    ) -> None:
        """``Client.invocation`` makes these."""
        self._asker = asker
        self._operators = operators
        self._id = format_invocation_id(parse_invocation_id(invocation_id))
        self._result = _ANY_JSON if handler is None else _result_of(handler)

    @property
    def id(self) -> str:
        """``inv_`` and 32 hex digits."""
        return self._id

    async def attach(self) -> R_co:
        """Wait for its outcome, however long it takes, also across restarts of the server.

        Without the handler that it is a call of, the result is what its JSON says.

        Raises:
            TerminalError: it failed.
            UnknownTargetError: there is no such invocation, or it was kept long enough.
            InvalidArgumentError: its result is not what the handler's annotation says.
        """
        return await self._outcome("attach")

    async def output(self) -> R_co:
        """Its outcome, if it has one: as ``attach``, but without waiting for it.

        Raises:
            NotReadyError: it is not completed.
        """
        return await self._outcome("output")

    async def describe(self) -> InvocationInfo:
        """What is known of it now; of an error, its status and its message. For operators.

        Raises:
            UnknownTargetError: there is no such invocation, or it was kept long enough.
        """
        return await self._operators.describe(self._id)

    async def effects(self, *, after: int = -1, limit: int = 100) -> EffectPage:
        """Its steps in the order of asking, and what is known of what each did outside.

        Args:
            after: ``next`` of the page before.
            limit: how many a page has at most, up to 1,000.

        Raises:
            InvalidArgumentError: a page cannot have that many, or there is no such entry.
            UnknownTargetError: there is no such invocation.
            NotKeptError: it is completed, and its journal is not kept.
        """
        given = {"limit": limit} if after == -1 else {"after": after, "limit": limit}
        path = f"/restate/invocation/{self._id}/effects?{urlencode(given)}"
        ask = Ask(method="GET", is_question=True, path=path, what=f"the effects of {self._id}")
        return await self._asker.read(ask, parse_effects)

    async def cancel(self, reason: str = "") -> bool:
        """Tell it to end, so that it can clean up first; see ``InvocationHandle.cancel``.

        ``False`` when it was told before, or is over.
        """
        return await self._operators.tell(self._id, "cancel", query=_reason(reason), over=_OVER)

    async def kill(self, reason: str = "") -> bool:
        """End it now, without any clean-up; see ``InvocationHandle.kill``.

        ``False`` when it is over.
        """
        return await self._operators.tell(self._id, "kill", query=_reason(reason), over=_OVER)

    async def pause(self) -> bool:
        """Stop it where it is, until ``resume``; ``False`` when it is paused already.

        Raises:
            ConflictError: it has not begun.
        """
        return await self._operators.tell(self._id, "pause")

    async def resume(self) -> bool:
        """Have it tried again now, when it is paused or failed lately; else ``False``."""
        return await self._operators.tell(self._id, "resume", over=_NOT_BEGUN)

    async def restart(self, *, from_entry: int | None = None, fork: str | None = None) -> str:
        """Run a completed one once more, as a new invocation; gives the id of that.

        See ``InvocationHandle.restart``.

        Raises:
            AnswerLostError: the new one may have been made.
        """
        if from_entry is None and fork is not None:
            message = "fork= needs from_entry=: a call that begins anew begins at its own key"
            raise InvalidArgumentError(message)
        given = {"from_entry": from_entry, "fork": fork}
        said = {name: value for name, value in given.items() if value is not None}
        return await self._operators.restart(self._id, urlencode(said))

    async def purge(self) -> None:
        """Forget it, now that it is completed; see ``InvocationHandle.purge``."""
        await self._operators.purge(self._id)

    async def purge_journal(self) -> bool:
        """Forget how it came to its outcome, and keep that; ``False`` when there is no journal."""
        return await self._operators.tell(self._id, "purge-journal")

    async def signal(self, name: str, value: Any = None) -> None:
        """Send it a signal, which its handler gets from ``ctx.signal(name)``; order is kept.

        A signal has no key by which it could be told from its repetition, so it is not sent again
        where it may have arrived.

        Raises:
            InvalidArgumentError: that is no name, or the value cannot be encoded.
            UnknownTargetError: there is no such invocation, or it is completed.
            MailboxFullError: too many signals wait there to be awaited.
            AnswerLostError: it may have arrived.
        """
        await self._signal(name, "resolve", SENT_JSON.encode(value))

    async def reject_signal(self, name: str, reason: str | TerminalError) -> None:
        """As ``signal``, but whoever awaits it gets a ``TerminalError``."""
        await self._signal(name, "reject", _TEXT.encode(reason_text(reason)))

    async def _signal(self, name: str, verb: str, body: bytes) -> None:
        checked = check_label(name, "signal")
        ask = Ask(
            method="POST",
            path=f"/restate/invocation/{self._id}/signals/{segment(checked)}/{verb}",
            what=f"the signal {checked!r} to {self._id}",
            body=body,
            headers=JSON,
            may_repeat=False,
            mark=INVOCATION_ID,
            hint="sending it again may deliver it twice",
        )
        await self._asker.get(ask, 200, 202)

    async def _outcome(self, verb: str) -> R_co:
        path = f"/restate/invocation/{self._id}/{verb}"
        ask = Ask(
            method="GET",
            is_question=True,
            mark=INVOCATION_ID,
            path=path,
            what=f"the {verb} of {self._id}",
        )
        answered = await self._asker.get(ask, 200)
        try:
            return cast("R_co", decode_result(self._result, answered.reply))
        except InvalidArgumentError:
            if answered.reply.body != READ:
                raise
            return cast("R_co", None)  # A message that a turn has read: its handler never ran.


def _result_of(handler: Handler[..., Any]) -> Serde[Any]:
    """What decodes the results of ``handler``, whose class is not known here."""
    function: Callable[..., Any] = handler.function
    names = getattr(underlying_function(function), "__globals__", {})
    raw = function.__annotations__.get("return", Any)
    annotation = resolve_annotation(raw, names, {})
    content_type = handler.options.content_type or MEDIA_JSON
    if is_json(content_type):
        return result_serde(annotation)
    return raw_serde(content_type, annotation, "the result")


def _reason(reason: object) -> str:
    if not isinstance(reason, str):
        message = f"a reason is a str, but this is {type(reason).__name__}: {reason!r:.80}"
        raise InvalidArgumentError(message)
    return urlencode({"reason": reason}) if reason else ""
