"""JSON Schemas of what handlers take and give, alone and as parts of one OpenAPI document.

A schema that stands alone brings its definitions along, under ``$defs``. In a document they are
``components``, where two classes of one name must not become one.
"""

import json
from typing import Any, cast

from ...objects.definition import HandlerDefinition
from ...objects.media import JSON
from ...objects.schemas import schema_of

Node = dict[str, Any]

_DEFS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"


def input_schema(handler: HandlerDefinition) -> Node | None:
    """Of the body; ``None``: there is none, or it is no JSON."""
    if not handler.takes_input or handler.takes_raw:
        return None
    if len(handler.parameters) == 1:
        return _schema(handler.parameters[0].annotation)
    properties: Node = {}
    definitions: Node = {}
    for parameter in handler.parameters:
        schema = _schema(parameter.annotation)
        definitions.update(schema.pop("$defs", {}))
        properties[parameter.name] = schema
    found: Node = {"type": "object", "properties": properties}
    required = [each.name for each in handler.parameters if not each.has_default]
    if required:
        found["required"] = required
    if definitions:
        found["$defs"] = definitions
    return found


def output_schema(handler: HandlerDefinition) -> Node | None:
    """Of the result; ``None``: there is none, or it is no JSON."""
    if handler.returns_raw or gives_nothing(handler):
        return None
    return _schema(handler.returns)


def gives_nothing(handler: HandlerDefinition) -> bool:
    """Whether its result is ``None``, whose answer has no body."""
    return handler.returns is None or handler.returns is type(None)


def describe(schema: Node | None, content_type: str, *, is_empty: bool) -> str:
    """A few words for people: ``JSON integer``."""
    if is_empty:
        return "none"
    if content_type != JSON:
        return f"value of content-type '{content_type}'"
    kind = None if schema is None else schema.get("type")
    return f"JSON {kind}" if isinstance(kind, str) else "JSON value"


def hoist(schema: Node, components: dict[str, Node]) -> Node:
    """``schema`` as a part of a document; what it defines is added to ``components``."""
    schema = dict(schema)
    definitions: dict[str, Node] = schema.pop("$defs", {})
    names: dict[str, str] = {}
    for name, definition in definitions.items():
        names[name] = _free_name(name, definition, components, definitions)
        # A place is kept first, since definitions may name each other.
        components[names[name]] = definition
    for name, definition in definitions.items():
        components[names[name]] = _renamed(definition, names)
    renamed: Node = _renamed(schema, names)
    return renamed


def _schema(annotation: Any) -> Node:
    encoded = schema_of(annotation)
    found: Node = {} if encoded is None else json.loads(encoded)
    return found


def _free_name(
    name: str, definition: Node, components: dict[str, Node], definitions: dict[str, Node]
) -> str:
    """``name``, or with a number where that is another one's already."""
    identity = {each: each for each in definitions}
    candidate, number = name, 1
    while candidate in components and components[candidate] != _renamed(definition, identity):
        number += 1
        candidate = f"{name}{number}"
    return candidate


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, list):
        items = cast("list[object]", node)
        return [_renamed(each, names) for each in items]
    if not isinstance(node, dict):
        return node
    found: Node = {}
    for key, value in cast("Node", node).items():
        if key == "mapping" and isinstance(value, dict):
            # Of a discriminator, by its tags; or it is a field of this name.
            tags = cast("Node", value)
            found[key] = {tag: _renamed_text(each, names) for tag, each in tags.items()}
        else:
            found[key] = _renamed_text(value, names) if key == "$ref" else _renamed(value, names)
    return found


def _renamed_text(node: Any, names: dict[str, str]) -> Any:
    if not isinstance(node, str) or not node.startswith(_DEFS):
        return _renamed(node, names)
    name = node.removeprefix(_DEFS)
    return f"{_COMPONENTS}{names.get(name, name)}"
