"""The time and the chance of a client, so that a test brings its own."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4


def _new_key() -> str:
    return uuid4().hex


def _now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What a client asks of the world, beside its sockets.

    Attributes:
        monotonic: seconds from any start.
        now_ms: milliseconds since 1970, for what a server dates.
        sleep: waits so many seconds.
        chance: from 0 to 1, for jitter.
        new_key: an idempotency key that nobody else has.
    """

    monotonic: Callable[[], float] = time.monotonic
    now_ms: Callable[[], int] = _now_ms
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    new_key: Callable[[], str] = _new_key


SYSTEM = Seams()
