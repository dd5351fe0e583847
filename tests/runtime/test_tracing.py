"""Spans: one per attempt, one per action, none for what was only replayed."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from holdfast.objects.identity import Target, parse_awakeable_id
from holdfast.runtime.requests import CallRequest

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
