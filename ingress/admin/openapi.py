"""An OpenAPI document of the operators' door, made of the routes that serve it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from ...objects.media import JSON
from ..messages import Response
from .answers import json_response
from .route import About, Asked, Described, Route
from .schemas import Node
from .service_openapi import OPENAPI_VERSION

_NAME: Final = re.compile(r"\{(\w+)\}")
_MEANINGS: Final = {
    "invocation_id": "Of the invocation: `inv_` and 32 hex digits.",
    "service": "The name of a class.",
    "handler": "The name of a handler.",
}
_PATTERNS: Final = {"invocation_id": "^inv_[0-9a-f]{32}$"}
_KEYED: Final = frozenset({"modify_service_state", "merge_service_state"})
_IDEMPOTENCY_KEY: Final[Node] = {
    "name": "idempotency-key",
    "in": "header",
    "description": "Makes sending the same again harmless.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 1024},
}


class Refused(msgspec.Struct):
    """Why nothing was done; `x-holdfast-error` names a page that says more."""

    message: str
    restate_code: None


def make_admin_document(routes: Sequence[Route], about: About) -> Node:
    """OpenAPI 3.1 of ``routes``."""
    types = _types_of(routes)
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = {id(type_): schema for type_, schema in zip(types, schemas, strict=True)}
    paths: Node = {}
    for route in routes:
        operation = _describe(route, schema_of)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": "Holdfast admin API", "version": about.version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def _types_of(routes: Iterable[Route]) -> list[Any]:
    found: dict[int, Any] = {id(Refused): Refused}
    for route in routes:
        for type_ in (route.body, *(each.type for each in route.answers.values())):
            if type_ is not None:
                found[id(type_)] = type_
    return list(found.values())


def _describe(route: Route, schema_of: dict[int, Node]) -> Node:
    operation: Node = {
        "operationId": route.operation,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [*_parameters(route)],
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        content = {JSON: {"schema": schema_of[id(route.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    responses: Node = {}
    for status, described in sorted(route.answers.items()):
        responses[str(status)] = _response(status, described, schema_of)
    responses["default"] = _response(400, Described("It was refused."), schema_of)
    operation["responses"] = responses
    return operation


def _parameters(route: Route) -> Iterable[Node]:
    for name in _NAME.findall(route.path):
        schema: Node = {"type": "string", "minLength": 1}
        if name in _PATTERNS:
            schema = {"type": "string", "pattern": _PATTERNS[name]}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _MEANINGS[name],
            "schema": schema,
        }
    for parameter in route.query:
        yield {
            "name": parameter.name,
            "in": "query",
            "description": parameter.meaning,
            "schema": dict(parameter.schema),
        }
    if route.operation in _KEYED:
        yield _IDEMPOTENCY_KEY


def _response(status: int, described: Described, schema_of: dict[int, Node]) -> Node:
    type_ = described.type
    if type_ is None and status >= 400:
        type_ = Refused
    response: Node = {"description": described.meaning}
    if type_ is not None:
        response["content"] = {JSON: {"schema": schema_of[id(type_)]}}
    return response


async def _answer(asked: Asked, _: Any) -> Response:
    return json_response(200, make_admin_document(asked.routes, asked.about))


ROUTES: Final = (
    Route(
        method="GET",
        path="/openapi",
        operation="openapi_spec",
        tag="openapi",
        summary="This document",
        answer=_answer,
        answers={200: Described("OpenAPI 3.1.", dict[str, Any])},
    ),
)
