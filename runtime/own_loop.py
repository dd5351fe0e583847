"""The one event loop that a runtime belongs to, and what is said elsewhere.

Everything is decided on that loop and in its thread, so whoever comes from another one is refused
before a row is touched.
"""

import asyncio
from typing import Final

from ..objects.errors import ContextMisuseError

ELSEWHERE: Final = (
    "the runtime belongs to the event loop that it was started on, and was called from another "
    "loop or thread; hand the call over, as in asyncio.run_coroutine_threadsafe("
    "ask(runtime), loop).result()"
)


def refuse_beside(loop: asyncio.AbstractEventLoop, message: str) -> None:
    """Refuse whoever comes from elsewhere while ``loop`` runs.

    While it does not run, nobody is at work there.

    Raises:
        ContextMisuseError: with this message.
    """
    if loop.is_running() and asyncio._get_running_loop() is not loop:  # noqa: SLF001  # in asyncio.__all__
        raise ContextMisuseError(message)
