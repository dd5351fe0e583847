"""What is known of the effects of an invocation: its steps, a page at a time.

    {"effects": [{"name": …, "index": …, "status": …, …}], "next": index | null}

The names are those of ``EffectInfo``. What is not recorded is ``null``; times are ISO 8601 in UTC.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import msgspec

from ..runtime.effects import EffectInfo
from .messages import Head, Response
from .methods import check_method
from .part_paths import EffectsPath, parse_effects_query
from .port import IngressEngine

_NAMES = tuple(field.name for field in fields(EffectInfo))


@dataclass(frozen=True, slots=True)
class EffectsRead:
    """The question for a page of effects."""

    engine: IngressEngine
    path: EffectsPath
    page: dict[str, int]

    async def answer(self, body: bytes) -> Response:
        """Give the page; see ``door.Opened``."""
        del body
        id_ = self.path.invocation_id
        page = await self.engine.invocation(id_).effects(**self.page)
        document = {"effects": [_show(effect) for effect in page], "next": page.next}
        headers = {"content-type": "application/json", "x-restate-id": id_}
        return Response(200, headers, msgspec.json.encode(document))


def open_effects(engine: IngressEngine, path: EffectsPath, query: str, head: Head) -> EffectsRead:
    """Check the method and the query.

    Raises:
        RefusedError: it is another method than GET.
        InvalidArgumentError: there are other query parameters, or these are no numbers.
    """
    check_method(head, "GET")
    return EffectsRead(engine, path, parse_effects_query(query))


def _show(effect: EffectInfo) -> dict[str, Any]:
    return {name: _show_value(getattr(effect, name)) for name in _NAMES}


def _show_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
