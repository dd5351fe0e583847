"""The logger a handler is given: silent while it only does again what it did before."""

import logging
from collections.abc import Callable


class HandlerLogger(logging.Logger):
    """A logger of one attempt. Records go where ``holdfast.handlers.<service>`` sends them."""

    def __init__(self, service: str, is_replaying: Callable[[], bool]) -> None:
        """Stand in for the service's logger."""
        super().__init__(f"holdfast.handlers.{service}")
        self._is_replaying = is_replaying
        self.parent = logging.getLogger(self.name)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's own name
        """Whether a record of this level is wanted, and new."""
        if self._is_replaying():
            return False
        return self.parent is not None and self.parent.isEnabledFor(level)
