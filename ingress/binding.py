"""Which addresses a door may listen on.

Whoever reaches a door without tokens can do all that it offers. On loopback those are the programs
of this machine; anywhere else a door without tokens is refused, unless somebody has said in so many
words that strangers may come in.

A socket in the file system is as loopback: who may open it is the file's business. A door that is
mounted in somebody else's application listens nowhere; where that listens is that program's.
"""

import asyncio
import socket
from ipaddress import IPv6Address, ip_address
from logging import getLogger

from ..objects.errors import InvalidArgumentError
from .options import HttpOptions, tokens_of

_log = getLogger("holdfast.ingress")


async def check_address(host: str, options: HttpOptions, purpose: str, flag: str = "--") -> None:
    """See that a door with these options may listen on ``host``; warn where anyone may come in.

    Args:
        host: an address, or a name of some.
        options: of the door.
        purpose: what whoever is let in may do.
        flag: how the door's options begin on the command line.

    Raises:
        InvalidArgumentError: strangers could reach it, and it has no tokens.
        OSError: ``host`` names no address.
    """
    if tokens_of(options) or await _is_loopback(host):
        return
    if options.allow_anonymous:
        _log.warning(
            "anyone who can reach %s may %s: there are no tokens", host or "this machine", purpose
        )
        return
    message = (
        f"will not listen on {host or 'all addresses'} without tokens: whoever could reach it "
        f"might {purpose}; give tokens with HttpOptions(tokens=[...]) or {flag}token-file, listen "
        f"on 127.0.0.1 instead, or say that this is meant with HttpOptions(allow_anonymous=True) "
        f"or {flag}allow-anonymous"
    )
    raise InvalidArgumentError(message)


async def _is_loopback(host: str) -> bool:
    """Whether every address that ``host`` names is one that only this machine reaches."""
    if not host:
        return False  # All there are.
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return bool(found) and all(_is_loopback_address(str(each[4][0])) for each in found)


def _is_loopback_address(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
