"""What a class declares: its handlers and state fields, its own and inherited ones.

Looks at a class once, when it is created, and evaluates no annotation.
"""

from dataclasses import dataclass
from typing import Any, cast

from .annotations import describe_name, raw_annotations
from .errors import InvalidDefinitionError
from .fields import StateField
from .handler import Handler, check_handler_name


@dataclass(frozen=True, slots=True)
class Members:
    """The handlers and state fields of a class, by attribute."""

    handlers: dict[str, Handler[..., Any]]
    fields: dict[str, StateField[Any]]


def collect_members(cls: type) -> Members:
    """All handlers and fields of ``cls``; a subclass's replace those it inherits.

    Raises:
        InvalidDefinitionError: two of one name, one hidden by something else, or an attribute that
            looks like a state field and is one value for all objects.
    """
    members = Members({}, {})
    for declaring in reversed(cls.__mro__):
        for attribute, value in vars(declaring).items():
            _take(members, cls, declaring, attribute, value)
    _check_names(members, cls)
    _check_attributes(cls)
    return members


def _take(members: Members, cls: type, declaring: type, attribute: str, value: object) -> None:
    name = describe_name(cls)
    if isinstance(value, Handler):
        if attribute in members.fields:
            message = f"{name}.{attribute} is both a handler and a state field; rename one"
            raise InvalidDefinitionError(message)
        members.handlers[attribute] = value
    elif isinstance(value, StateField):
        if attribute in members.handlers:
            message = f"{name}.{attribute} is both a handler and a state field; rename one"
            raise InvalidDefinitionError(message)
        members.fields[attribute] = value
    elif attribute in members.handlers:
        message = (
            f"{describe_name(declaring)}.{attribute} hides the handler of that name that it "
            f"inherits; decorate it with @handler or @shared, or rename it"
        )
        raise InvalidDefinitionError(message)
    elif attribute in members.fields:
        message = (
            f"{describe_name(declaring)}.{attribute} hides the state field of that name that it "
            f"inherits; for another default write `{attribute}: <type> = state(...)`"
        )
        raise InvalidDefinitionError(message)


def _check_names(members: Members, cls: type) -> None:
    taken: dict[str, str] = {}
    for attribute, handler in members.handlers.items():
        where = f"{describe_name(cls)}.{attribute} ({handler.source})"
        check_handler_name(handler.name, where)
        if handler.name in taken:
            message = (
                f"{where}: there are two handlers of the name {handler.name!r}, the other is "
                f"{taken[handler.name]}; give one of them another name"
            )
            raise InvalidDefinitionError(message)
        taken[handler.name] = where
    for attribute, field in members.fields.items():
        where = f"{describe_name(cls)}.{attribute} ({field.source})"
        if field.name in taken:
            message = (
                f"{where}: this state field has the name {field.name!r}, and so has "
                f"{taken[field.name]}; give one of them another name"
            )
            raise InvalidDefinitionError(message)
        if not field.is_annotated():
            message = f"{where}: a state field needs a type: `{attribute}: <type> = state(...)`"
            raise InvalidDefinitionError(message)
        taken[field.name] = where


def _check_attributes(cls: type) -> None:
    """Refuse ``items: list[str] = []``, as dataclasses do: it was meant to be an object's own."""
    for attribute, annotation in raw_annotations(cls).items():
        value: object = vars(cls).get(attribute)
        if (
            isinstance(value, list | dict | set)
            and attribute[:1] != "_"
            and not attribute.isupper()
            and not any(word in str(annotation) for word in ("ClassVar", "Final"))
        ):
            kind = type(cast("object", value)).__name__
            message = (
                f"{describe_name(cls)}.{attribute} is one {kind} for all objects, and lost with "
                f"the process; for state write `{attribute}: <type> = state(default_factory="
                f"{kind})`, and if they are to share it `{attribute}: ClassVar[<type>]`"
            )
            raise InvalidDefinitionError(message)
