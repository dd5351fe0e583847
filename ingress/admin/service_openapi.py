"""An OpenAPI document of one class: how callers call its handlers and send to them."""

from typing import Final

from ...objects.definition import HandlerDefinition, ServiceDefinition
from ...objects.media import JSON
from .route import About
from .schemas import Node, gives_nothing, hoist, input_schema, output_schema

OPENAPI_VERSION: Final = "3.1.0"

_ERROR: Final[Node] = {
    "title": "Error",
    "type": "object",
    "description": "Why there is no result. `source` says who failed.",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "source": {"type": "string", "enum": ["ingress", "invocation"]},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["code", "message"],
}
_SENT: Final[Node] = {
    "title": "Sent",
    "type": "object",
    "properties": {
        "invocationId": {"type": "string"},
        "executionTime": {"type": "string", "format": "date-time"},
        "status": {"type": "string", "enum": ["Accepted", "PreviouslyAccepted"]},
    },
    "required": ["invocationId", "status"],
}
_KEY: Final[Node] = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "Which object.",
    "schema": {"type": "string", "minLength": 1},
}
_DELAY: Final[Node] = {
    "name": "delay",
    "in": "query",
    "description": "How long to wait before: milliseconds, `1h 30m` or `PT1H30M`.",
    "schema": {"type": "string", "examples": ["10s"]},
}
_MODE: Final[Node] = {
    "name": "mode",
    "in": "query",
    "description": "What it does to the turn under way at its key.",
    "schema": {"type": "string", "enum": ["queue", "interrupt", "steer"]},
}
_IDEMPOTENCY_KEY: Final[Node] = {
    "name": "idempotency-key",
    "in": "header",
    "description": "Makes sending the same again harmless.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 1024},
}
_REFUSED: Final[Node] = {
    "description": "It was refused, or its outcome is a failure, whose status this is.",
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/HoldfastError"}}},
}
_BEARER: Final[Node] = {"type": "http", "scheme": "bearer"}


def make_service_document(service: ServiceDefinition, about: About) -> Node:
    """OpenAPI 3.1 of the handlers that callers may call over HTTP."""
    components: dict[str, Node] = {"HoldfastError": _ERROR, "HoldfastSent": _SENT}
    paths: Node = {}
    for handler in service.handlers.values():
        if service.is_private or handler.options.ingress_private:
            continue
        below = f"/{{key}}/{handler.name}" if service.keyed else f"/{handler.name}"
        path = f"/{service.name}{below}"
        paths[path] = _call(service, handler, components)
        paths[f"{path}/send"] = _send(service, handler, components)
    document: Node = {
        "openapi": OPENAPI_VERSION,
        "info": {"title": service.name, "version": about.version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"bearer": _BEARER}},
        "security": [{}, {"bearer": []}],
    }
    if service.cls.__doc__:
        document["info"]["description"] = service.cls.__doc__
    url = about.find_ingress()
    if url is not None:
        document["servers"] = [{"url": url.rstrip("/")}]
    return document


def _call(
    service: ServiceDefinition, handler: HandlerDefinition, components: dict[str, Node]
) -> Node:
    done: Node = {"description": "Its result."}
    schema = output_schema(handler)
    if not gives_nothing(handler):
        media: Node = {} if schema is None else {"schema": hoist(schema, components)}
        done["content"] = {handler.content_type: media}
    operation = _operation(service, handler, components, f"{service.name}.{handler.name}")
    operation["responses"] = {"200": done, "default": _REFUSED}
    return {"post": operation}


def _send(
    service: ServiceDefinition, handler: HandlerDefinition, components: dict[str, Node]
) -> Node:
    operation = _operation(service, handler, components, f"{service.name}.{handler.name}.send")
    operation["summary"] = f"Send to {handler.name}, without waiting for its result"
    operation["parameters"].append(_DELAY)
    sent = {
        "description": "It is accepted.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/HoldfastSent"}}},
    }
    operation["responses"] = {"202": sent, "default": _REFUSED}
    return {"post": operation}


def _operation(
    service: ServiceDefinition,
    handler: HandlerDefinition,
    components: dict[str, Node],
    operation_id: str,
) -> Node:
    parameters: list[Node] = [_KEY] if service.keyed else []
    if not handler.is_run:
        parameters.append(_IDEMPOTENCY_KEY)
    if service.keyed and not handler.shared:
        parameters.append(_MODE)
    operation: Node = {
        "operationId": operation_id,
        "tags": [service.name],
        "summary": f"Call {handler.name}",
        "parameters": parameters,
    }
    if handler.documentation:
        operation["description"] = handler.documentation
    if handler.takes_input:
        schema = input_schema(handler)
        media = {} if schema is None else {"schema": hoist(schema, components)}
        operation["requestBody"] = {
            "required": not _has_default(handler),
            "content": {handler.accept: media},
        }
    return operation


def _has_default(handler: HandlerDefinition) -> bool:
    return len(handler.parameters) == 1 and handler.parameters[0].has_default
