"""The services of Restate's own tests that its recorded answers speak of, as classes."""

from datetime import timedelta
from typing import Any

from holdfast import (
    Context,
    RetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)


def note(what: str) -> None:
    """Something that happens outside; it makes a journal, so the input is kept as well."""


class Counter(VirtualObject):
    counter: int = state(0)

    @handler
    async def add(self, ctx: Context, amount: int) -> dict[str, int]:
        old = self.counter
        self.counter += amount
        return {"oldValue": old, "newValue": self.counter}

    @handler(name="addThenFail")
    async def add_then_fail(self, ctx: Context, amount: int) -> None:
        self.counter += amount
        raise TerminalError(ctx.key)

    @shared
    async def get(self, ctx: Context) -> int:
        return self.counter


class TestUtilsService(Service):
    __test__ = False

    @handler
    async def echo(self, ctx: Context, value: Any) -> Any:
        return value

    @handler(name="rawEcho", accept="*/*", content_type="application/octet-stream")
    async def raw_echo(self, ctx: Context, data: bytes) -> bytes:
        return data

    @handler(name="echoHeaders")
    async def echo_headers(self, ctx: Context) -> dict[str, str]:
        return dict(ctx.headers)


class Proxy(Service):
    @handler
    async def forward(self, ctx: Context) -> None: ...


class ConfErrors(Service):
    @handler
    async def nothing(self, ctx: Context) -> None: ...

    @handler
    async def fail(
        self, ctx: Context, code: int, message: str, metadata: dict[str, str] | None = None
    ) -> None:
        raise TerminalError(message, status_code=code, metadata=metadata)


class ConfDoomed(Service):
    @handler(
        retry=RetryPolicy(
            max_attempts=2, initial_interval=timedelta(milliseconds=1), on_max_attempts="fail"
        )
    )
    async def attempt(self, ctx: Context, request: dict[str, str]) -> None:
        message = "never works"
        raise RuntimeError(message)


class ConfPrivate(Service, ingress_private=True):
    @handler
    async def greet(self, ctx: Context, name: str) -> str:
        return name


class ConfRetention(VirtualObject, idempotency_retention=timedelta(seconds=1)):
    @handler(retry=RetryPolicy(max_attempts=None))
    async def add(self, ctx: Context, amount: int) -> int:
        return amount


class ConfSteps(VirtualObject):
    """Waits for a person in the middle, and says whom to tell."""

    awaited: str = state("")

    @handler
    async def run(self, ctx: Context) -> Any:
        awakeable = ctx.awakeable()
        self.awaited = awakeable.id
        await ctx.run("tell", note, awakeable.id)
        return await awakeable

    @shared
    async def waits(self, ctx: Context) -> str:
        return self.awaited


class BlockAndWaitWorkflow(Workflow):
    @handler
    async def run(self, ctx: Context, text: str) -> str:
        return text


class ConfApproval(Workflow):
    @handler
    async def run(self, ctx: Context, request: dict[str, str]) -> dict[str, str]:
        decision = await ctx.promise("decision", str)
        return {"decision": decision, **request}

    @shared
    async def approve(self, ctx: Context, decision: str) -> None:
        await ctx.promise("decision", str).resolve(decision)


SERVICES = [
    Counter,
    TestUtilsService,
    Proxy,
    ConfErrors,
    ConfDoomed,
    ConfPrivate,
    ConfRetention,
    ConfSteps,
    BlockAndWaitWorkflow,
    ConfApproval,
]
