"""Names of hosts, looked up each in a thread of its own.

A loop has a few threads for that, and uvloop looks up no more than two names at a time. So one name
whose servers say nothing would have everybody wait who asks for another one. How many are asked for
at a time is for those to bound who ask.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ..runtime.seams import run_aside

T = TypeVar("T")

_NUMERIC: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_WITH_SCOPE: Final = 4
"""Parts of an address of IPv6."""


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """Where a host is: a numeric address, with its scope where it has one."""

    host: str
    port: int
    family: socket.AddressFamily
    protocol: int


async def look_up(
    host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
) -> Sequence[FoundAddress]:
    """The addresses of ``host``. Cancelled, it is no longer waited for; its thread goes on.

    Raises:
        OSError: there is no such host, or nobody could be asked.
    """
    return await _aside(lambda: _look_up(host, port, family))


def _look_up(host: str, port: int, family: socket.AddressFamily) -> Sequence[FoundAddress]:
    found: list[FoundAddress] = []
    for kind, _, protocol, _, address in socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    ):
        is_usable = kind == socket.AF_INET or len(address) == _WITH_SCOPE
        if is_usable:
            numeric, _ = socket.getnameinfo(address, _NUMERIC)
            found.append(FoundAddress(numeric, port, kind, protocol))
    return found


async def _aside(work: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        if not done.done():  # Else nobody waits any more.
            settle()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            failure = error
            settle = lambda: done.set_exception(failure)  # noqa: E731
        else:
            settle = lambda: done.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # The loop is closed.
            loop.call_soon_threadsafe(tell, settle)

    run_aside(run)
    return await done
