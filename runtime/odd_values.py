"""What a value of the user's is, asked where nothing may go wrong any more.

``isinstance`` asks a value for its ``__class__``, and that may be a property: a proxy that stands
for something which is not there raises from it. Such a value is of no class that is asked about; it
is refused later, where it is encoded.
"""

from inspect import isawaitable
from typing import Any


def is_awaitable(value: Any) -> bool:
    """As ``inspect.isawaitable``, of whatever it may be; never raises."""
    try:
        return isawaitable(value)
    except Exception:  # noqa: BLE001  # a stranger's property
        return False
