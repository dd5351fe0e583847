"""Whoever calls a runtime from outside, and asks again when it died.

A client behaves as one should: each call has an idempotency key, and whoever got no answer from a
runtime that died asks the next one again, with the same key. So a call is one invocation, however
often the runtime dies under it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from ..objects.errors import RuntimeClosedError, StoreFailedError, TerminalError
from ..objects.identity import Target
from ..objects.proxy import NO_ARGUMENT, call_by_name, object_proxy, send_by_name, service_proxy
from ..objects.serde import Serde
from ..runtime.requests import Answer, CallRequest
from ..runtime.testing import ManualClock
from .virtual import VirtualRuntime

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Asked:
    """One call of a client."""

    request: CallRequest
    waits: bool
    """Whether the outcome is awaited; else the acceptance is."""
    answer: asyncio.Future[Answer]


class Stage(Protocol):
    """Where runtimes come and go, as far as a client knows it."""

    @property
    def clock(self) -> ManualClock:
        """The time."""
        ...

    def request(self, request: CallRequest, *, waits: bool) -> "asyncio.Future[Answer]":
        """Ask the runtime of the moment, and after its death the next one."""
        ...

    async def next_runtime(self, after: VirtualRuntime | None) -> VirtualRuntime:
        """The runtime that works, once it is another one than ``after``."""
        ...


class Client:
    """A caller outside, who outlives every runtime; implements ``Caller``.

    Calls as with a ``Runtime``: ``await client.object(Cart, "sam").add("tea")``.
    """

    def __init__(self, stage: Stage) -> None:
        """Call whatever runtime is on ``stage``."""
        self._stage = stage
        self._count = 0

    @property
    def clock(self) -> ManualClock:
        """The time; ``await client.sleep(seconds)`` waits for it."""
        return self._stage.clock

    def object(self, cls: type[T], key: str) -> T:
        """As ``Runtime.object``."""
        return object_proxy(self, cls, key)

    def service(self, cls: type[T]) -> T:
        """As ``Runtime.service``."""
        return service_proxy(self, cls)

    def call_by_name(
        self, service: str, key: str | None, handler: str, argument: Any = NO_ARGUMENT
    ) -> Awaitable[Any]:
        """As ``Runtime.call_by_name``."""
        return call_by_name(self, service, key, handler, argument)

    def send_by_name(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        delay: timedelta | None = None,
    ) -> Awaitable[str]:
        """As ``Runtime.send_by_name``."""
        return send_by_name(self, service, key, handler, argument, delay=delay)

    async def call(self, target: Target, argument: bytes, result: Serde[Any]) -> Any:
        """As ``Caller.call``; answered by whichever runtime lives long enough."""
        request = self._request(target, argument)
        answer = await self._stage.request(request, waits=True)
        if isinstance(answer.outcome, TerminalError):
            raise answer.outcome
        return result.decode(answer.outcome or b"")

    async def send(self, target: Target, argument: bytes, delay: timedelta | None) -> str:
        """As ``Caller.send``."""
        delay_ms = 0 if delay is None else max(0, round(delay.total_seconds() * 1000))
        request = self._request(target, argument, delay_ms)
        return (await self._stage.request(request, waits=False)).invocation_id

    async def ask(self, question: Callable[[VirtualRuntime], Awaitable[T]]) -> T:
        """What ``question`` gives, asked of one runtime after the other until one answers.

        For what has no idempotency key: ``client.ask(lambda runtime: runtime.invocation(id)
        .resume())``. It may be asked again after it was done, when the answer was lost.
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

    def _request(self, target: Target, argument: bytes, delay_ms: int = 0) -> CallRequest:
        self._count += 1
        return CallRequest(
            target=target,
            argument=argument,
            idempotency_key=f"client call {self._count}",
            delay_ms=delay_ms,
        )
