"""What is served here: classes, handlers, their schemas and options, as Restate names them.

Options of a class are what counts where nothing else is said, the runtime's included; those of a
handler are listed only where it says otherwise.
"""

from datetime import timedelta
from typing import Any, Final

from ...objects.definition import HandlerDefinition, ServiceDefinition
from ...objects.options import HandlerOptions
from ...objects.retry import RetryPolicy
from ...runtime.config import RuntimeConfig
from ..messages import Response
from .answers import json_response
from .refusals import AdminRefusal, refuse_service
from .route import Asked, Described, Route
from .schemas import describe, gives_nothing, input_schema, output_schema
from .service_openapi import make_service_document

_TYPES: Final = {
    "virtual object": "VirtualObject",
    "workflow": "Workflow",
    "service": "Service",
}
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def describe_service(service: ServiceDefinition, config: RuntimeConfig) -> dict[str, Any]:
    """One class."""
    options = service.cls.holdfast_declaration.options
    retention = options.retention or config.retention
    found: dict[str, Any] = {
        "name": service.name,
        "ty": _TYPES[service.kind],
        "handlers": [describe_handler(each, service) for each in service.handlers.values()],
        "public": not service.is_private,
        "idempotency_retention": _first(
            options.idempotency_retention, config.idempotency_retention, retention
        ),
        "journal_retention": _first(options.journal_retention, config.journal_retention, retention),
        "inactivity_timeout": _friendly_ms(
            config.idle_ms_max if options.idle_ms_max is None else options.idle_ms_max
        ),
        "retry_policy": _describe_retry(options.retry or config.retry),
    }
    if service.kind == "workflow":
        found["workflow_completion_retention"] = _first(
            options.workflow_retention, config.workflow_retention, retention
        )
    if service.cls.__doc__:
        found["documentation"] = service.cls.__doc__
    return found


def describe_handler(handler: HandlerDefinition, service: ServiceDefinition) -> dict[str, Any]:
    """One handler."""
    taken, given = input_schema(handler), output_schema(handler)
    found: dict[str, Any] = {"name": handler.name}
    if service.keyed:
        is_run = handler.is_run
        found["ty"] = "Workflow" if is_run else "Shared" if handler.shared else "Exclusive"
    found["public"] = not handler.options.ingress_private
    if handler.documentation:
        found["documentation"] = handler.documentation
    found["input_description"] = describe(taken, handler.accept, is_empty=not handler.takes_input)
    found["output_description"] = describe(
        given, handler.content_type, is_empty=gives_nothing(handler)
    )
    if taken is not None:
        found["input_json_schema"] = taken
    if given is not None:
        found["output_json_schema"] = given
    return found | _own_options(handler.options, service.cls.holdfast_declaration.options)


def _own_options(options: HandlerOptions, over: HandlerOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, said in (
        ("idempotency_retention", "idempotency_retention"),
        ("journal_retention", "journal_retention"),
        ("workflow_completion_retention", "workflow_retention"),
    ):
        value = getattr(options, said)
        if value is not None and value != getattr(over, said):
            found[name] = friendly(value)
    if options.idle_ms_max is not None and options.idle_ms_max != over.idle_ms_max:
        found["inactivity_timeout"] = _friendly_ms(options.idle_ms_max)
    if options.retry is not None and options.retry != over.retry:
        found["retry_policy"] = _describe_retry(options.retry)
    return found


def _describe_retry(retry: RetryPolicy) -> dict[str, Any]:
    return {
        "initial_interval": friendly(retry.initial_interval),
        "exponentiation_factor": float(retry.factor),
        "max_attempts": retry.max_attempts,
        "max_interval": friendly(retry.max_interval),
        "on_max_attempts": "Kill" if retry.on_max_attempts == "fail" else "Pause",
    }


def _first(*said: timedelta | None) -> str:
    return friendly(next(each for each in said if each is not None))


def friendly(duration: timedelta) -> str:
    """``1d``, ``1h 30m``, ``500ms``; ``0s`` for nothing."""
    return _friendly_ms(round(duration / timedelta(milliseconds=1)))


def _friendly_ms(milliseconds: int) -> str:
    parts: list[str] = []
    for unit, size in _UNITS:
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


async def _answer_list(asked: Asked, _: Any) -> Response:
    config = asked.engine.config
    services = asked.engine.registry.services.values()
    return json_response(200, {"services": [describe_service(each, config) for each in services]})


async def _answer_service(asked: Asked, _: Any) -> Response:
    return json_response(200, describe_service(_get_service(asked), asked.engine.config))


async def _answer_handlers(asked: Asked, _: Any) -> Response:
    service = _get_service(asked)
    handlers = [describe_handler(each, service) for each in service.handlers.values()]
    return json_response(200, {"handlers": handlers})


async def _answer_handler(asked: Asked, _: Any) -> Response:
    service, name = _get_service(asked), asked.names["handler"]
    handler = service.handlers.get(name)
    if handler is None:
        message = f"The requested handler '{name:.200}' on service '{service.name}' does not exist"
        raise AdminRefusal(404, message)
    return json_response(200, describe_handler(handler, service))


async def _answer_openapi(asked: Asked, _: Any) -> Response:
    document = make_service_document(_get_service(asked), asked.about)
    return json_response(200, document)


def _get_service(asked: Asked) -> ServiceDefinition:
    name = asked.names["service"]
    service = asked.engine.registry.services.get(name)
    if service is None:
        refuse_service(name)
    return service


_NONE: Final = Described("There is no such service or handler.")

ROUTES: Final = (
    Route(
        method="GET",
        path="/services",
        operation="list_services",
        tag="service",
        summary="All classes that are served",
        answer=_answer_list,
        answers={200: Described("The classes.", dict[str, list[dict[str, Any]]])},
    ),
    Route(
        method="GET",
        path="/services/{service}",
        operation="get_service",
        tag="service",
        summary="A class with its handlers",
        answer=_answer_service,
        answers={200: Described("The class.", dict[str, Any]), 404: _NONE},
    ),
    Route(
        method="GET",
        path="/services/{service}/handlers",
        operation="list_service_handlers",
        tag="service",
        summary="The handlers of a class",
        answer=_answer_handlers,
        answers={200: Described("The handlers.", dict[str, list[dict[str, Any]]]), 404: _NONE},
    ),
    Route(
        method="GET",
        path="/services/{service}/handlers/{handler}",
        operation="get_service_handler",
        tag="service",
        summary="One handler",
        answer=_answer_handler,
        answers={200: Described("The handler.", dict[str, Any]), 404: _NONE},
    ),
    Route(
        method="GET",
        path="/services/{service}/openapi",
        operation="get_service_openapi",
        tag="service",
        summary="An OpenAPI document of how callers call a class",
        answer=_answer_openapi,
        answers={200: Described("OpenAPI 3.1.", dict[str, Any]), 404: _NONE},
    ),
)
