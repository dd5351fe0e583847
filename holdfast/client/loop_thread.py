"""An event loop in a thread of its own, for programs that have none."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import TypeVar

from ..objects.errors import ContextMisuseError, RuntimeClosedError

T = TypeVar("T")


class LoopThread:
    """Runs what any thread gives it. The thread begins with the first piece of work."""

    def __init__(self) -> None:
        """Nothing is started here."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # Guards the other fields, and the order in which work and ``close`` reach the loop.
        self._lock = threading.Lock()
        self._is_closed = False

    def wait(self, asked: Awaitable[T]) -> T:
        """Run ``asked`` and block until it is done. Ctrl-C cancels it.

        Raises:
            RuntimeClosedError: this was closed, before or meanwhile.
            ContextMisuseError: this is the thread itself, which would wait for itself.
        """
        try:
            with self._lock:
                loop = self._started()
                # Within the lock, so that ``close`` finds whatever was given before it.
                future = asyncio.run_coroutine_threadsafe(_await(asked), loop)
        except (RuntimeClosedError, ContextMisuseError):
            _drop(asked)
            raise
        try:
            return future.result()
        except CancelledError:
            raise RuntimeClosedError(_CLOSED) from None
        finally:
            # Whatever interrupts the waiting thread: nobody waits any more.
            future.cancel()

    def close(self, goodbye: Callable[[], Awaitable[None]]) -> None:
        """Cancel what runs, run ``goodbye``, and end the thread. Without effect the second time."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
            loop, thread = self._loop, self._thread
        if was_closed or loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(goodbye), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        """The loop, made at first use. Called with the lock held."""
        if self._is_closed:
            raise RuntimeClosedError(_CLOSED)
        if self._thread is threading.current_thread():
            message = "this would wait for itself; it is the client's own thread"
            raise ContextMisuseError(message)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="holdfast-client", daemon=True
            )
            self._thread.start()
        return self._loop


_CLOSED = "the client was closed"


async def _await(asked: Awaitable[T]) -> T:
    return await asked


async def _end(goodbye: Callable[[], Awaitable[None]]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await goodbye()


def _drop(asked: Awaitable[object]) -> None:
    """Close a coroutine that will never run, so that Python does not complain about it later."""
    close = getattr(asked, "close", None)
    if close is not None:
        close()
