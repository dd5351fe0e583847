"""Spans: one per attempt, one per action, none for what was only replayed."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from holdfast import Context, VirtualObject, handler
from holdfast.objects.identity import Target, parse_awakeable_id
from holdfast.runtime.requests import CallRequest
from holdfast.runtime.testing import settle

from .agents import Agent, Ledger
from .worlds import World

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_actions_are_spans_below_the_attempt_and_replay_makes_none() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    world = World([Agent])
    world.tracer_provider = provider
    runtime = await world.start()
    request = CallRequest(
        target=Target("Agent", "s", "approve"),
        argument=b"",
        headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
    )
    Ledger.lines.clear()
    answer = runtime.submit(request, wait=True)
    await world.clock.advance(1)
    runtime.suspend_idle()
    runtime.complete_awakeable(parse_awakeable_id(Ledger.lines[-1]), b'"yes"')
    await answer

    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["ask", "Agent/s/approve", "Agent/s/approve"]
    contexts = [span.get_span_context() for span in spans]
    assert {format(context.trace_id, "032x") for context in contexts if context} == {TRACE}
    ask, first_attempt, _ = spans
    assert ask.parent is not None
    parent = first_attempt.get_span_context()
    assert parent is not None
    assert ask.parent.span_id == parent.span_id


class SilentError(Exception):
    """One that cannot be said."""

    def __str__(self) -> str:
        message = "no words"
        raise RuntimeError(message)


class Unlucky(VirtualObject):
    failures_left = 1

    @handler
    async def try_twice(self, ctx: Context) -> str:
        return await ctx.run("try", self._try)

    @staticmethod
    def _try() -> str:
        if Unlucky.failures_left:
            Unlucky.failures_left -= 1
            raise SilentError
        return "done"


class BadSampler(Sampler):
    def should_sample(self, *_: Any, **__: Any) -> Any:
        raise SilentError

    def get_description(self) -> str:
        return "bad"


class BadStart(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise SilentError


class BadEnd(SpanProcessor):
    def on_end(self, span: Any) -> None:
        raise SilentError


def make_provider(bad: type) -> TracerProvider:
    if bad is BadSampler:
        return TracerProvider(sampler=BadSampler())
    provider = TracerProvider()
    if bad is not Unlucky:
        provider.add_span_processor(bad())
    return provider


@pytest.mark.parametrize("bad", [BadSampler, BadStart, BadEnd, Unlucky])
async def test_what_recording_a_span_raises_costs_no_more_than_the_span(
    bad: type, caplog: pytest.LogCaptureFixture
) -> None:
    world = World([Unlucky])
    world.tracer_provider = make_provider(bad)
    runtime = await world.start()
    Unlucky.failures_left = 1
    answers = [asyncio.ensure_future(runtime.object(Unlucky, key).try_twice()) for key in "ab"]
    await settle()
    await world.clock.advance(1)
    assert await asyncio.gather(*answers) == ["done", "done"]
    told = [record for record in caplog.records if record.name == "holdfast.tracing"]
    assert len(told) == 1
    world.close()
