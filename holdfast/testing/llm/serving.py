"""A door held open by a thread of its own, until it is told to close it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from .door import Door


class Serving:
    """One life of a server: a thread, its loop, and the door that is open on it."""

    def __init__(self, make_door: Callable[[], Door], host: str, port: int) -> None:
        """Start the thread; ``opened`` says when it listens."""
        self.opened: Future[int] = Future()
        """The port, once it listens; ``OSError`` or ``ValueError`` when it cannot."""
        self.closed: Future[None] = Future()
        """Done when the door is closed and the thread does nothing more."""
        self._make_door = make_door
        self._address = (host, port)
        # Both are of the thread's loop, and set before ``opened`` is.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._door: Door | None = None
        self._leaving = asyncio.Event()
        # A daemon: a program that forgot to close the server can end all the same.
        self._thread = threading.Thread(target=self._run, name="LlmServer", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """End the silences that are kept now. From any thread, while it is open."""
        assert self._loop is not None, "it is open"
        assert self._door is not None, "it is open"
        self._loop.call_soon_threadsafe(self._door.release)

    def leave(self) -> None:
        """Have the door closed; ``closed`` says when it is. From any thread, while it is open."""
        assert self._loop is not None, "it is open"
        self._loop.call_soon_threadsafe(self._leaving.set)

    def join(self) -> None:
        """Wait until the thread has ended; soon, once ``closed`` is done."""
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self.closed.set_result(None)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._door = self._make_door()
        try:
            port = await self._door.open(*self._address)
        except (OSError, ValueError) as error:  # A host whose name is no name is the latter.
            self.opened.set_exception(error)
            return
        self.opened.set_result(port)
        await self._leaving.wait()
        await self._door.close()
