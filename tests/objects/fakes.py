"""A port that records what it is asked, for tests of everything that stands in front of it."""

from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from logging import Logger, getLogger
from random import Random
from typing import Any

from holdfast.objects.call_options import PLAIN, CallOptions
from holdfast.objects.definition import HandlerDefinition
from holdfast.objects.errors import TerminalError
from holdfast.objects.fields import StateField
from holdfast.objects.identity import AwakeableId, InvocationId, Target
from holdfast.objects.saga import NotCompensated
from holdfast.objects.serde import Serde
from holdfast.objects.syscalls import NO_QUESTION, Action, Question, StepOptions


@dataclass
class FakeSyscalls:
    """Answers every command at once, and remembers it."""

    loop: AbstractEventLoop
    target: Target = field(default_factory=lambda: Target("Cart", "sam", "add"))
    random: Random = field(default_factory=lambda: Random(7))
    answer: bytes = b"null"
    stored: dict[str, Any] = field(default_factory=dict[str, Any])
    asked: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    begins: list[Callable[[], Awaitable[Any]]] = field(
        default_factory=list[Callable[[], Awaitable[Any]]]
    )
    handlers: dict[Target, HandlerDefinition] = field(
        default_factory=dict[Target, HandlerDefinition]
    )
    clock_ms: int = 1_700_000_000_500

    @property
    def invocation_id(self) -> str:
        return "inv_" + "0" * 32

    @property
    def headers(self) -> Mapping[str, str]:
        return {"x-trace": "1"}

    @property
    def log(self) -> Logger:
        return getLogger("test")

    def now_ms(self) -> int:
        return self.clock_ms

    def run(self, name: str, action: Action, options: StepOptions) -> "Future[Any]":
        self.asked.append(("run", name, action, options))
        return self._done(None)

    def add_compensation(
        self,
        name: str,
        begin: Callable[[], Awaitable[Any]],
        *,
        call: tuple[Target, bytes] | None,
    ) -> int:
        self.asked.append(("add compensation", name, call))
        self.begins.append(begin)
        return len(self.begins)

    def forget_compensations(self, indexes: Sequence[int]) -> None:
        self.asked.append(("forget", list(indexes)))

    async def compensate(
        self, indexes: Sequence[int], error: BaseException
    ) -> tuple[NotCompensated, ...]:
        self.asked.append(("compensate", list(indexes), error))
        return (NotCompensated("refund", "it rained"),)

    def sleep(self, duration: timedelta) -> "Future[None]":
        self.asked.append(("sleep", duration))
        return self._done(None)

    def call(
        self,
        target: Target,
        argument: bytes,
        result: Serde[Any],
        options: CallOptions = PLAIN,  # the port's
    ) -> "Future[Any]":
        self.asked.append(("call", target, argument))
        return self._done(result.decode(self.answer))

    def send(self, target: Target, argument: bytes, options: CallOptions = PLAIN) -> "Future[str]":
        self.asked.append(("send", target, argument, options.delay))
        return self._done("inv_sent")

    def find_handler(self, target: Target) -> HandlerDefinition | None:
        return self.handlers.get(target)

    def awakeable(
        self, result: Serde[Any], question: Question = NO_QUESTION
    ) -> "tuple[str, Future[Any]]":
        self.asked.append(("awakeable", question))
        identifier = str(AwakeableId(InvocationId(bytes(16)), 3))
        return identifier, self._done(result.decode(self.answer))

    def complete_awakeable(
        self, awakeable: AwakeableId, outcome: bytes | TerminalError
    ) -> "Future[None]":
        self.asked.append(("complete", awakeable, outcome))
        return self._done(None)

    def sign_link(self, text: bytes) -> str:
        self.asked.append(("sign", text))
        return "signed"

    @property
    def is_workflow(self) -> bool:
        return self.target.service == "Order"

    def await_promise(self, name: str, result: Serde[Any]) -> "Future[Any]":
        self.asked.append(("await promise", name))
        return self._done(result.decode(self.answer))

    def peek_promise(self, name: str, result: Serde[Any]) -> "Future[Any]":
        self.asked.append(("peek promise", name))
        return self._done(result.decode(self.answer))

    def complete_promise(self, name: str, outcome: bytes | TerminalError) -> "Future[None]":
        self.asked.append(("complete promise", name, outcome))
        return self._done(None)

    def attach(self, invocation_id: InvocationId, result: Serde[Any]) -> "Future[Any]":
        self.asked.append(("attach", invocation_id))
        return self._done(result.decode(self.answer))

    @property
    def has_inbox(self) -> bool:
        return self.target.service == "Cart"

    def read_messages(self, result: Serde[Any], *, takes_all: bool) -> "Future[Any]":
        self.asked.append(("read", takes_all))
        return self._done(result.decode(b"[%b]" % self.answer if takes_all else self.answer))

    def cancel_invocation(self, invocation_id: InvocationId, reason: str) -> None:
        self.asked.append(("cancel", invocation_id, reason))

    def hold_cancellation(self) -> None:
        self.asked.append(("hold",))

    def release_cancellation(self) -> bool:
        self.asked.append(("release",))
        return False

    def await_signal(self, name: str, result: Serde[Any]) -> "Future[Any]":
        self.asked.append(("await signal", name))
        return self._done(result.decode(self.answer))

    def send_signal(
        self, invocation_id: InvocationId, name: str, outcome: bytes | TerminalError
    ) -> None:
        self.asked.append(("send signal", invocation_id, name, outcome))

    def patched(self, name: str) -> bool:
        self.asked.append(("patched", name))
        return True

    def state_get(self, field: StateField[Any]) -> Any:
        if field.name not in self.stored:
            return field.make_default()
        return self.stored[field.name]

    def state_set(self, field: StateField[Any], value: Any) -> None:
        self.stored[field.name] = value

    def state_clear(self, field: StateField[Any]) -> None:
        self.stored.pop(field.name, None)

    def state_names(self) -> list[str]:
        return sorted(self.stored)

    def state_tag(self) -> str:
        return str(sorted(self.stored.items()))

    def _done(self, value: Any) -> "Future[Any]":
        future = self.loop.create_future()
        future.set_result(value)
        return future
