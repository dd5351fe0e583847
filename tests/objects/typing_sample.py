# ruff: noqa: ARG001
# pyright: strict
"""What type checkers must say about code that uses Holdfast; see ``test_typing``.

A line with two ``ignore`` comments is wrong, one comment for each checker, and each must say so: a
comment that ignores nothing fails the test. Every other line is right. This file is never run.
"""

from asyncio import Future
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, assert_type

from holdfast import (
    Awakeable,
    Context,
    Promise,
    RetryPolicy,
    Runtime,
    Service,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)


class Assistant(VirtualObject, name="assistant", retry=RetryPolicy(max_attempts=3)):
    history: list[dict[str, str]] = state(default_factory=list)
    limits: dict[str, int] = state(default_factory=dict)
    tags: set[str] = state(default_factory=set)
    count: int = state(0, name="n")
    owner: str | None = state(None)
    place: tuple[int, ...] = state(default=())
    broken: int = state("0")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    broken_list: list[int] = state(default_factory=dict)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    @handler
    async def ask(self, ctx: Context, question: str, times: int = 1) -> str:
        self.count += times
        assert_type(self.history, list[dict[str, str]])
        self.count = "many"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        return question

    @shared
    async def transcript(self, ctx: Context) -> list[dict[str, str]]:
        return self.history

    @handler(name="book-trip", idle_ms_max=5, retention=timedelta(days=1))
    async def book(self, ctx: Context, city: str, nights: int, *, breakfast: bool) -> None: ...

    @handler  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async def no_context(self, question: str) -> str:
        return question

    @handler  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def not_async(self, ctx: Context) -> str:
        return ""


class Order(Workflow):
    @handler
    async def run(self, ctx: Context, item: str) -> int:
        return len(item)

    @shared
    async def look(self, ctx: Context) -> str:
        paid = ctx.promise("paid", bool)
        assert_type(paid, Promise[bool])
        assert_type(await paid, bool)
        assert_type(paid.value(), Future[bool])
        assert_type(await paid.peek(), bool | None)
        assert_type(ctx.promise("any"), Promise[Any])
        await paid.resolve("yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return "looked"


class Mailer(Service):
    @handler
    async def deliver(self, ctx: Context, to: str) -> None: ...


class Misspelt(VirtualObject, retries=3): ...  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportGeneralTypeIssues]


async def load(path: str, *, name: str = "") -> bytes:
    return b""


def size(path: str) -> int:
    return 1


async def calls(ctx: Context) -> None:
    assistant = ctx.object(Assistant, "sam")
    assert_type(assistant, Assistant)
    assert_type(await assistant.ask("why?"), str)
    assert_type(await assistant.ask(question="why?", times=2), str)
    assert_type(await assistant.transcript(), list[dict[str, str]])
    assert_type(assistant.ask("why?"), Awaitable[str])
    await ctx.service(Mailer).deliver("sam")
    await assistant.ask(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await assistant.ask()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await assistant.ask("why?", oops=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await assistant.book("Bonn", 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await assistant.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ctx.object(Assistant, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def sends(ctx: Context) -> None:
    assistant, hour = ctx.object(Assistant, "sam"), timedelta(hours=1)
    assert_type(await assistant.ask.send("why?"), str)
    assert_type(await assistant.ask.send("why?", times=2), str)
    assert_type(await assistant.ask.send("why?", delay=hour), str)
    assert_type(await assistant.ask.send("why?", 2, delay=hour), str)
    assert_type(await assistant.ask.send("why?", delay=60), str)
    assert_type(await assistant.ask.send("why?", times=2, delay=None), str)
    assert_type(await assistant.ask.send(question="why?", delay=hour), str)
    assert_type(await assistant.transcript.send(delay=hour), str)
    assert_type(await assistant.book.send("Bonn", 2, breakfast=True, delay=hour), str)
    assert_type(await assistant.book.send("Bonn", nights=2, breakfast=True, delay=hour), str)
    await assistant.ask.send(5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await assistant.ask.send()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await assistant.ask.send("why?", times="2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await assistant.ask.send(5, delay=hour)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await assistant.ask.send("why?", "2", delay=hour)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await assistant.ask.send("why?", delay="60")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await assistant.transcript.send("why?")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await assistant.transcript.send("why?", delay=hour)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await assistant.book.send("Bonn", "2", breakfast=True, delay=hour)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


async def steps(ctx: Context) -> None:
    assert_type(ctx.run("load", load, "a"), Future[bytes])
    assert_type(await ctx.run("load", load, "a", name="b"), bytes)
    assert_type(await ctx.run("size", size, "a"), int)
    assert_type(await ctx.run("one", lambda: 1), int)
    step = ctx.step(timeout=timedelta(seconds=5), on_unknown="fail")
    assert_type(await step.run("load", load, "a"), bytes)
    assert_type(await step.run("size", size, path="a"), int)
    await ctx.run("load", load, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.run("load", load)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.run("size", size, "a", oops=1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    ctx.step(on_unknown="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.sleep(timedelta(seconds=1))
    await ctx.sleep("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def others(ctx: Context, hour: timedelta) -> None:
    assert_type(ctx.awakeable(), Awakeable[Any])
    approval = ctx.awakeable(bool)
    assert_type(approval, Awakeable[bool])
    assert_type(await approval, bool)
    asked = ctx.awakeable(int, message={"how": "many"}, timeout=hour)
    assert_type(asked, Awakeable[int])
    assert_type(ctx.awakeable(message="anything", timeout=60), Awakeable[Any])
    ctx.awakeable(int, timeout="60")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert_type(ctx.resolve_awakeable(asked.id, 5), Future[None])
    assert_type(ctx.signal("word", str), Future[str])
    assert_type(await ctx.signal("word"), Any)
    assert_type(ctx.get("colour", str), str | None)
    assert_type(ctx.get("colour", str, "red"), str)
    assert_type(ctx.get("colours", list[str], []), list[str])
    assert_type(await ctx.send("Mailer", None, "deliver", "sam"), str)
    assert_type(ctx.object(Assistant, "sam", mode="interrupt"), Assistant)
    ctx.object(Assistant, "sam", mode="oops")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await ctx.inbox(int).get(), int)
    assert_type(await ctx.inbox(int).drain(), list[int])
    ctx.object(Assistant, "sam", oops=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ctx.object(Assistant, "sam", idempotency_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ctx.call("Mailer", None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def workflows(ctx: Context, runtime: Runtime) -> None:
    assert_type(await ctx.workflow(Order, "7").run("tea"), int)
    assert_type(await ctx.workflow(Order, "7").run.send("tea"), str)
    assert_type(await runtime.workflow(Order, "7").look(), str)
    await runtime.workflow(Order, "7").run(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    paid = runtime.promise(Order, "7", "paid", bool)
    assert_type(await paid.peek(), bool | None)
    await paid.resolve("yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def outside(runtime: Runtime) -> None:
    assistant = runtime.object(Assistant, "sam", idempotency_key="k")
    assert_type(assistant, Assistant)
    assert_type(await assistant.ask("why?"), str)
    await runtime.call_by_name("Mailer", None, "deliver", "sam", idempotency_key="k")
    await runtime.send_by_name("Mailer", None, "deliver", "sam", idempotency_key=None)
    runtime.object(Assistant, "sam", idempotency_key=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(runtime.object(Assistant, "sam", callback=assistant.ask), Assistant)
    await runtime.send_by_name("Mailer", None, "deliver", callback="https://example.com/")
    runtime.object(Assistant, "sam", callback=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    runtime.service(Mailer, oops=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
