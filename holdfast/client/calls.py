"""Calls and sends over HTTP, so that each is one invocation however often it is sent.

    a handler           has the key of the caller's, else one of our own
    run of a workflow   has none: the workflow's own key is one

What is lost of a ``run`` and then answered with 409 was taken, or somebody else's was just before;
either way the workflow has one outcome, and it is that which the call then waits for.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypedDict, TypeVar
from urllib.parse import quote

from ..objects.call_options import PLAIN, CallOptions, Mode, outside_options
from ..objects.durations import to_duration
from ..objects.errors import (
    AnswerLostError,
    ConflictError,
    HoldfastError,
    InvalidArgumentError,
    TerminalError,
)
from ..objects.identity import Target
from ..objects.media import is_json
from ..objects.misfits import misfit_of_call
from ..objects.serde import Serde, json_serde
from .asking import Answered, Asker
from .exchange import Ask, Reply
from .failures import INVOCATION_ID, error_of, is_key_refused, lost_error
from .seams import Seams

T = TypeVar("T")

JSON: Final = {"content-type": "application/json"}
RUN: Final = "run"
_ANY_JSON: Final = json_serde(Any)


class ClientCallKeywords(TypedDict, total=False):
    """What a call through a client may say; all of it may be left out."""

    mode: Mode
    """See ``CallKeywords``."""

    idempotency_key: str | None
    """See ``OutsideCallKeywords``. A call that has none is given one by the client."""

    timeout: timedelta | float | None
    """How long to wait for the answer, in seconds where it is a number; ``None``: without end. What
    was accepted goes on."""


_KEYWORDS: Final = frozenset(ClientCallKeywords.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions(CallOptions):
    """The options of a call through a client.

    Attributes:
        timeout: how long its answer is waited for.
        is_workflow: whether the target is known to be a workflow.
    """

    timeout: timedelta | None = None
    is_workflow: bool = False


def remote_options(given: Mapping[str, Any], *, is_workflow: bool = False) -> RemoteOptions:
    """The options of a call, from the caller's keywords.

    Raises:
        InvalidArgumentError: a keyword that there is not, or a value that does not fit.
    """
    unknown = sorted(given.keys() - _KEYWORDS)
    if unknown:
        message = (
            f"a call through a client has no option {', '.join(unknown)}; there are "
            f"{', '.join(sorted(_KEYWORDS))}"
        )
        if "callback" in unknown:
            message += ". Have a handler of the server's make the call that has a callback"
        raise InvalidArgumentError(message)
    timeout = given.get("timeout")
    said = outside_options({name: given[name] for name in given if name != "timeout"})
    if said.idempotency_key is not None:
        _check_header(said.idempotency_key)
    return RemoteOptions(
        idempotency_key=said.idempotency_key,
        mode=said.mode,
        timeout=None if timeout is None else to_duration(timeout, "the timeout of a call"),
        is_workflow=is_workflow,
    )


def segment(text: str) -> str:
    """``text`` as one segment of a path, also where it is ``..`` or holds slashes."""
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")


def path_of(target: Target) -> str:
    """The path at which a handler is called."""
    names = [target.service, *([] if target.key is None else [target.key]), target.handler]
    return "".join("/" + segment(name) for name in names)


class Calls:
    """A ``Caller`` whose callees are behind a server."""

    def __init__(self, asker: Asker, seams: Seams, *, makes_keys: bool) -> None:
        """``makes_keys``: whether calls that have no idempotency key are given one."""
        self._asker = asker
        self._seams = seams
        self._makes_keys = makes_keys

    async def call(
        self,
        target: Target,
        argument: bytes,
        result: Serde[Any],
        options: CallOptions = PLAIN,
    ) -> Any:
        """As ``Caller.call``; see ``Client`` for what it raises beside that."""
        ask = self._make(target, argument, options, is_send=False)
        answered = await within(_timeout(options), self._get(ask, target, options, 200), ask)
        try:
            return decode_result(result, answered.reply)
        except InvalidArgumentError as error:
            if options.idempotency_key is not None and answered.reply.body == READ:
                return None  # The key is that of a message that a turn has read.
            raise misfit_of_call(target, error) from None

    async def send(self, target: Target, argument: bytes, options: CallOptions = PLAIN) -> str:
        """As ``Caller.send``; see ``Client`` for what it raises beside that."""
        ask = self._make(target, argument, options, is_send=True)
        answered = await within(_timeout(options), self._get(ask, target, options, 202), ask)
        return answered.reply.headers[INVOCATION_ID]

    def find_handler(self, target: Target) -> None:
        """As ``Caller.find_handler``: the classes are elsewhere."""
        del target

    async def _get(self, ask: Ask, target: Target, options: CallOptions, status: int) -> Answered:
        answered = await self._asker.ask(ask)
        is_ours = options.idempotency_key is None and ask.idempotency_key is not None
        if is_ours and is_key_refused(answered.reply):
            # A workflow, named without its class: it takes no key, and left no trace.
            ask = replace(
                ask,
                headers=_without_key(ask.headers),
                idempotency_key=None,
                hint=_RUN_HINT,
            )
            answered = await self._asker.ask(ask)
        if answered.reply.status == 409 and answered.was_lost and ask.idempotency_key is None:
            error = error_of(ask, answered.reply, self._asker.server, target)
            if status == 200 and isinstance(error, ConflictError):
                return await self._attach(ask, target)
        if answered.reply.status != status:
            error = error_of(ask, answered.reply, self._asker.server, target)
            if answered.was_lost and not isinstance(error, TerminalError | AnswerLostError):
                # This sending was refused; one before it may have been accepted all the same.
                raise lost_error(ask, f"an answer was lost, and then {error.message}") from error
            raise error
        return answered

    async def _attach(self, ask: Ask, target: Target) -> Answered:
        """The outcome of the workflow that ``ask`` has started, or somebody else before it."""
        question = attach_to_workflow(target)
        try:
            return await self._asker.get(question, 200, target=target)
        except TerminalError:
            raise
        except HoldfastError as error:
            raise lost_error(ask, f"an answer was lost, and then {error.message}") from error

    def _make(self, target: Target, argument: bytes, options: CallOptions, *, is_send: bool) -> Ask:
        is_run = getattr(options, "is_workflow", False) and target.handler == RUN
        key = options.idempotency_key
        if key is None and self._makes_keys and not is_run:
            key = self._seams.new_key()
        headers = _content_type(options) if argument else {}
        if key is not None:
            headers["idempotency-key"] = key
        query = [f"delay={options.delay_ms}"] if options.delay_ms else []
        if options.mode != "queue":
            query.append(f"mode={options.mode}")
        path = path_of(target) + ("/send" if is_send else "")
        return Ask(
            method="POST",
            path=f"{path}?{'&'.join(query)}" if query else path,
            what=f"the {'send to' if is_send else 'call of'} {target}",
            body=argument,
            headers=headers,
            idempotency_key=key,
            mark=INVOCATION_ID,
            # A second `run` is a conflict, or tells the id of the first one.
            may_repeat=key is not None or is_run,
            hint=_RUN_HINT if is_run else "without a key, asking again may do it twice",
        )


_RUN_HINT: Final = "it runs once per key, so ask with find_invocation(...) by that"


def attach_to_workflow(target: Target) -> Ask:
    """Waiting for the outcome of the workflow that ``target`` is the run of."""
    assert target.key is not None, "a workflow without a key"
    return Ask(
        method="GET",
        is_question=True,
        mark=INVOCATION_ID,
        path=f"/restate/workflow/{segment(target.service)}/{segment(target.key)}/attach",
        what=f"attaching to {target}",
    )


async def within(timeout: timedelta | None, asking: Awaitable[T], ask: Ask) -> T:  # noqa: ASYNC109  # the caller's
    """What ``asking`` gives, unless that takes longer.

    Raises:
        AnswerLostError: it takes longer. What was accepted goes on.
    """
    if timeout is None:
        return await asking
    seconds = timeout.total_seconds()
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            return await asking
    except TimeoutError:
        if not deadline.expired():
            raise
        raise lost_error(ask, f"{ask.what} was not answered within {seconds:g} s") from None


def _content_type(options: CallOptions) -> dict[str, str]:
    return dict(JSON) if options.content_type is None else {"content-type": options.content_type}


READ: Final = b"null"
"""The outcome of a message that a turn has read, whatever its handler would have returned."""


def decode_result(result: Serde[Any], reply: Reply) -> Any:
    """What an answer gives; ``result`` is JSON's own types where the class is not known.

    Raises:
        InvalidArgumentError: it is not what ``result`` takes.
    """
    media_type = reply.headers.get("content-type", "").lower()
    if result is not _ANY_JSON or not media_type or is_json(media_type):
        return result.decode(reply.body)
    if media_type.startswith("text/"):
        return reply.body.decode(errors="replace")
    return reply.body


def _timeout(options: CallOptions) -> timedelta | None:
    return options.timeout if isinstance(options, RemoteOptions) else None


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "idempotency-key"}


def _check_header(key: str) -> None:
    """Refuse a key that a header would bring to the server as another one."""
    if key != key.strip() or not key.isprintable():
        message = (
            f"the idempotency key {key!r:.80} cannot be sent as a header: it begins or ends with "
            f"a space, or holds a character that is not printable"
        )
        raise InvalidArgumentError(message)
