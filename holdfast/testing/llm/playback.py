"""A script being played: what was asked so far, and what is left.

The one meeting place of the server's thread and of whoever looks from another, so everything here
is under one lock. It waits for nothing and knows no HTTP.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace

from .bounds import REQUEST_BYTES_MAX, REQUESTS_MAX, clip
from .reply import Failure, Reply
from .request import LlmRequest, Outcome
from .script import Script, ScriptError, ScriptItem


class Playback:
    """One script, its requests in the order of their arrival, and who wants to hear of changes."""

    def __init__(self) -> None:
        """Begin with an empty script."""
        # Reentrant: a condition of the script may look at the requests so far.
        self._lock = threading.RLock()
        self._began_seconds = time.monotonic()
        self._script = Script()
        # Invariant: request number n is at n - 1 - forgotten.
        self._requests: list[LlmRequest] = []
        # How many requests came before the last reset.
        self._forgotten = 0
        # Of all bodies in it.
        self._request_bytes = 0
        # Called after each change, without the lock, in the thread that made the change.
        self._listeners: list[Callable[[], None]] = []

    def extend(self, items: Iterable[ScriptItem]) -> None:
        """Add to the end of the script; raises as ``Script.extend``, and then adds nothing."""
        with self._lock:
            self._script.extend(items)

    @property
    def requests(self) -> list[LlmRequest]:
        """All requests so far, as they are now."""
        with self._lock:
            return list(self._requests)

    @property
    def unused(self) -> list[str]:
        """The titles of the replies that no request got yet."""
        with self._lock:
            return self._script.unused()

    def ask(self, request: LlmRequest, size_bytes: int) -> tuple[LlmRequest, Reply]:
        """Record ``request``; gives it with its number and time, and the reply to it.

        Where the script has none, or fails to make one, the reply is a 400 that says so, as clients
        do not repeat what got a 400. The request is ``"unscripted"`` then.
        """
        with self._lock:
            asked = replace(
                request,
                number=self._forgotten + len(self._requests) + 1,
                at_seconds=time.monotonic() - self._began_seconds,
            )
            if (
                len(self._requests) >= REQUESTS_MAX
                or self._request_bytes + size_bytes > REQUEST_BYTES_MAX
            ):
                return replace(asked, outcome="unscripted"), _refuse(asked, "the record is full")
            # Before the script is looked at, so that a function of it sees the request as well.
            self._requests.append(asked)
            self._request_bytes += size_bytes
            try:
                reply = self._script.take(asked)
            except ScriptError as error:
                reply = _refuse(asked, str(error))
                asked = replace(asked, outcome="unscripted")
            else:
                asked = replace(asked, reply=reply.title)
            self._keep(asked)
        self._tell()
        return asked, reply

    def note(self, number: int, outcome: Outcome) -> None:
        """Record what has become of request ``number``, unless it is forgotten."""
        with self._lock:
            if number > self._forgotten:
                asked = self._requests[number - 1 - self._forgotten]
                self._keep(replace(asked, outcome=outcome))
        self._tell()

    def reset(self) -> None:
        """Forget what was asked, and begin the script again. Numbers go on."""
        with self._lock:
            self._script.rewind()
            self._forgotten += len(self._requests)
            self._requests.clear()
            self._request_bytes = 0
        self._tell()

    def _keep(self, asked: LlmRequest) -> None:
        """Put ``asked`` in its place, unless a function of the script has had all forgotten."""
        if asked.number > self._forgotten:
            self._requests[asked.number - 1 - self._forgotten] = asked

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Generator[None]:
        """Have ``listener`` called after every change while the block lasts, in any thread."""
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


def _refuse(asked: LlmRequest, reason: str) -> Reply:
    message = (
        f"request {asked.number} (POST /v1/{asked.api}, {clip(repr(asked.last_text))}): {reason}"
    )
    return Reply(
        title="none",
        content=Failure(
            status=400, message=message, kind="invalid_request_error", code="script_error"
        ),
    )
