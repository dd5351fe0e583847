"""The world that the runtime's tests run in is the one that users get, at its usual pace."""

from collections.abc import Iterable

from holdfast import RuntimeConfig
from holdfast.testing import worlds


class World(worlds.World):
    """Looks after itself every second, as a runtime in production does."""

    def __init__(self, classes: Iterable[type], config: RuntimeConfig | None = None) -> None:
        super().__init__(classes, config or RuntimeConfig())
