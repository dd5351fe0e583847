"""How many URLs are told at a time, and how few of them on a host that takes its time.

A host that answers soon may have all the room there is. One that does not would have it as well, a
timeout long for each of its POSTs, and whoever else is to be told would wait behind all of them. So
it gets an eighth, until it answers soon again, also where nobody was told anything meanwhile: what
it did not take is told again much later, and perhaps all of it in the same moment.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

_SHARE_OF_SLOW: Final = 8
_SOON: Final = 10
"""An answer comes soon that takes less than this part of the timeout."""
_SLOW_KNOWN_MAX: Final = 1_000
"""So many hosts without users are known to be slow."""


class _Host:
    __slots__ = ("few", "is_slow", "users")

    def __init__(self, few: int, *, is_slow: bool) -> None:
        # Held beside a place among all, while it is slow.
        self.few = asyncio.Semaphore(few)
        # Whether its last answer took its time, or never came.
        self.is_slow = is_slow
        # Who waits or is at it.
        self.users = 0


class CallbackSlots:
    """The room of one runtime. Used on one loop only."""

    def __init__(self, most: int, timeout: timedelta) -> None:
        """Have room for ``most``, each of which takes no longer than ``timeout``."""
        self._all = asyncio.Semaphore(most)
        self._few = max(1, most // _SHARE_OF_SLOW)
        self._soon_seconds = timeout.total_seconds() / _SOON
        # Those with users.
        self._hosts: dict[str, _Host] = {}
        # Those without users that were slow the last time, the latest last.
        self._slow: dict[str, None] = {}

    async def tell(self, name: str, post: Callable[[], Awaitable[None]]) -> None:
        """Run ``post``, which tells the host ``name``, once there is room; raises as that does."""
        host = self._hosts.get(name)
        if host is None:
            is_slow = name in self._slow
            self._slow.pop(name, None)
            host = self._hosts[name] = _Host(self._few, is_slow=is_slow)
        host.users += 1
        try:
            while not host.is_slow:
                async with self._all:
                    if not host.is_slow:  # It was none, when this began to wait.
                        return await self._post(host, post)
            async with host.few, self._all:
                return await self._post(host, post)
        finally:
            host.users -= 1
            if not host.users:
                del self._hosts[name]
                if host.is_slow:
                    self._remember(name)

    def _remember(self, name: str) -> None:
        self._slow[name] = None
        if len(self._slow) > _SLOW_KNOWN_MAX:
            del self._slow[next(iter(self._slow))]

    async def _post(self, host: _Host, post: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await post()
        finally:
            host.is_slow = loop.time() - begun > self._soon_seconds
