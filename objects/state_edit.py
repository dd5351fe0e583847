"""Editing an object's state from outside: a handler of Holdfast's own on every class with keys.

An edit is an ordinary invocation, so it waits for its turn at the key, happens once, survives a
crash and can be looked at. Its handler is not among those that a class offers: nobody calls it by
name, and it is in no list. It runs on an instance of a class of ours, so that an ``__init__`` of
the user's that stumbles over a damaged state does not keep that state from being mended.

The new values travel as JSON and are decoded as the class declares them: once at the door, so that
what does not fit is refused before anything is recorded, and once more when they are stored.
"""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from .context import Context
from .definition import HandlerDefinition, ServiceDefinition, define
from .errors import InvalidArgumentError, TerminalError
from .fields import SYSCALLS_ATTRIBUTE, StateField
from .handler import handler
from .serde import json_serde
from .service import OWN_NAMES, VirtualObject
from .syscalls import Syscalls

EDIT_STATE: Final = f"{OWN_NAMES}edit_state"
"""The name of the handler; no name of a user's begins so."""


class StateEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of a state.

    Attributes:
        values: new values as JSON, by the names of their fields.
        clear: names whose values are forgotten; only where ``keeps_others``.
        keeps_others: whether values that are not named stay; else they are forgotten.
        version: the tag that the state must have when the edit has its turn; ``None``: any.
    """

    values: dict[str, msgspec.Raw]
    clear: list[str] = []
    keeps_others: bool = False
    version: str | None = None


class StateEditor(VirtualObject):
    """Stands in for an object while its state is edited."""

    @handler
    async def edit(self, ctx: Context, edit: Any) -> None:
        """Make the edit, whole or not at all."""
        del ctx, edit
        raise NotImplementedError


def make_editor(service: ServiceDefinition) -> tuple[ServiceDefinition, HandlerDefinition]:
    """The class that edits the state of ``service``, and its handler."""

    async def edit(instance: Any, ctx: Context, edit: StateEdit) -> None:
        syscalls = cast("Syscalls", getattr(instance, SYSCALLS_ATTRIBUTE))
        # A step, so that what was changed, and what it was before, is kept as long as a journal is.
        found = await ctx.run("read version", _give, syscalls.state_tag())
        if edit.version is not None and edit.version != found:
            message = (
                f"the state is not the one of version {edit.version!r:.80} any more, so nothing "
                f"was changed; read it again"
            )
            raise TerminalError(message, status_code=409)
        try:
            values = decode_values(service, edit.values)
        except InvalidArgumentError as error:
            raise TerminalError(error.message, status_code=400) from error
        for name in syscalls.state_names():
            if name in edit.clear or not (edit.keeps_others or name in values):
                syscalls.state_clear(_field_of(service, name))
        for name, value in values.items():
            syscalls.state_set(_field_of(service, name), value)

    base = define(StateEditor)
    made = replace(
        base.handlers["edit"],
        service=service.name,
        name=EDIT_STATE,
        function=edit,
        options=service.cls.holdfast_declaration.options,
        argument=_EditCodec(),
    )
    handlers = MappingProxyType({EDIT_STATE: made})
    return replace(
        base,
        name=service.name,
        kind=service.kind,
        handlers=handlers,
        attributes=handlers,
        fields=service.fields,
    ), made


async def _give(version: str) -> str:
    return version


def encode_edit(edit: StateEdit) -> bytes:
    """The body of a call of the editor."""
    return msgspec.json.encode(edit)


def decode_values(service: ServiceDefinition, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that came as JSON, each as its field declares it.

    Raises:
        InvalidArgumentError: one is not of its field's type, or has a name that no field has; the
            message names it.
    """
    decoded: dict[str, Any] = {}
    for name, raw in values.items():
        try:
            field = _field_of(service, name)
            value = json_serde(field.annotation).decode(bytes(raw))
            # What can be decoded might still not be stored.
            field.serde.encode(value)
        except InvalidArgumentError as error:
            message = f"{service.name}: state field {name!r:.80}: {error.message}"
            raise InvalidArgumentError(message) from error
        decoded[name] = value
    return decoded


def check_given(values: object, version: object) -> None:
    """Refuse what a program gives that is no values by their names, or no version.

    Raises:
        InvalidArgumentError: it is of another type; the message says which it should be.
    """
    if not isinstance(values, Mapping):
        message = (
            f"the values of a state are a mapping of names to values, but this is "
            f"{type(values).__name__}: {values!r:.80}"
        )
        raise InvalidArgumentError(message)
    for name in cast("Mapping[object, object]", values):
        if not isinstance(name, str):
            message = (
                f"the name of a state field is a str, but this is {type(name).__name__}: "
                f"{name!r:.80}"
            )
            raise InvalidArgumentError(message)
    if version is not None and not (isinstance(version, str) and version.isascii()):
        message = (
            f"version is the tag of a state, as wait_state() gives it, but this is {version!r:.80}"
        )
        raise InvalidArgumentError(message)


def check_names(service: ServiceDefinition, edit: StateEdit, stored: frozenset[str]) -> None:
    """Refuse names that neither the class declares nor the object has: most likely a slip.

    A class that declares no fields uses ``ctx.set``, and there any name is as good as another.

    Raises:
        InvalidArgumentError: there is such a name, or one that is set and cleared as well.
    """
    for name in (*edit.values, *edit.clear):
        if service.fields and name not in service.fields and name not in stored:
            near = get_close_matches(name[:80], service.fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = (
                f"{service.name} has no state field {name!r:.80}; it has "
                f"{', '.join(sorted(service.fields))}{hint}"
            )
            raise InvalidArgumentError(message)
    both = sorted(set(edit.values) & set(edit.clear))
    if both:
        message = f"state field {both[0]!r:.80} is to be set and cleared: say which"
        raise InvalidArgumentError(message)


def _field_of(service: ServiceDefinition, name: str) -> StateField[Any]:
    return service.fields.get(name) or StateField.of_type(name, Any)


class _EditCodec:
    """As ``ArgumentCodec``, for the one parameter of the editor."""

    def decode(self, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The edit that a body holds.

        Raises:
            InvalidArgumentError: it holds none.
        """
        try:
            return (msgspec.json.decode(data, type=StateEdit),), {}
        except msgspec.DecodeError as error:
            message = f"this is no edit of a state: {error}"
            raise InvalidArgumentError(message) from error

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The body of a call with an edit."""
        del kwargs
        return encode_edit(args[0])
