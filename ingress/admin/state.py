"""Editing an object's state: Restate's form, which replaces all of it, and one of our own.

    POST   {"object_key": "sam", "new_state": {"count": [52, 50]}, "version": "…"}     Restate's
    POST   {"object_key": "sam", "state": {"count": 42}, "version": "…"}               the same
    PATCH  {"object_key": "sam", "state": {"count": 42}, "clear": ["note"]}            keeps others

In Restate's form a value is the bytes of its JSON, one number each. ``version`` is the tag that a
GET of the state has given (``ETag``). It is compared when the edit has its turn, so the answer, a
202, cannot tell of it: ``x-restate-id`` is the invocation to attach to.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ...objects.definition import ServiceDefinition
from ...objects.errors import InvalidArgumentError
from ...objects.state_edit import StateEdit
from ...runtime.state_edits import EditRequest
from ..answers import headers_of
from ..headers import find_idempotency_key
from ..messages import Response
from .refusals import AdminRefusal, refuse_field, refuse_service
from .route import Asked, Described, Route

Byte = int


class Replacement(msgspec.Struct, forbid_unknown_fields=True):
    """All of a new state, in one of two spellings."""

    object_key: str
    new_state: dict[str, list[Byte]] | None = None
    state: dict[str, msgspec.Raw] | None = None
    version: str | None = None


class Merge(msgspec.Struct, forbid_unknown_fields=True):
    """Some new values; those that are not named stay."""

    object_key: str
    state: dict[str, msgspec.Raw] = {}
    clear: list[str] = []
    version: str | None = None


async def _answer_replace(asked: Asked, body: Any) -> Response:
    service = _get_service(asked)
    if (body.new_state is None) == (body.state is None):
        refuse_field("new_state", "give either new_state or state")
    values = _from_bytes(body.new_state) if body.state is None else body.state
    return await _edit(asked, service, body, StateEdit(values=values, version=_tag(body.version)))


async def _answer_merge(asked: Asked, body: Any) -> Response:
    edit = StateEdit(
        values=body.state, clear=body.clear, keeps_others=True, version=_tag(body.version)
    )
    return await _edit(asked, _get_service(asked), body, edit)


async def _edit(
    asked: Asked, service: ServiceDefinition, body: Replacement | Merge, edit: StateEdit
) -> Response:
    request = EditRequest(
        service=service.name,
        key=body.object_key,
        edit=edit,
        idempotency_key=find_idempotency_key(asked.headers),
    )
    try:
        accepting = asked.engine.edit_state(request)
    except InvalidArgumentError as error:
        raise AdminRefusal(400, error.message) from None
    answer = await accepting
    return Response(202, headers_of(answer), b"")


def _get_service(asked: Asked) -> ServiceDefinition:
    name = asked.names["service"]
    service = asked.engine.registry.services.get(name)
    if service is None:
        refuse_service(name)
    if not service.keyed:
        raise AdminRefusal(400, "Cannot modify state for service type Service")
    return service


def _from_bytes(state: Mapping[str, list[Byte]]) -> dict[str, msgspec.Raw]:
    values: dict[str, msgspec.Raw] = {}
    for name, numbers in state.items():
        try:
            data = bytes(numbers)
            msgspec.json.decode(data)
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            refuse_field(
                f"new_state.{name:.80}", f"these are not the bytes of a JSON value: {error}"
            )
        values[name] = msgspec.Raw(data)
    return values


def _tag(version: str | None) -> str | None:
    """The version as it was given, or as it stood in an ``ETag``."""
    if version is None or not version.endswith('"'):
        return version
    return version.removeprefix("W/").strip('"')


# Restate's form says each byte with up to four.
_BYTES_MAX: Final = 32 * 1024 * 1024

_ANSWERS: Final = {
    202: Described(
        "The edit has its place at the key; `x-restate-id` is its invocation. With "
        "`x-holdfast-idempotency: other-body` that is an earlier edit, which was another one."
    ),
    404: Described("There is no such service."),
    409: Described("The state is being deleted, because it was kept long enough."),
    429: Described("Too many calls wait at the key."),
    507: Described("The disk is nearly full."),
}

ROUTES: Final = (
    Route(
        method="POST",
        path="/services/{service}/state",
        operation="modify_service_state",
        tag="service",
        summary="Replace the state of an object",
        description="Values that are not named are forgotten. The edit waits for its turn at the "
        "key, and `version`, where it is given, is compared then.",
        answer=_answer_replace,
        body=Replacement,
        answers=_ANSWERS,
        body_bytes_max=_BYTES_MAX,
        is_repeatable=False,
    ),
    Route(
        method="PATCH",
        path="/services/{service}/state",
        operation="merge_service_state",
        tag="service",
        summary="Change some of the state of an object",
        description="Values that are not named stay. Not Restate's.",
        answer=_answer_merge,
        body=Merge,
        answers=_ANSWERS,
        body_bytes_max=_BYTES_MAX,
        is_repeatable=False,
    ),
)
