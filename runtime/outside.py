"""What a program outside of handlers can ask of a runtime: calls, and what concerns one invocation.

Everything in here comes from elsewhere, so it is checked first, and its answer waits at the gate.
What is decided is decided elsewhere; when a runtime starts and stops is ``engine``'s.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeVar, Unpack, overload

from ..objects.awakeable import AwakeablePage
from ..objects.call_options import (
    PLAIN,
    CallOptions,
    OutsideCallKeywords,
    check_idempotency_key,
    outside_options,
)
from ..objects.definition import HandlerDefinition, define
from ..objects.errors import (
    HoldfastError,
    InvalidArgumentError,
    RuntimeClosedError,
    TerminalError,
)
from ..objects.handler import Handler
from ..objects.identity import (
    AwakeableId,
    Target,
    check_key,
    check_label,
    parse_awakeable_id,
    parse_invocation_id,
)
from ..objects.links import NO_VALUE, Verb, make_link
from ..objects.misfits import misfit_of_call
from ..objects.proxy import (
    NO_ARGUMENT,
    call_by_name,
    define_workflow,
    object_proxy,
    send_by_name,
    service_proxy,
    workflow_proxy,
)
from ..objects.registry import Registry
from ..objects.serde import SENT_JSON, Serde, asked_serde
from .admission import Admission
from .awakeables import complete_awakeable, list_awakeables
from .core import Core
from .failures import failure_of
from .finding import find_invocation
from .invocation_handle import InvocationHandle
from .past import Past
from .promise_handle import PromiseHandle
from .requests import Answer, CallRequest, request_of
from .stack_room import check_room
from .state_edits import EditRequest, edit_of_values, get_keyed, submit_edit
from .state_reads import StateSnapshot
from .steering import decode_result

T = TypeVar("T")
R = TypeVar("R")


Health = Literal["new", "ok", "stopping", "stopped", "failed"]


class Outside:
    """The outside of a runtime; ``Engine`` is the one there is."""

    health: Health
    registry: Registry
    # Made when the runtime starts.
    _core: Core
    _admission: Admission

    def _check_open(self) -> None:
        """Raise when nothing is accepted now, or when a handler calls from inside."""
        raise NotImplementedError

    def object(self, cls: type[T], key: str, **options: Unpack[OutsideCallKeywords]) -> T:
        """The typed proxy of one object: ``await runtime.object(Cart, "sam").add(item)``."""
        return object_proxy(self, cls, key, outside_options(options))

    def workflow(self, cls: type[T], key: str, **options: Unpack[OutsideCallKeywords]) -> T:
        """The typed proxy of one workflow: ``await runtime.workflow(Order, "42").run(cart)``.

        ``run`` executes once per key: a second call raises ``ConflictError``, and a second send
        gives the id of the first.
        """
        return workflow_proxy(self, cls, key, outside_options(options))

    def service(self, cls: type[T], **options: Unpack[OutsideCallKeywords]) -> T:
        """The typed proxy of a service."""
        return service_proxy(self, cls, outside_options(options))

    async def call(
        self,
        target: Target,
        argument: bytes,
        result: Serde[Any],
        options: CallOptions = PLAIN,
    ) -> Any:
        """As ``Caller.call``; returns once the outcome is durable."""
        answer = await self.submit(request_of(target, argument, options), wait=True)
        if isinstance(answer.outcome, TerminalError):
            raise answer.outcome
        outcome = answer.outcome or b""
        try:
            return decode_result(result, outcome) if answer.is_duplicate else result.decode(outcome)
        except InvalidArgumentError as error:
            raise misfit_of_call(target, error) from None

    async def send(self, target: Target, argument: bytes, options: CallOptions = PLAIN) -> str:
        """As ``Caller.send``; returns once the acceptance is durable."""
        answer = await self.submit(request_of(target, argument, options), wait=False)
        return answer.invocation_id

    def find_handler(self, target: Target) -> HandlerDefinition | None:
        """As ``Caller.find_handler``."""
        return self.registry.find_code(target)[1]

    def call_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        **options: Unpack[OutsideCallKeywords],
    ) -> Awaitable[Any]:
        """Call a handler without its class; ``argument`` is any JSON value, or left out."""
        said = outside_options(options)
        return call_by_name(self, service, key, handler, argument, options=said)

    def send_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        delay: timedelta | float | None = None,
        **options: Unpack[OutsideCallKeywords],
    ) -> Awaitable[str]:
        """Send to a handler without its class; gives the invocation's id."""
        said = outside_options(options)
        return send_by_name(self, service, key, handler, argument, delay=delay, options=said)

    def submit(self, request: CallRequest, *, wait: bool) -> "asyncio.Future[Answer]":
        """Accept a call; the future is done when that, or the outcome (``wait``), is durable.

        Raises:
            UnknownTargetError, InvalidArgumentError: the call fits no handler.
            RuntimeClosedError, StoreFailedError, StoreFullError: nothing new is accepted now.
            ForbiddenInHandlerError: called by a handler, which has ``ctx`` for that.
            ContextMisuseError: called on another event loop than the runtime's, or in a thread.

        The future raises ``MailboxFullError``, ``ConflictError``, and, when the runtime ends
        before the answer, ``RuntimeClosedError`` or ``StoreFailedError``. Whatever is refused left
        no trace.
        """
        self._check_open()
        return self._admission.submit(request, wait=wait)

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: bytes | TerminalError
    ) -> "asyncio.Future[bool]":
        """Resolve (with a JSON value) or reject an awakeable from outside.

        The future is done when that is durable: ``True`` when this completion was taken, ``False``
        when the awakeable was completed before, which stands. It raises ``InvalidArgumentError``
        when the value does not fit, and the awakeable stays open; ``ConflictError`` when its
        deadline has passed or nobody waits for it any more; ``UnknownTargetError`` when there never
        was such an awakeable, or it is long gone.
        """
        self._check_open()
        check_room()
        core = self._core
        result = failure_of(outcome) if isinstance(outcome, TerminalError) else outcome
        try:
            answer: Any = complete_awakeable(core.lifecycle, awakeable, result)
        except HoldfastError as error:
            answer = error
        return core.answers.when_durable(answer)

    def resolve_awakeable(self, awakeable_id: str, value: Any = None) -> "asyncio.Future[bool]":
        """As ``complete_awakeable``, by the text of the id and with the value itself.

        Raises:
            InvalidArgumentError: that is no awakeable's id, or the value cannot be encoded.
        """
        return self.complete_awakeable(parse_awakeable_id(awakeable_id), SENT_JSON.encode(value))

    def reject_awakeable(
        self, awakeable_id: str, reason: str | TerminalError
    ) -> "asyncio.Future[bool]":
        """Have whoever awaits it get a ``TerminalError``; answers as ``complete_awakeable``.

        Raises:
            InvalidArgumentError: that is no awakeable's id.
        """
        error = reason if isinstance(reason, TerminalError) else TerminalError(reason)
        return self.complete_awakeable(parse_awakeable_id(awakeable_id), error)

    def awakeable_link(  # as `Awakeable.link`
        self,
        awakeable_id: str,
        verb: Verb = "resolve",
        value: Any = NO_VALUE,
        *,
        expires_in: timedelta | float,
        base: str = "",
    ) -> "asyncio.Future[str]":
        """A signed URL by which whoever holds it may complete an awakeable; see ``Awakeable.link``.

        Whether there is such an awakeable is found when the link is used. The future is done when
        the key that signs it is durable.

        Raises:
            InvalidArgumentError: that is no awakeable's id, or another argument does not fit.
        """
        self._check_open()
        core = self._core
        link = make_link(
            parse_awakeable_id(awakeable_id),
            verb,
            value,
            expires_in=expires_in,
            base=base,
            now_ms=core.clock.now_ms(),
            sign=core.lifecycle.links.sign,
        )
        return core.answers.when_durable(link)

    def rotate_link_keys(self, *, revoke: bool = False) -> "asyncio.Future[None]":
        """Sign links with a new key from now on. The future is done when that is durable.

        Links that were made before go on to work until they expire; with ``revoke`` none of them
        works any more.
        """
        self._check_open()
        self._core.lifecycle.links.rotate(revoke=revoke)
        return self._core.answers.when_durable(None)

    def awakeables(
        self,
        service: type | str | None = None,
        key: str | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
    ) -> "asyncio.Future[AwakeablePage]":
        """The awakeables that are open now, also those of handlers that are not in memory.

        Those of older invocations come first, and of one invocation the one that was made first.
        The future is done when what the page says is durable.

        Args:
            service: only those of this class, or of the class that callers call so.
            key: only those of objects with this key.
            limit: how many a page has at most, up to 1,000.
            after: ``next`` of the page before.

        Raises:
            InvalidArgumentError: a page cannot have that many, or ``after`` is no such id.
        """
        name = define(service).name if isinstance(service, type) else service
        start = None if after is None else parse_awakeable_id(after)
        self._check_open()
        core = self._core
        page = list_awakeables(core.commits, service=name, key=key, limit=limit, after=start)
        return core.answers.when_durable(page)

    @overload
    def promise(self, cls: type | str, key: str, name: str) -> PromiseHandle[Any]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: type[T]) -> PromiseHandle[T]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: Any) -> PromiseHandle[Any]: ...
    def promise(self, cls: type | str, key: str, name: str, type: Any = Any) -> PromiseHandle[Any]:  # noqa: A002  # it is the type
        """The promise ``name`` of the workflow ``cls`` at ``key``, with a value of ``type``.

        The class may also be given by its name. Nothing is looked up before it is asked for.

        Raises:
            InvalidArgumentError: that is no workflow, no key, or no name.
            UnknownTargetError: the runtime has no class of that name.
            RuntimeClosedError: the runtime was not started.
        """
        core = self._started_core()
        named = core.registry.get_service(cls).cls if isinstance(cls, str) else cls
        definition = define_workflow(named)
        checked = check_label(name, "promise")
        return PromiseHandle(core, definition.name, check_key(key), checked, asked_serde(type))

    def state(
        self, cls: type | str, key: str, *, at: str | None = None, entry: int | None = None
    ) -> "asyncio.Future[Mapping[str, Any]]":
        """What an object holds, now or at a past moment: a read-only mapping of names to values.

        Values are of the types that the class declares, and builtins for names it does not. What
        was never stored is not in the mapping, whatever its default. While a handler runs, "now"
        is what others see of the object: what was stored with its last command.

        Args:
            cls: the class, or its name.
            key: of the object.
            at: as this invocation of the object, an exclusive one, left it.
            entry: just before this entry of that invocation's journal was written.

        The future is done when what it tells is durable. It raises ``NotKeptError`` when the state
        at that moment is not known any more, ``UnknownTargetError`` when there is no such
        invocation, ``ConflictError`` when that is not completed (and no ``entry`` is named) or
        never began, and ``InvalidArgumentError`` when it belongs to another object.

        Raises:
            InvalidArgumentError: ``cls`` has no keys, ``key`` cannot be one, or ``at`` is no id.
            UnknownTargetError: the runtime has no such class.
        """
        self._check_open()
        return Past(self._core).read(cls, key, at, entry)

    def wait_state(
        self,
        cls: type | str,
        key: str,
        *,
        since: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> "asyncio.Future[StateSnapshot]":
        """What an object holds, with a tag; given the tag of before, once it is another state.

        ``seen = await runtime.wait_state(Cart, "sam")`` answers at once, and ``await
        runtime.wait_state(Cart, "sam", since=seen.tag)`` when the stored state is not that any
        more. Waiting costs no invocation, and whoever cancels it is forgotten.

        Args:
            cls: the class, or its name.
            key: of the object.
            since: the tag of a snapshot, also one from before a restart.
            timeout: after this long, a ``timedelta`` or seconds, it answers all the same; the tag
                tells that nothing changed.

        The future is done when what it tells is durable. It raises ``InvalidArgumentError`` when
        what is stored is not of the types that the class declares.

        Raises:
            InvalidArgumentError: ``cls`` has no keys, ``key`` cannot be one, ``since`` is no text,
                or ``timeout`` no duration.
            UnknownTargetError: the runtime has no such class.
        """
        self._check_open()
        return self._core.states.wait_snapshot(cls, key, since, timeout)

    async def set_state(
        self,
        cls: type | str,
        key: str,
        values: Mapping[str, Any],
        *,
        version: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Leave an object with ``values`` and nothing else; values not named are forgotten.

        An invocation like any other does it, when it is its turn at the key: behind a call that
        runs or waits there. This returns once that is done and durable.

        Args:
            cls: the class, or its name.
            key: of the object.
            values: by the names of the fields, each of the type that the class declares.
            version: the tag that the state must have at that turn, as ``wait_state`` gives it.
            idempotency_key: makes asking again harmless: it is then the same edit.

        Raises:
            TerminalError: (with status 409) the state has another tag; nothing was changed.
            InvalidArgumentError: ``cls`` has no keys, or a value does not fit; nothing was changed.
            UnknownTargetError: the runtime has no such class.
            ConflictError: the state is being deleted, because it was kept long enough.
            MailboxFullError, StoreFullError: no new work is accepted.
        """
        name = cls if isinstance(cls, str) else define(cls).name
        self._check_open()
        service = get_keyed(self._core.registry, name)
        request = EditRequest(
            service=name,
            key=key,
            edit=edit_of_values(service, values, version),
            idempotency_key=check_idempotency_key(idempotency_key),
        )
        answer = await submit_edit(self._core, self._admission, request, wait=True)
        if isinstance(answer.outcome, TerminalError):
            raise answer.outcome

    def fork(
        self,
        cls: type | str,
        key: str,
        *,
        to: str,
        at: str | None = None,
        entry: int | None = None,
    ) -> "asyncio.Future[None]":
        """Begin the object at key ``to`` with a copy of another one's state, now or in the past.

        The moment is named as for ``state``. Only state is copied: no calls that wait, and nothing
        of who awaits what. The future is done when the copy is durable; it raises what that of
        ``state`` raises, and ``ConflictError`` when the new key has state, or an exclusive call
        that runs or waits. Whatever it raises, nothing was changed.

        Raises:
            InvalidArgumentError: ``cls`` is a service or a workflow, a key cannot be one, or ``at``
                is no id.
            UnknownTargetError: the runtime has no such class.
            StoreFullError: no new work is accepted.
        """
        self._check_open()
        return Past(self._core).fork(cls, key, to, at, entry)

    @overload
    def invocation(self, invocation_id: str) -> InvocationHandle[Any]: ...
    @overload
    def invocation(self, invocation_id: str, handler: Handler[..., R]) -> InvocationHandle[R]: ...
    def invocation(
        self, invocation_id: str, handler: Handler[..., Any] | None = None
    ) -> InvocationHandle[Any]:
        """What can be done to one invocation; nothing is looked up before it is asked for.

        ``handler``, as in ``runtime.invocation(id, Cart.add)``, is for type checkers: it tells them
        what ``attach`` gives.

        Raises:
            InvalidArgumentError: this is no invocation id.
            RuntimeClosedError: the runtime was not started.
        """
        id_ = parse_invocation_id(invocation_id)
        return InvocationHandle(self._started_core(), id_, handler)

    async def find_invocation(
        self,
        service: type | str,
        key: str | None = None,
        handler: Handler[..., Any] | str = "run",
        *,
        idempotency_key: str | None = None,
    ) -> InvocationHandle[Any] | None:
        """The invocation that is known by something else than its id, if there is one.

        The ``run`` of a workflow is known by its key: ``find_invocation(Signup, "sam")``. A call
        that came with an idempotency key is known by that, and by whom it called:
        ``find_invocation(Cart, "sam", Cart.add, idempotency_key="order-7")``.

        Raises:
            InvalidArgumentError: that names neither.
            UnknownTargetError: the runtime has no such class or handler, and no such invocation.
        """
        core = self._started_core()
        id_ = find_invocation(core, service, key, handler, idempotency_key)
        await core.answers.when_durable(None)
        return None if id_ is None else InvocationHandle(core, id_)

    def _started_core(self) -> Core:
        if self.health == "new":
            message = "the runtime was not started"
            raise RuntimeClosedError(message)
        return self._core
