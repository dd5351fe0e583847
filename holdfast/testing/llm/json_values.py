"""What a decoded JSON value is, for bodies of which nothing is known before they are looked at."""

from typing import Any, TypeGuard


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is an array."""
    return isinstance(value, list)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object."""
    return isinstance(value, dict)
