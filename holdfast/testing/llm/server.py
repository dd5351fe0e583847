"""``LlmServer``: the scripted model as tests and programs hold it.

It serves from a thread of its own. So it answers whatever the loop of a test is doing, a client
that blocks included, and one object serves ``with`` and ``async with``.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from ...objects.errors import InvalidArgumentError
from .bounds import REQUESTS_MAX, SECONDS_MAX, check_count, check_seconds, check_text, show
from .door import Door
from .playback import Playback
from .request import LlmRequest, Outcome
from .script import Matcher, ScriptItem, check_matcher, matches
from .serving import Serving


class LlmServer:
    """A model that answers from a script, over OpenAI's HTTP API, on this machine.

    ``async with LlmServer([say("Hello"), rate_limited(retry_after=2)]) as server:`` answers at
    ``server.url`` inside of the block; ``with`` does the same. Each request takes the next reply
    and is recorded in ``server.requests``. One that the script has no reply for gets a 400 that
    says so. Any key is good, and any name of a model. A server serves once.
    """

    def __init__(
        self,
        script: Iterable[ScriptItem] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pace: float = 0.0,
        models: Sequence[str] = ("scripted-1",),
    ) -> None:
        """Prepare a server; nothing listens yet.

        Args:
            script: the replies, in order; ``add`` takes more at any time.
            host: the address to listen on.
            port: the port, or 0 for any free one.
            pace: seconds that each piece of a message takes, which is about a word.
            models: what ``GET /v1/models`` lists.

        Raises:
            InvalidArgumentError: the script cannot be played, or an argument is out of range.
        """
        check_text("LlmServer: host", host)
        check_count("LlmServer: port", port, 0, 65535)
        check_seconds("LlmServer: pace", pace, SECONDS_MAX)
        self._host = host
        self._port = port
        self._pace = pace
        self._models = models
        self._playback = Playback()
        self._playback.extend(script)
        # Set once, by entering the block.
        self._serving: Serving | None = None

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            InvalidArgumentError: the address cannot be listened on, or it served before.
        """
        serving = self._start()
        try:
            self._port = serving.opened.result()
        except (OSError, ValueError) as error:
            raise self._cannot_listen(error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every connection. What was asked can still be looked at."""
        serving = self._get_serving()
        serving.leave()
        serving.join()

    async def __aenter__(self) -> Self:
        """Listen; raises as ``with`` does."""
        serving = self._start()
        try:
            self._port = await asyncio.wrap_future(serving.opened)
        except (OSError, ValueError) as error:
            raise self._cannot_listen(error) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every connection. What was asked can still be looked at."""
        serving = self._get_serving()
        serving.leave()
        await asyncio.wrap_future(serving.closed)
        serving.join()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        self._get_serving()
        return self._port

    @property
    def url(self) -> str:
        """What a client of OpenAI's API calls its base URL: where it listens, and ``/v1``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/v1"

    @property
    def requests(self) -> list[LlmRequest]:
        """All requests so far, in the order of their arrival, as they are now.

        What OpenAI would refuse as malformed is not among them, and used up no reply.
        """
        return self._playback.requests

    @property
    def unused(self) -> list[str]:
        """The replies that no request got yet, in words; without those that are for any number."""
        return self._playback.unused

    def add(self, *script: ScriptItem) -> None:
        """Go on with these replies when those before are used up. From any thread.

        Raises:
            InvalidArgumentError: they cannot be played; none was added.
        """
        self._playback.extend(script)

    def reset(self) -> None:
        """Forget what was asked, and begin the script again from its start. From any thread.

        Requests that are under way get their reply, and are not recorded any more.
        """
        self._playback.reset()

    def asked(self, matcher: Matcher) -> list[LlmRequest]:
        """The requests so far that ``matcher`` accepts.

        Args:
            matcher: a text that the last message contains, or a function of the request.

        Raises:
            InvalidArgumentError: it is neither.
        """
        check_matcher("asked", matcher)
        return [each for each in self.requests if matches(matcher, each)]

    def release(self) -> None:
        """End the silences that ``stall`` keeps now; those that begin later are not touched.

        From any thread, inside of the block.
        """
        self._get_serving().release()

    async def wait_requests(
        self,
        count: int = 1,
        *,
        matcher: Matcher | None = None,
        outcome: Outcome | None = None,
        within: float = 10.0,
    ) -> list[LlmRequest]:
        """Wait until so many requests are there, and give them.

        Args:
            count: how many.
            matcher: which ones; all, where it is ``None``.
            outcome: what has to have become of them, such as ``"stalled"``; ``None`` for anything.
            within: how many seconds are waited.

        Raises:
            TimeoutError: they did not come; the message says what came instead.
            InvalidArgumentError: an argument is of another type, or out of range.
        """
        check_count("wait_requests: count", count, 1, REQUESTS_MAX)
        check_seconds("wait_requests: within", within, SECONDS_MAX)
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(changed.set)

        found: list[LlmRequest] = []
        with self._playback.listening(tell):
            try:
                async with asyncio.timeout(within):
                    while len(found := self._find(matcher, outcome)) < count:
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                came = ", ".join(f"{each.number} {each.outcome}" for each in self.requests)
                message = (
                    f"{len(found)} of {count} requests came in {within:g} seconds; "
                    f"all that came: {came or 'none'}"
                )
                raise TimeoutError(message) from None
        return found

    def assert_played(self) -> None:
        """Fail unless the script and the requests came out even.

        Raises:
            AssertionError: replies are left, or a request had none; the message names them.
        """
        faults = [f"nobody asked for {title}" for title in self.unused]
        faults += [
            f"request {each.number} had no reply: {show(each.last_text)}"
            for each in self.requests
            if each.outcome == "unscripted"
        ]
        if faults:
            raise AssertionError("; ".join(faults))

    def _find(self, matcher: Matcher | None, outcome: Outcome | None) -> list[LlmRequest]:
        found = self.requests if matcher is None else self.asked(matcher)
        return [each for each in found if outcome in (None, each.outcome)]

    def _start(self) -> Serving:
        if self._serving is not None:
            message = "this LlmServer has served already; make another one"
            raise InvalidArgumentError(message)
        self._serving = Serving(self._make_door, self._host, self._port)
        return self._serving

    def _make_door(self) -> Door:
        return Door(self._playback, pace_seconds=self._pace, models=self._models)

    def _get_serving(self) -> Serving:
        if self._serving is None:
            message = "this LlmServer does not listen yet: use it in a with block"
            raise InvalidArgumentError(message)
        return self._serving

    def _cannot_listen(self, error: OSError | ValueError) -> InvalidArgumentError:
        number = error.errno if isinstance(error, OSError) else None
        # Numbers of name resolution are negative, and have no text of the system's.
        reason = os.strerror(number) if number is not None and number > 0 else str(error)
        message = f"LlmServer cannot listen on {self._host}, port {self._port}: {reason}"
        return InvalidArgumentError(message)
