"""The keys that links are signed with: made at the first link, and used for nothing else.

They are a row of the store, so that they survive a restart and move with the data. The newest key
signs. Older ones go on to verify, so that links in emails outlive a rotation, unless they are
revoked. No key is ever dropped: a handler that is replayed makes its links again, and must come to
the same ones, so a link is signed with the key that was the newest at its moment, whatever has
happened to that key since.

No key leaves this module but as a signature.
"""

from base64 import urlsafe_b64encode
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Final

from ..journal import keys
from ..journal.records import LinkKey, decode_link_keys, encode_link_keys
from .commits import Commits
from .seams import Clock, Randomness

KEY_BYTES: Final = 32
_ROW: Final = keys.meta("link keys")


class LinkKeys:
    """Signs and verifies links. Belongs to the loop's thread."""

    def __init__(self, commits: Commits, clock: Clock, randomness: Randomness) -> None:
        """Read and make nothing before it is needed."""
        self._commits = commits
        self._clock = clock
        self._randomness = randomness

    def sign(self, text: bytes) -> str:
        """The signature of ``text`` by the newest key.

        A key that is made for it is staged with this turn's batch, and nothing leaves before that.
        """
        return _sign((self._read() or self._add(()))[-1].key, text)

    def sign_at(self, text: bytes, at_ms: int) -> str:
        """The signature that ``text`` has where it is said at ``at_ms``, whenever that is asked."""
        found = self._read() or self._add(())
        # The first one also for a moment before it was made: there was no other then.
        made_before = [key for key in found if key.created_ms <= at_ms] or list(found[:1])
        return _sign(made_before[-1].key, text)

    def verify(self, text: bytes, signature: str) -> bool:
        """Whether ``signature`` is that of ``text`` by a key that is not revoked."""
        presented = signature.encode("utf-8", "surrogatepass")
        is_good = False
        for key in self._read():
            if not key.is_revoked:
                is_good |= compare_digest(_sign(key.key, text).encode(), presented)
        return is_good

    def rotate(self, *, revoke: bool) -> None:
        """Sign with a new key from now on; with ``revoke``, links made before count no more."""
        kept = tuple(
            LinkKey(key.created_ms, key.key, is_revoked=key.is_revoked or revoke)
            for key in self._read()
        )
        # From the next millisecond on: one that was made in this one must be the same again. With
        # a revoked key it would rather be one that nobody can use.
        self._add(kept, from_ms=self._clock.now_ms() + (not revoke))

    def _read(self) -> tuple[LinkKey, ...]:
        row = self._commits.get(_ROW)
        return () if row is None else decode_link_keys(row)

    def _add(self, kept: tuple[LinkKey, ...], from_ms: int = 0) -> tuple[LinkKey, ...]:
        # Later than the one before, although the clock may have been set back.
        now_ms = max([from_ms or self._clock.now_ms(), *(key.created_ms + 1 for key in kept)])
        new = LinkKey(now_ms, self._randomness.token(KEY_BYTES), is_revoked=False)
        found = (*kept, new)
        self._commits.put(_ROW, encode_link_keys(found))
        return found


def _sign(key: bytes, text: bytes) -> str:
    """Text, so that no two spellings of one signature count."""
    return urlsafe_b64encode(hmac_digest(key, text, "sha256")).rstrip(b"=").decode()
