"""Whoever calls a runtime from outside, and asks again when it died.

A client behaves as one should: each call has an idempotency key, and whoever got no answer from a
runtime that died asks the next one again, with the same key. So a call is one invocation, however
often the runtime dies under it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from operator import methodcaller
from typing import Any, Protocol, TypeVar, cast, overload

from msgspec.structs import replace

from ..objects.awakeable import AwakeablePage
from ..objects.errors import RuntimeClosedError, StoreFailedError, TerminalError
from ..objects.handler import Handler
from ..objects.identity import AwakeableId
from ..objects.links import NO_VALUE, Verb
from ..objects.registry import Registry
from ..runtime.core import Core
from ..runtime.invocation_handle import InvocationHandle
from ..runtime.outside import Health, Outside
from ..runtime.promise_handle import PromiseHandle
from ..runtime.requests import Answer, CallRequest
from ..runtime.state_reads import StateSnapshot
from ..runtime.testing import ManualClock
from .virtual import VirtualRuntime

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False, slots=True)
class Asked:
    """One call of a client."""

    request: CallRequest
    waits: bool
    """Whether the outcome is awaited; else the acceptance is."""
    answer: asyncio.Future[Answer]
    is_start: bool
    """Whether it starts a workflow, which has no idempotency key: its own key is one."""


class Stage(Protocol):
    """Where runtimes come and go, as far as a client knows it."""

    @property
    def clock(self) -> ManualClock:
        """The time."""
        ...

    @property
    def runtime(self) -> VirtualRuntime:
        """The runtime of the moment, dead or alive."""
        ...

    def request(self, request: CallRequest, *, waits: bool) -> "asyncio.Future[Answer]":
        """Ask the runtime of the moment, and after its death the next one."""
        ...

    async def next_runtime(self, after: VirtualRuntime | None) -> VirtualRuntime:
        """The runtime that works, once it is another one than ``after``."""
        ...


class Client(Outside):
    """A caller outside, who outlives every runtime.

    Calls as with a ``Runtime``: ``await client.object(Cart, "sam").add("tea")``. A call that has no
    idempotency key is given one. What is done to an invocation, an awakeable or a promise has none:
    it is asked again as well, and may then be told that it was done before.
    """

    def __init__(self, stage: Stage) -> None:
        """Call whatever runtime is on ``stage``."""
        self._stage = stage
        self._count = 0

    @property
    def runtime(self) -> VirtualRuntime:
        """The runtime of the moment, dead or alive."""
        return self._stage.runtime

    @property
    def clock(self) -> ManualClock:
        """The time; ``await client.sleep(seconds)`` waits for it."""
        return self._stage.clock

    def submit(self, request: CallRequest, *, wait: bool) -> "asyncio.Future[Answer]":
        """As ``Runtime.submit``; answered by whichever runtime lives long enough."""
        _, handler = self.runtime.registry.get_handler(request.target)
        if request.idempotency_key is None and not handler.is_run:
            self._count += 1
            request = replace(request, idempotency_key=f"client call {self._count}")
        return self._stage.request(request, waits=wait)

    @overload
    def invocation(self, invocation_id: str) -> InvocationHandle[Any]: ...
    @overload
    def invocation(self, invocation_id: str, handler: Handler[..., R]) -> InvocationHandle[R]: ...
    def invocation(
        self, invocation_id: str, handler: Handler[..., Any] | None = None
    ) -> InvocationHandle[Any]:
        """As ``Runtime.invocation``; each method is asked of one runtime after the other."""
        if handler is None:
            return self._asking(lambda runtime: runtime.invocation(invocation_id))
        return self._asking(lambda runtime: runtime.invocation(invocation_id, handler))

    async def find_invocation(
        self,
        service: type | str,
        key: str | None = None,
        handler: Handler[..., Any] | str = "run",
        *,
        idempotency_key: str | None = None,
    ) -> InvocationHandle[Any] | None:
        """As ``Runtime.find_invocation``, asked of one runtime after the other."""
        found = await self.ask(
            lambda runtime: runtime.find_invocation(
                service, key, handler, idempotency_key=idempotency_key
            )
        )
        return None if found is None else self.invocation(found.id)

    def promise(self, cls: type | str, key: str, name: str, type: Any = Any) -> PromiseHandle[Any]:  # noqa: A002  # it is the type
        """As ``Runtime.promise``; each method is asked of one runtime after the other."""
        return self._asking(lambda runtime: runtime.promise(cls, key, name, type))

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: bytes | TerminalError
    ) -> "asyncio.Future[bool]":
        """As ``Runtime.complete_awakeable``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(lambda runtime: runtime.complete_awakeable(awakeable, outcome))
        )

    def awakeable_link(
        self,
        awakeable_id: str,
        verb: Verb = "resolve",
        value: Any = NO_VALUE,
        *,
        expires_in: timedelta | float,
        base: str = "",
    ) -> "asyncio.Future[str]":
        """As ``Runtime.awakeable_link``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(
                lambda runtime: runtime.awakeable_link(
                    awakeable_id, verb, value, expires_in=expires_in, base=base
                )
            )
        )

    def rotate_link_keys(self, *, revoke: bool = False) -> "asyncio.Future[None]":
        """As ``Runtime.rotate_link_keys``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(lambda runtime: runtime.rotate_link_keys(revoke=revoke))
        )

    def awakeables(
        self,
        service: type | str | None = None,
        key: str | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
    ) -> "asyncio.Future[AwakeablePage]":
        """As ``Runtime.awakeables``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(lambda runtime: runtime.awakeables(service, key, limit=limit, after=after))
        )

    def state(
        self, cls: type | str, key: str, *, at: str | None = None, entry: int | None = None
    ) -> "asyncio.Future[Mapping[str, Any]]":
        """As ``Runtime.state``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(lambda runtime: runtime.state(cls, key, at=at, entry=entry))
        )

    def wait_state(
        self,
        cls: type | str,
        key: str,
        *,
        since: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> "asyncio.Future[StateSnapshot]":
        """As ``Runtime.wait_state``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(lambda runtime: runtime.wait_state(cls, key, since=since, timeout=timeout))
        )

    async def set_state(
        self,
        cls: type | str,
        key: str,
        values: Mapping[str, Any],
        *,
        version: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """As ``Runtime.set_state``, asked of one runtime after the other: the same edit."""
        if idempotency_key is None:
            self._count += 1
            idempotency_key = f"client edit {self._count}"
        await self.ask(
            lambda runtime: runtime.set_state(
                cls, key, values, version=version, idempotency_key=idempotency_key
            )
        )

    def fork(
        self,
        cls: type | str,
        key: str,
        *,
        to: str,
        at: str | None = None,
        entry: int | None = None,
    ) -> "asyncio.Future[None]":
        """As ``Runtime.fork``, asked of one runtime after the other."""
        return asyncio.ensure_future(
            self.ask(lambda runtime: runtime.fork(cls, key, to=to, at=at, entry=entry))
        )

    async def ask(self, question: Callable[[VirtualRuntime], Awaitable[T]]) -> T:
        """What ``question`` gives, asked of one runtime after the other until one answers.

        It may be asked again after it was done, when the answer was lost.
        """
        runtime: VirtualRuntime | None = None
        while True:
            runtime = await self._stage.next_runtime(runtime)
            try:
                return await question(runtime)
            except (StoreFailedError, RuntimeClosedError):
                continue

    async def sleep(self, seconds: float) -> None:
        """Wait until the virtual time has moved that far."""
        await self.clock.sleep(seconds)

    def _asking(self, find: Callable[[VirtualRuntime], T]) -> T:
        find(self._stage.runtime)  # What is wrong with the question is said where it is asked.
        return cast("T", _Asking(self, find))

    # What a runtime has for good, a client has of the runtime of the moment.

    @property
    def health(self) -> Health:  # type: ignore[override]  # it is another runtime's each time
        """As ``Runtime.health``, of the runtime of the moment."""
        return self._stage.runtime.health

    @property
    def registry(self) -> Registry:  # type: ignore[override]  # as health
        """As ``Runtime.registry``."""
        return self._stage.runtime.registry

    @property
    def _core(self) -> Core:  # type: ignore[override]  # as health
        return self._stage.runtime.core

    def _check_open(self) -> None:
        self._core.check_open()


class _Asking:
    """Stands for a handle of whichever runtime there is: its methods are asked until answered."""

    def __init__(self, client: Client, find: Callable[[VirtualRuntime], Any]) -> None:
        self._client = client
        self._find = find

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._find(self._client.runtime), name)
        if not callable(value):
            return value

        def ask(*args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
            question = methodcaller(name, *args, **kwargs)
            asked = self._client.ask(lambda runtime: question(self._find(runtime)))
            return asyncio.ensure_future(asked)

        return ask
