"""Asking until there is an answer, as far as that is safe.

    no connection                       nothing was sent: ask again
    lost while the body was being sent  the same
    408, 429                            refused before it was taken: ask again
    503 with Retry-After, without key   the same
    502, 503, 504, a connection lost    it may have been taken: ask again if that does no harm
    anything else                       the answer

An outcome is an answer whatever its status: a handler's own 503 is never asked for again. How often
and after how long is a ``RetryPolicy``'s, whose time counts from the first of the failures that
follow each other: with a call that was waited for longer than the longest interval, and then lost
or sent away by a server that stops, counting begins anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from ..objects.errors import (
    AnswerLostError,
    HoldfastError,
    InvalidArgumentError,
    NotReachedError,
    RuntimeClosedError,
    StoreFailedError,
)
from ..objects.identity import Target
from ..objects.retry import RetryPolicy
from ..objects.retry_after import parse_retry_after
from .exchange import Ask, LostError, Reply, UnreachableError
from .failures import (
    ERROR_CODE,
    ERROR_SOURCE,
    error_of,
    is_outcome,
    is_stranger,
    lost_error,
    stranger_error,
)
from .seams import Seams
from .transport import Transport

T = TypeVar("T")

DEFAULT_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    max_interval=timedelta(seconds=5),
    jitter=0.5,
    max_attempts=None,
    max_duration=timedelta(seconds=60),
)
"""100 ms, doubling to 5 s, up to half of each left out by chance, for a minute."""

_NO_RETRY: Final = RetryPolicy(max_attempts=1)

_NOT_TAKEN: Final = frozenset({408, 429})
_PERHAPS_TAKEN: Final = frozenset({502, 503, 504})
_ENDED: Final = frozenset({RuntimeClosedError.code, StoreFailedError.code})
"""What a server says to whoever waits when it comes to its end."""


def check_policy(retry: object) -> RetryPolicy:
    """The policy that a client was given; ``None`` is one that tries nothing again.

    Raises:
        InvalidArgumentError: it is no policy.
    """
    if retry is None:
        return _NO_RETRY
    if not isinstance(retry, RetryPolicy):
        message = f"retry is a RetryPolicy, or None for no retry, but this is {retry!r:.80}"
        raise InvalidArgumentError(message)
    return retry


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and whether an earlier sending of the same may have been taken before it."""

    reply: Reply
    was_lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """One sending that brought no answer."""

    error: HoldfastError
    """What to raise if it was the last one and none was taken."""
    may_be_taken: bool
    asked_ms: int | None = None
    is_final: bool = False
    had_server: bool = False
    """Whether it may have been waited for by a server, and not by a proxy or for a connection."""


