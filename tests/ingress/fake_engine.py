"""An engine with no store that keeps its port's promises, and tells what it accepted."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from holdfast import Context, Service, VirtualObject, handler, shared
from holdfast.objects.awakeable import AwakeableInfo
from holdfast.objects.errors import HoldfastError, TerminalError, UnknownTargetError
from holdfast.objects.identity import AwakeableId, InvocationId, parse_invocation_id
from holdfast.objects.registry import Registry
from holdfast.runtime.invocation_handle import InvocationHandle
from holdfast.runtime.promise_handle import PromiseHandle
from holdfast.runtime.requests import Answer, CallRequest, Named
from holdfast.runtime.state_reads import StateDocument, StateQuestion

AWAKEABLE = AwakeableId(InvocationId(bytes(range(16))), 7)
"""The one awakeable that exists."""

STATE_TAG = "0123abcd"
"""Of the state of every object."""

NOW_MS = 1_769_862_896_789
"""2026-01-31T12:34:56.789Z"""


class Counter(VirtualObject):
    """An object whose handlers are never run here: the fake answers by their names."""

    @handler
    async def add(self, ctx: Context, amount: int) -> int:
        raise NotImplementedError

    @handler
    async def reset(self, ctx: Context) -> None:
        raise NotImplementedError

    @shared
    async def get(self, ctx: Context) -> int:
        raise NotImplementedError


class Mailer(Service):
    """A service."""

    @handler
    async def mail(self, ctx: Context, to: str, text: str) -> None:
        raise NotImplementedError

    @handler
    async def greet(self, ctx: Context, name: str = "you") -> str:
        raise NotImplementedError

    @handler
    async def wait(self, ctx: Context) -> str:
        raise NotImplementedError


def _default_outcome(request: CallRequest) -> bytes:
    by_name = {"get": b"5", "add": request.argument, "wait": b'"done"'}
    return by_name.get(request.target.handler, b"")


class FakeEngine:
    """Accepts what fits, remembers it, and answers at once unless told to wait."""

    def __init__(self) -> None:
        self.registry = Registry([Counter, Mailer])
        self.health = "ok"
        self.is_disk_slow = False
        self.is_disk_full = False
        self.accepted: list[CallRequest] = []
        self.completed: dict[AwakeableId, bytes | TerminalError] = {}
        self.outcome_of: Callable[[CallRequest], bytes | TerminalError] = _default_outcome
        # Raised by the next ``submit`` at once, or through its future.
        self.refusal: Exception | None = None
        self.failure: HoldfastError | None = None
        # What a server's lifespan did, and what the next start raises.
        self.lives: list[str] = []
        self.start_error: HoldfastError | None = None
        # While set, calls with ``wait`` stay open until ``finish``.
        self.is_holding = False
        self.arrived = asyncio.Event()
        self._held: list[tuple[asyncio.Future[Answer], Answer]] = []
        self._by_key: dict[tuple[str, str], tuple[bytes, Answer]] = {}

    async def start(self) -> None:
        self.lives.append("start")
        if self.start_error is not None:
            raise self.start_error
        self.health = "ok"

    async def stop(self) -> None:
        self.lives.append("stop")

    def now_ms(self) -> int:
        return NOW_MS

    def submit(self, request: CallRequest, *, wait: bool) -> asyncio.Future[Answer]:
        _, definition = self.registry.get_handler(request.target)
        definition.decode_argument(request.argument)
        if self.refusal is not None:
            raise self.refusal
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        answer = self._accept(request)
        if not wait:
            answer = replace(answer, outcome=None)
        if wait and self.is_holding:
            self._held.append((future, answer))
        else:
            future.set_result(answer)
        self.arrived.set()
        return future

    def finish(self) -> int:
        """Answer all that are held; gives how many were still listened for."""
        listening = [(future, answer) for future, answer in self._held if not future.done()]
        for future, answer in listening:
            future.set_result(answer)
        self._held.clear()
        return len(listening)

    def read_state(self, question: StateQuestion) -> asyncio.Future[StateDocument]:
        """Every object holds the same, and nobody waits long."""
        if question.at is not None:
            parse_invocation_id(question.at)
        future: asyncio.Future[StateDocument] = asyncio.get_running_loop().create_future()
        body = None if STATE_TAG in question.known else b'{"total":5}'
        future.set_result(StateDocument(STATE_TAG, body))
        return future

    def invocation(self, invocation_id: str) -> InvocationHandle[Any]:
        raise NotImplementedError

    def promise(self, cls: str, key: str, name: str) -> PromiseHandle[Any]:
        raise NotImplementedError

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: bytes | TerminalError
    ) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
        elif awakeable != AWAKEABLE:
            future.set_exception(UnknownTargetError(f"there is no awakeable {awakeable}"))
        else:
            future.set_result(awakeable not in self.completed)
            self.completed.setdefault(awakeable, outcome)
        return future

    def read_outcome(self, named: Named, *, wait: bool) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        future.set_exception(self.failure or UnknownTargetError(f"invocation not found: {named}"))
        return future

    def look_up(self, named: Named) -> asyncio.Future[str]:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_exception(self.failure or UnknownTargetError(f"invocation not found: {named}"))
        return future

    def find_awakeable(self, awakeable: AwakeableId) -> asyncio.Future[AwakeableInfo | None]:
        raise NotImplementedError

    def verify_link(self, text: bytes, signature: str) -> bool:
        return False

    def _accept(self, request: CallRequest) -> Answer:
        key = request.idempotency_key
        if key is not None and (str(request.target), key) in self._by_key:
            body, first = self._by_key[str(request.target), key]
            return replace(first, is_duplicate=True, is_other_body=body != request.argument)
        self.accepted.append(request)
        answer = Answer(
            invocation_id=f"inv_{len(self.accepted):032x}",
            execution_time_ms=NOW_MS + request.delay_ms if request.delay_ms else None,
            outcome=self.outcome_of(request),
        )
        if key is not None:
            self._by_key[str(request.target), key] = (request.argument, answer)
        return answer


def error_of(body: bytes) -> dict[str, object]:
    """The error that a body says."""
    parsed: dict[str, object] = json.loads(body)
    return parsed
