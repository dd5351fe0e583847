"""Where a server is: ``http://host:port``, ``https://…``, or ``unix:///path/of.sock``.

A path at the end is kept: a runtime that is mounted in somebody's application is below it.
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ..objects.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Address:
    """A server.

    Attributes:
        shown: the URL, for messages.
        base: what paths are appended to.
        socket: the path of a unix socket, or ``None`` for TCP.
    """

    shown: str
    base: str
    socket: str | None = None


def parse_address(url: object) -> Address:
    """The server at ``url``.

    Raises:
        InvalidArgumentError: it is no URL of the three kinds, or it holds a password.
    """
    if not isinstance(url, str):
        message = f"the URL of a server is a str, but this is {type(url).__name__}: {url!r:.80}"
        raise InvalidArgumentError(message)
    try:
        parts = urlsplit(url)
        problem = _find_problem(parts)
    except ValueError as error:
        raise InvalidArgumentError(_complain(url, f"is no URL: {error}")) from None
    if parts.username is not None or parts.password is not None:
        # Not quoted: a password has no place in a log.
        message = "the URL of a server takes no user or password; pass token= instead"
        raise InvalidArgumentError(message)
    if problem is not None:
        raise InvalidArgumentError(_complain(url, problem))
    if parts.scheme == "unix":
        return Address(url, "http://localhost", unquote(parts.path))
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return Address(base, base)


def check_token(name: str, token: object) -> str | None:
    """``token``, when a header can carry it, and ``None`` for none or an empty one.

    Raises:
        InvalidArgumentError: it is no text, or holds what no token has. It is not shown.
    """
    if token is None or token == "":
        return None
    if not isinstance(token, str):
        message = f"{name} is a str, but this is {type(token).__name__}"
        raise InvalidArgumentError(message)
    if not (token.isascii() and token.isprintable()) or " " in token:
        message = (
            f"{name} holds a blank, a line break or another character that no token has; give it "
            f"as it is, without 'Bearer', and strip() what was read from a file"
        )
        raise InvalidArgumentError(message)
    return token


def _find_problem(parts: SplitResult) -> str | None:
    """Why this is no server's.

    Raises:
        ValueError: its port is no number.
    """
    _ = parts.port
    if parts.query or parts.fragment:
        return "has a query or a fragment, which a server has not"
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            return "names no socket; write unix:///path/of.sock, with three slashes"
        return None
    if parts.scheme not in {"http", "https"}:
        return "does not begin with http://, https:// or unix:///"
    return None if parts.hostname else "names no host"


def _complain(url: str, problem: str) -> str:
    return f"the server's URL {url!r:.120} {problem}"