class Asker:
    """Asks one server."""

    def __init__(self, transport: Transport, retry: RetryPolicy, seams: Seams) -> None:
        """Nothing is opened here."""
        self._transport = transport
        self._retry = retry
        self._seams = seams

    @property
    def server(self) -> str:
        """Its URL, for messages."""
        return self._transport.address.shown

    async def ask(self, ask: Ask) -> Answered:
        """Ask, again where that is safe, and give the first answer that is one.

        Raises:
            NotReachedError: nothing was ever taken, for nobody could be reached, or somebody else
                than a Holdfast server; or it is a question that nobody answered.
            HoldfastError: the server has refused it until the end; nothing was taken.
            AnswerLostError: it may have been taken.
        """
        was_lost = False
        failures, first_at = 0, 0.0
        while True:
            begun = self._seams.monotonic()
            failed = await self._send(ask)
            if isinstance(failed, Reply):
                if is_stranger(ask, failed):
                    stranger = stranger_error(ask, failed, self.server)
                    raise self._give_up(ask, stranger, was_lost=was_lost)
                return Answered(failed, was_lost)
            was_lost = was_lost or failed.may_be_taken
            now = self._seams.monotonic()
            if not failures or (
                failed.had_server and now - begun >= self._retry.max_interval.total_seconds()
            ):
                failures, first_at = 0, now
            failures += 1
            delay_ms = self._find_delay(failed, failures, round((now - first_at) * 1000))
            if delay_ms is None or (was_lost and not ask.may_repeat):
                raise self._give_up(ask, failed.error, was_lost=was_lost) from failed.error
            await self._seams.sleep(delay_ms / 1000)

    async def ask_once(self, ask: Ask) -> Reply:
        """Ask once, and give whatever is answered.

        Raises:
            NotReachedError: nothing is.
        """
        try:
            return await self._transport.exchange(ask)
        except (UnreachableError, LostError) as error:
            raise NotReachedError(str(error)) from error

    async def get(self, ask: Ask, *statuses: int, target: Target | None = None) -> Answered:
        """As ``ask``, where an answer has one of ``statuses``, and any other is raised.

        Raises:
            HoldfastError: the answer is another one; see ``failures``.
        """
        answered = await self.ask(ask)
        self.check(ask, answered, *statuses, target=target)
        return answered

    async def read(self, ask: Ask, decode: Callable[[bytes], T]) -> T:
        """What ``decode`` makes of the body of a 200.

        Raises:
            NotReachedError: it is not what a Holdfast server answers.
            HoldfastError: the answer is another one; see ``failures``.
        """
        reply = (await self.get(ask, 200)).reply
        try:
            return decode(reply.body)
        except (msgspec.DecodeError, KeyError) as error:
            raise stranger_error(ask, reply, self.server) from error

    def check(
        self, ask: Ask, answered: Answered, *statuses: int, target: Target | None = None
    ) -> None:
        """Raise what an answer stands for that has none of ``statuses``.

        Raises:
            HoldfastError: it has none; see ``failures``.
        """
        if answered.reply.status not in statuses:
            raise error_of(ask, answered.reply, self.server, target)

    def _find_delay(self, failed: _Failed, failures: int, elapsed_ms: int) -> int | None:
        if failed.is_final:
            return None
        return self._retry.delay_ms(
            failures,
            elapsed_ms=elapsed_ms,
            asked_ms=failed.asked_ms,
            chance=self._seams.chance(),
        )

    async def _send(self, ask: Ask) -> Reply | _Failed:
        try:
            reply = await self._transport.exchange(ask)
        except UnreachableError as error:
            refused = NotReachedError(f"{error}; {ask.what} was not sent")
            return _Failed(error=refused, may_be_taken=False, is_final=error.is_final)
        except LostError as error:
            lost = NotReachedError(f"{error} before {ask.what} was answered")
            return _Failed(error=lost, may_be_taken=True, had_server=True)
        if is_outcome(reply) or reply.status not in _NOT_TAKEN | _PERHAPS_TAKEN:
            return reply
        asked_ms = self._find_asked_ms(reply)
        # With a key the server also says so of what it may have taken: asking again is harmless.
        is_ours = reply.headers.get(ERROR_SOURCE) == "ingress"
        was_refused = is_ours and asked_ms is not None and ask.idempotency_key is None
        return _Failed(
            error=error_of(ask, reply, self.server),
            may_be_taken=reply.status not in _NOT_TAKEN and not was_refused,
            asked_ms=asked_ms or None,
            # Of what is refused for want of room, nothing was waited for but the sending.
            had_server=reply.headers.get(ERROR_CODE) in _ENDED,
        )

    def _find_asked_ms(self, reply: Reply) -> int | None:
        text = reply.headers.get("retry-after")
        wait = None if text is None else parse_retry_after(text)
        if isinstance(wait, datetime):
            return max(0, round(wait.timestamp() * 1000) - self._seams.now_ms())
        return None if wait is None else round(wait / timedelta(milliseconds=1))

    def _give_up(self, ask: Ask, error: HoldfastError, *, was_lost: bool) -> HoldfastError:
        if not was_lost or ask.is_question or isinstance(error, AnswerLostError):
            return error
        return lost_error(ask, error.message)
