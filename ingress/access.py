"""Who may come in: bearer tokens, compared so that nothing can be learned from a refusal.

A door holds hashes of its tokens and no token. What a request carries is hashed too and compared
with each of them, in constant time and to the last one, so that neither the time nor the answer
tells how near a guess was. Several tokens count at once, so that one can be replaced by the next
without a moment in which neither counts.

A request without a token, one with a wrong one and one with another scheme get the same answer.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from ..objects.errors import InvalidArgumentError
from .problems import Refusal, RefusedError

TOKEN_CHARACTERS_MIN: Final = 16
TOKEN_CHARACTERS_MAX: Final = 1024
"""It is sent with every request, and transports bound the length of a header."""

MAKE_ONE: Final = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"

# What RFC 6750 lets a client send.
_SPELLING = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Tokens:
    """The tokens that a door takes. It can tell one of them, and cannot show any."""

    __slots__ = ("_hashes",)

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Take each of ``tokens``; they are not kept.

        Raises:
            InvalidArgumentError: one of them is too short, too long, or could not be sent. The
                message does not show it.
        """
        if isinstance(tokens, str):
            message = "tokens are given as a list of texts, even where there is only one"
            raise InvalidArgumentError(message)
        distinct = {
            _hash(_check(token, position).encode()) for position, token in enumerate(tokens, 1)
        }
        self._hashes = tuple(sorted(distinct))

    def __len__(self) -> int:
        """How many there are; a door without any asks for none."""
        return len(self._hashes)

    def __repr__(self) -> str:
        """Their number, and nothing of what they are."""
        return f"<{len(self)} token{'' if len(self) == 1 else 's'}>"

    def admit(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers carries one of the tokens."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        presented = _hash(token.strip(" ").encode("utf-8", "surrogatepass"))
        is_known = False
        for each in self._hashes:
            # All are looked at: to stop at the first one would tell which it was.
            is_known |= compare_digest(presented, each)
        return is_known


NO_TOKENS: Final = Tokens()


def unauthorized() -> RefusedError:
    """The refusal of a request that does not show that it may come in."""
    message = "unauthorized: send `authorization: Bearer ...` with a token of this server"
    return RefusedError(Refusal.UNAUTHORIZED, message, {"www-authenticate": "Bearer"})


def _check(token: object, position: int) -> str:
    """``token``, when it can be one.

    Raises:
        InvalidArgumentError: it cannot; the message tells which one by its place only.
    """
    if not isinstance(token, str):
        message = f"token {position} is no text but {type(token).__name__}"
        raise InvalidArgumentError(message)
    if len(token) < TOKEN_CHARACTERS_MIN:
        message = (
            f"token {position} has {len(token)} characters, and one below {TOKEN_CHARACTERS_MIN} "
            f"can be guessed; make one with {MAKE_ONE}"
        )
        raise InvalidArgumentError(message)
    if len(token) > TOKEN_CHARACTERS_MAX or _SPELLING.fullmatch(token) is None:
        message = (
            f"token {position} cannot be sent: one has at most {TOKEN_CHARACTERS_MAX:,} letters, "
            f"digits and -._~+/ without blanks; make one with {MAKE_ONE}"
        )
        raise InvalidArgumentError(message)
    return token


def _hash(token: bytes) -> bytes:
    # Not a slow hash, which is for words that people choose: a token is random, and is looked at
    # with every request.
    return sha256(token).digest()
