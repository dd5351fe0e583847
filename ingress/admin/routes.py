"""All that operators can ask for, and which of it a request means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..problems import Refusal, RefusedError
from ..segments import split_path
from . import batch, health, invocation_routes, openapi, query, services, state
from .route import Route

ROUTES: Final[tuple[Route, ...]] = (
    *health.ROUTES,
    *invocation_routes.ROUTES,
    *batch.ROUTES,
    *services.ROUTES,
    *state.ROUTES,
    *query.ROUTES,
    *openapi.ROUTES,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A route, and what stands in its path where it leaves something open."""

    route: Route
    names: Mapping[str, str]


class Table:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take ``routes``; of two that fit, the earlier one is meant."""
        self._by_length: dict[int, list[tuple[list[str], Route]]] = {}
        for route in routes:
            parts = route.path[1:].split("/")
            self._by_length.setdefault(len(parts), []).append((parts, route))

    def find(self, method: str, path: str) -> Found:
        """The route of a request to ``path`` (without its query).

        Raises:
            RefusedError: there is nothing at this path, or not with this method.
            InvalidArgumentError: a part of the path cannot be decoded.
        """
        segments = split_path(path)
        found: dict[str, Found] = {}
        if segments is not None:
            for parts, route in self._by_length.get(len(segments), ()):
                names = _match(parts, segments)
                if names is not None:
                    found.setdefault(route.method, Found(route, names))
        if not found:
            message = f"not found: {path:.200}; GET /openapi says what there is"
            raise RefusedError(Refusal.NOT_FOUND, message)
        if method not in found:
            allowed = ", ".join(sorted(found))
            message = f"method not allowed: takes {allowed}"
            raise RefusedError(Refusal.METHOD, message, {"allow": allowed})
        return found[method]


def _match(parts: list[str], segments: list[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{"):
            if not segment:
                return None
            names[part[1:-1]] = segment
        elif part != segment:
            return None
    return names


TABLE: Final = Table(ROUTES)
