"""``Client``: a server, used as if its runtime were in this process."""

import ssl
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack, overload

from ..objects.definition import define
from ..objects.durations import to_duration
from ..objects.errors import InvalidArgumentError, TerminalError
from ..objects.handler import Handler
from ..objects.identity import parse_awakeable_id
from ..objects.proxy import (
    NO_ARGUMENT,
    call_by_name,
    object_proxy,
    send_by_name,
    service_proxy,
    workflow_proxy,
)
from ..objects.retry import RetryPolicy
from ..objects.serde import SENT_JSON, json_serde
from ..runtime.state_reads import StateSnapshot
from .address import check_token, parse_address
from .asking import DEFAULT_RETRY, Asker, check_policy
from .calls import JSON, Calls, ClientCallKeywords, remote_options
from .exchange import Ask
from .lookup import look_up
from .operators import Operators, StateChange
from .remote_health import ServerHealth, ask_health
from .remote_invocation import RemoteInvocation
from .remote_promise import RemotePromise, make_promise, reason_text
from .remote_state import RemoteStates, values_as_json
from .seams import SYSTEM, Seams
from .transport import Transport

T = TypeVar("T")
R = TypeVar("R")

_TEXT: Final = json_serde(str)


class Client:
    """A server, used as if its runtime were in this process: the same proxies, verbs and errors.

    ``async with Client("http://localhost:8080") as client:`` closes its connections at the end of
    the block; they are opened when they are needed, and used again. A client belongs to the event
    loop that it is first used on.

    What is asked is asked again when the connection is lost, or when the server says that it cannot
    answer now, so a server may be restarted under its clients. That never runs anything twice: a
    call is given an idempotency key, and what has none and may have arrived is not sent again.
    Cancelling a call stops nothing on the server.

    Any method raises, beside what it says itself, ``NotReachedError`` when nothing was accepted,
    ``AnswerLostError`` when something may have been, and what the server refuses with.
    """

    def __init__(  # noqa: PLR0913  # by keyword, and all may be left out
        self,
        url: str = "http://localhost:8080",
        *,
        token: str | None = None,
        admin_url: str | None = None,
        admin_token: str | None = None,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        connect_timeout: timedelta | float = 10.0,
        tls: ssl.SSLContext | None = None,
        seams: Seams = SYSTEM,
    ) -> None:
        """Nothing is opened here.

        Args:
            url: ``http://host:port``, ``https://…`` or ``unix:///path/of.sock``, with a path behind
                it where the runtime is mounted below one.
            token: of callers, where the server wants one.
            admin_url: the same server's port for operators. Without it what they ask is refused.
            admin_token: of operators.
            retry: when to ask again, 100 ms doubling to 5 s for a minute unless given. Its
                ``max_duration`` counts from the failure, not from the request. ``None``: never, and
                then calls are given no idempotency keys either.
            connect_timeout: how long a connection may take; answers may take as long as they do.
            tls: how ``https://`` is spoken, as for a certificate of your own.
            seams: time and chance, for tests.

        Raises:
            InvalidArgumentError: that is no URL, a token that no header could carry, or no policy.
        """
        seconds = to_duration(connect_timeout, "connect_timeout").total_seconds()
        policy = check_policy(retry)

        def open_(at: str, secret: str | None) -> Transport:
            return Transport(parse_address(at), token=secret, connect_seconds=seconds, tls=tls)

        secret, admin_secret = check_token("token", token), check_token("admin_token", admin_token)
        callers = open_(url, secret)
        self._transports = [callers]
        self._asker = Asker(callers, policy, seams)
        if admin_url is not None:
            self._transports.append(open_(admin_url, admin_secret))
            admin: Asker | None = Asker(self._transports[1], policy, seams)
        else:
            admin = None
        self.operators = Operators(admin)
        """What operators ask that no runtime is asked."""
        self._new_key = seams.new_key
        self._states = RemoteStates(self._asker, seams)
        self._calls = Calls(self._asker, seams, makes_keys=retry is not None)

    def __repr__(self) -> str:
        """For messages: whom it reaches. Tokens are not shown."""
        return f"<Client of {self._asker.server}>"

    async def __aenter__(self) -> Self:
        """Give the client; a connection is made when it is needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As ``close``."""
        await self.close()

    async def close(self) -> None:
        """Close the connections. Calls that were accepted go on."""
        for transport in self._transports:
            await transport.close()

    def object(self, cls: type[T], key: str, **options: Unpack[ClientCallKeywords]) -> T:
        """The typed proxy of one object: ``await client.object(Cart, "sam").add(item)``."""
        return object_proxy(self._calls, cls, key, remote_options(options))

    def workflow(self, cls: type[T], key: str, **options: Unpack[ClientCallKeywords]) -> T:
        """The typed proxy of one workflow: ``await client.workflow(Order, "42").run(cart)``.

        ``run`` executes once per key: a second call raises ``ConflictError``, and a second send
        gives the id of the first. A call whose answer was lost and that was started meanwhile waits
        for the workflow's outcome.
        """
        return workflow_proxy(self._calls, cls, key, remote_options(options, is_workflow=True))

    def service(self, cls: type[T], **options: Unpack[ClientCallKeywords]) -> T:
        """The typed proxy of a service."""
        return service_proxy(self._calls, cls, remote_options(options))

    def call_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        **options: Unpack[ClientCallKeywords],
    ) -> Awaitable[Any]:
        """Call a handler without its class; ``argument`` is any JSON value, or left out."""
        said = remote_options(options)
        return call_by_name(self._calls, service, key, handler, argument, options=said)

    def send_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        delay: timedelta | float | None = None,
        **options: Unpack[ClientCallKeywords],
    ) -> Awaitable[str]:
        """Send to a handler without its class; gives the invocation's id."""
        said = remote_options(options)
        return send_by_name(self._calls, service, key, handler, argument, delay=delay, options=said)

    async def resolve_awakeable(self, awakeable_id: str, value: Any = None) -> bool:
        """Give an awakeable its value.

        ``True`` when this was taken, ``False`` when it was completed before, which stands. Where an
        answer was lost on the way, it may have been this very one.

        Raises:
            InvalidArgumentError: that is no awakeable's id, or the value does not fit; it stays
                open.
            ConflictError: its deadline has passed, or nobody waits for it any more.
            UnknownTargetError: there never was such an awakeable, or it is long gone.
        """
        return await self._complete(awakeable_id, "resolve", SENT_JSON.encode(value))

    async def reject_awakeable(self, awakeable_id: str, reason: str | TerminalError) -> bool:
        """Have whoever awaits it get a ``TerminalError``; answers as ``resolve_awakeable``.

        Of a ``TerminalError`` the message is sent, and no more.

        Raises:
            InvalidArgumentError: that is no awakeable's id.
        """
        return await self._complete(awakeable_id, "reject", _TEXT.encode(reason_text(reason)))

    @overload
    def promise(self, cls: type | str, key: str, name: str) -> RemotePromise[Any]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: type[T]) -> RemotePromise[T]: ...
    @overload
    def promise(self, cls: type | str, key: str, name: str, type: Any) -> RemotePromise[Any]: ...
    def promise(self, cls: type | str, key: str, name: str, type: Any = Any) -> RemotePromise[Any]:  # noqa: A002  # it is the type
        """The promise ``name`` of the workflow ``cls`` at ``key``, with a value of ``type``.

        The class may also be given by its name. Nothing is looked up before it is asked for.

        Raises:
            InvalidArgumentError: that is no workflow, no key, or no name.
        """
        return make_promise(self._asker, cls, key, name, type)

    async def state(
        self, cls: type | str, key: str, *, at: str | None = None, entry: int | None = None
    ) -> Mapping[str, Any]:
        """What an object holds, now or at a past moment; see ``Runtime.state``.

        Raises:
            InvalidArgumentError: ``cls`` has no keys, ``key`` cannot be one, or ``at`` is no id, or
                that of an invocation of another object.
            UnknownTargetError: the server has no such class, or there is no such invocation.
            ConflictError: that is not completed (and no ``entry`` is named), or never began.
            NotKeptError: the state at that moment is not known any more.
        """
        return await self._states.read(cls, key, at, entry)

    async def wait_state(
        self,
        cls: type | str,
        key: str,
        *,
        since: str | None = None,
        timeout: timedelta | float | None = None,  # noqa: ASYNC109  # as that of Runtime
    ) -> StateSnapshot:
        """What an object holds, with a tag; given the tag of before, once it is another state.

        See ``Runtime.wait_state``. ``timeout``: after this long, a ``timedelta`` or seconds, it
        answers all the same.

        Raises:
            InvalidArgumentError: ``cls`` has no keys, ``key`` cannot be one, ``since`` is no text,
                or ``timeout`` no duration.
            UnknownTargetError: the server has no such class.
        """
        return await self._states.wait(cls, key, since, timeout)

    async def set_state(
        self, cls: type | str, key: str, values: Mapping[str, Any], *, version: str | None = None
    ) -> None:
        """Leave an object with ``values`` and nothing else, at its turn; see ``Runtime.set_state``.

        For operators.

        Raises:
            TerminalError: (with status 409) the state has another tag than ``version``; nothing was
                changed.
            InvalidArgumentError: ``cls`` has no keys, or a value does not fit; nothing was changed.
            UnknownTargetError: the server has no such class.
            ConflictError: the state is being deleted, because it was kept long enough.
        """
        change = StateChange(
            service=cls if isinstance(cls, str) else define(cls).name,
            key=key,
            values=values_as_json(cls, values, version),
            version=version,
            idempotency_key=self._new_key(),
        )
        await self.invocation(await self.operators.edit_state(change)).attach()

    @overload
    def invocation(self, invocation_id: str) -> RemoteInvocation[Any]: ...
    @overload
    def invocation(self, invocation_id: str, handler: Handler[..., R]) -> RemoteInvocation[R]: ...
    def invocation(
        self, invocation_id: str, handler: Handler[..., Any] | None = None
    ) -> RemoteInvocation[Any]:
        """What can be done to one invocation; nothing is looked up before it is asked for.

        ``handler``, as in ``client.invocation(id, Cart.add)``, says what ``attach`` gives. Without
        it that is what its JSON says.

        Raises:
            InvalidArgumentError: this is no invocation id.
        """
        return RemoteInvocation(self._asker, self.operators, invocation_id, handler)

    async def find_invocation(
        self,
        service: type | str,
        key: str | None = None,
        handler: Handler[..., Any] | str = "run",
        *,
        idempotency_key: str | None = None,
    ) -> RemoteInvocation[Any] | None:
        """The invocation that is known by something else than its id, if there is one.

        As ``Runtime.find_invocation``: ``find_invocation(Signup, "sam")`` for the ``run`` of a
        workflow, ``find_invocation(Cart, "sam", Cart.add, idempotency_key="order-7")`` for a call.

        Raises:
            InvalidArgumentError: that names neither.
            UnknownTargetError: the server has no such class or handler.
        """
        id_ = await look_up(self._asker, service, key, handler, idempotency_key)
        return None if id_ is None else self.invocation(id_)

    async def sql(self, query: str) -> list[dict[str, Any]]:
        """The rows of an SQL query over what the server holds, each by the names of its columns.

        Raises:
            InvalidArgumentError: it is no query, or the client has no ``admin_url``.
        """
        return await self.operators.query(query)

    async def health(self) -> ServerHealth:
        """How the server is, and what it serves; one that is stopping is no error."""
        return await ask_health(self._asker)

    async def _complete(self, awakeable_id: str, verb: str, body: bytes) -> bool:
        id_ = str(parse_awakeable_id(_check_text(awakeable_id)))
        ask = Ask(
            method="POST",
            path=f"/restate/awakeables/{id_}/{verb}",
            what=f"the {verb} of {id_}",
            body=body,
            headers=JSON,
        )
        answered = await self._asker.get(ask, 200, 202)
        return answered.reply.headers.get("x-holdfast-unchanged") is None


def _check_text(id_: object) -> str:
    if not isinstance(id_, str):
        message = f"an id is a str, but this is {type(id_).__name__}: {id_!r:.80}"
        raise InvalidArgumentError(message)
    return id_
