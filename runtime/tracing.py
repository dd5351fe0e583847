"""OpenTelemetry spans of attempts and steps, where somebody has set up tracing.

An attempt is a span, child of the trace its call came with (``traceparent``); each action is a
span below it, and is current while the action runs, so that whatever a client library records of
its own (a model call, an HTTP request) hangs below the step. Replayed steps have no spans, for
nothing happened.

Without a tracer provider nothing is made, and the cost is one attribute look-up.

Samplers and span processors are others' code and run in the middle of decisions. Whatever they
raise costs a span and nothing else.
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
        self._has_complained = False

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
        except Exception as raised:  # noqa: BLE001  # others' code, see above
            self._complain(raised)
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
            into.run(otel_context.attach, trace.set_span_in_context(span))
        except Exception as raised:  # noqa: BLE001  # others' code, see above
            self._complain(raised)
            return None
        return span

    def end(self, span: Any, error: BaseException | None) -> None:
        """End a span, with what went wrong."""
        try:
            if error is not None:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                span.record_exception(error)
        except Exception as raised:  # noqa: BLE001  # also of an error that cannot be said
            self._complain(raised)
        try:
            span.end()
        except Exception as raised:  # noqa: BLE001  # others' code, see above
            self._complain(raised)

    def _complain(self, raised: Exception) -> None:
        """Say what has been raised, once: it may be raised for each step."""
        if not self._has_complained:
            self._has_complained = True
            logger.warning("spans are lost, for recording one has raised an error", exc_info=raised)
