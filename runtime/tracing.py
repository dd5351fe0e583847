"""OpenTelemetry spans of attempts and steps, where somebody has set up tracing.

An attempt is a span, child of the trace its call came with (``traceparent``); each action is a
span below it, and is current while the action runs, so that whatever a client library records of
its own (a model call, an HTTP request) hangs below the step. Replayed steps have no spans, for
nothing happened.

Without a tracer provider nothing is made, and the cost is one attribute look-up. What a provider
raises is logged and costs the span: decisions are under way here, which must not end half taken.
"""

from collections.abc import Mapping
from contextvars import Context
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import ProxyTracerProvider, Span, StatusCode, Tracer, TracerProvider

from .logs import make_logger

logger = make_logger("holdfast.tracing")


class Tracing:
    """Makes the spans of one runtime."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Use ``provider``, else the one the program has set up, else make no spans."""
        given = provider or trace.get_tracer_provider()
        self._tracer: Tracer | None = None
        if not isinstance(given, ProxyTracerProvider):
            self._tracer = given.get_tracer("holdfast")
        self.is_on = self._tracer is not None
        """Whether spans are made at all."""

    def begin_attempt(
        self, target: str, invocation_id: str, headers: Mapping[str, str]
    ) -> Span | None:
        """The span of an attempt; the caller ends it."""
        if self._tracer is None:
            return None
        try:
            return self._tracer.start_span(
                target,
                context=propagate.extract(headers),
                kind=trace.SpanKind.SERVER,
                attributes={"holdfast.invocation_id": invocation_id},
            )
        except Exception as raised:  # a stranger's
            logger.warning("the span of an attempt was not made", exc_info=raised)
            return None

    def begin_step(
        self, name: str, attempt: int, idempotency_key: str, parent: Span | None, into: Context
    ) -> Span | None:
        """The span of an action, current in the context ``into``; the caller ends it."""
        if self._tracer is None:
            return None
        try:
            span = self._tracer.start_span(
                name,
                context=None if parent is None else trace.set_span_in_context(parent),
                attributes={
                    "holdfast.step_attempt": attempt,
                    "holdfast.idempotency_key": idempotency_key,
                },
            )
        except Exception as raised:  # a stranger's
            logger.warning("the span of a step was not made", exc_info=raised)
            return None
        into.run(otel_context.attach, trace.set_span_in_context(span))
        return span


def end_span(span: Any, error: BaseException | None) -> None:
    """End a span, with what went wrong."""
    if span is None:
        return
    try:
        if error is not None:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, type(error).__name__)
        span.end()
    except Exception as raised:  # a stranger's
        logger.warning("a span could not be ended", exc_info=raised)
