"""The tag of a state: a hash of its rows, the same exactly where these are."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

_TAG_BYTES: Final = 16
_LENGTH_BYTES: Final = 8


def hash_rows(rows: Mapping[str, Mapping[bytes, bytes]]) -> str:
    """The tag of a state: 32 hex digits, which two different states do not share."""
    found = blake2b(digest_size=_TAG_BYTES)
    for name in sorted(rows):
        _add(found, name.encode())
        parts = rows[name]
        _add_length(found, len(parts))
        for part in sorted(parts):
            _add(found, part)
            _add(found, parts[part])
    return found.hexdigest()


def _add(found: blake2b, data: bytes) -> None:
    _add_length(found, len(data))
    found.update(data)


def _add_length(found: blake2b, length: int) -> None:
    found.update(length.to_bytes(_LENGTH_BYTES, "big"))
