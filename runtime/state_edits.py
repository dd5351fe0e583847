"""Accepting an edit of an object's state: checked first, then an invocation like any other.

What happens at the object's turn is ``objects.state_edit``'s.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..journal import keys
from ..objects.definition import ServiceDefinition
from ..objects.errors import ConflictError, InvalidArgumentError
from ..objects.identity import Target, check_key
from ..objects.registry import Registry
from ..objects.serde import json_serde
from ..objects.state_edit import (
    EDIT_STATE,
    StateEdit,
    check_given,
    check_names,
    decode_values,
    encode_edit,
)
from .admission import Admission
from .core import Core
from .history_marks import HistoryMarks
from .requests import Answer, CallRequest
from .state_table import StateTable


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """An edit that somebody outside asks for.

    Attributes:
        service: the name of the class.
        key: of the object.
        edit: what is to become of its state.
        idempotency_key: makes asking again harmless.
    """

    service: str
    key: str
    edit: StateEdit
    idempotency_key: str | None = None


def submit_edit(
    core: Core, admission: Admission, request: EditRequest, *, wait: bool
) -> "asyncio.Future[Answer]":
    """Accept an edit; the future is done as that of ``Admission.submit``.

    Raises:
        UnknownTargetError: there is no such class.
        InvalidArgumentError: it has no keys, the key cannot be one, or a value does not fit.
        ConflictError: the state is being deleted, because it was kept long enough.
        StoreFullError: no new work is accepted.
    """
    service = get_keyed(core.registry, request.service)
    target = Target(service.name, key := check_key(request.key), EDIT_STATE)
    object_ = keys.object_key(service.name, key)
    stored = frozenset(StateTable(core.commits, core.clock).names(object_))
    check_names(service, request.edit, stored)
    decode_values(service, request.edit.values)
    if HistoryMarks(core.commits, core.clock).is_closed(object_):
        message = f"the state of {service.name}/{request.key} is being deleted; try again soon"
        raise ConflictError(message)
    editor, handler = core.registry.get_code(target)
    call = CallRequest(
        target=target,
        argument=encode_edit(request.edit),
        idempotency_key=request.idempotency_key,
    )
    return admission.submit_to(editor, handler, call, wait=wait)


def edit_of_values(
    service: ServiceDefinition, values: Mapping[str, Any], version: str | None
) -> StateEdit:
    """The edit that leaves an object with ``values`` and nothing else.

    Raises:
        InvalidArgumentError: one cannot be said in JSON, which the message names, or it is no
            mapping, or no version.
    """
    check_given(values, version)
    raw: dict[str, msgspec.Raw] = {}
    for name, value in values.items():
        field = service.fields.get(name)
        try:
            encoded = json_serde(Any if field is None else field.annotation).encode(value)
        except InvalidArgumentError as error:
            message = f"{service.name}: state field {name!r:.80}: {error.message}"
            raise InvalidArgumentError(message) from error
        raw[name] = msgspec.Raw(encoded or b"null")
    return StateEdit(values=raw, version=version)


def get_keyed(registry: Registry, name: str) -> ServiceDefinition:
    """The class ``name``, whose objects have state.

    Raises:
        UnknownTargetError: there is none.
        InvalidArgumentError: it has no keys.
    """
    service = registry.get_service(name)
    if not service.keyed:
        message = f"{name} is a service, which has no keys and no state"
        raise InvalidArgumentError(message)
    return service
