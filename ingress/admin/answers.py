"""What the operators' door answers with: JSON, or a status that says it all."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from ..messages import Response

_JSON = {"content-type": "application/json"}


def json_response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as JSON."""
    return Response(status, {**(headers or {}), **_JSON}, encode_json(value))


def encode_json(value: Any) -> bytes:
    """JSON; half a surrogate pair, which UTF-8 cannot say, becomes a question mark."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(value))


def empty_response(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A status and nothing else."""
    return Response(status, headers or {}, b"")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        members = cast("dict[object, object]", value)
        return {
            _without_surrogates(name): _without_surrogates(each) for name, each in members.items()
        }
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return [_without_surrogates(each) for each in items]
    return value
