"""From a path as it was sent to its segments.

The raw path is split at its slashes first and each segment is then percent-decoded, once, to
strict UTF-8. So ``a%2Fb`` is one key, ``%25ff`` is the key ``%ff``, and no two spellings of
different keys meet. Refused here: a ``%`` without two hex digits, and bytes that are not UTF-8.
"""

from ..objects.errors import InvalidArgumentError

_HEX_DIGITS = "0123456789abcdefABCDEF"
# A table, because ``int(text, 16)`` and ``bytes.fromhex`` also take signs, underscores and blanks.
_BYTES = {
    f"{high}{low}".encode(): bytes([int(high + low, 16)])
    for high in _HEX_DIGITS
    for low in _HEX_DIGITS
}


def split_path(path: str) -> list[str] | None:
    """The segments of ``path``, decoded; ``None`` where it is no path but a URL or a fragment.

    Raises:
        InvalidArgumentError: a segment cannot be decoded.
    """
    if not path.startswith("/") or "#" in path:
        return None
    if path.endswith("/") and path != "/":
        path = path[:-1]
    segments = path[1:].split("/")
    if "%" in path or not path.isascii():
        return [_decode(segment) for segment in segments]
    return segments


def _decode(segment: str) -> str:
    """Percent-decode one segment, once.

    Raises:
        InvalidArgumentError: what comes out is not UTF-8, or a ``%`` is not followed by two hex
            digits.
    """
    try:
        # A transport hands on raw bytes that are not UTF-8 as lone surrogates.
        plain, *escapes = segment.encode("utf-8", "surrogateescape").split(b"%")
        decoded = plain + b"".join(_BYTES[escape[:2]] + escape[2:] for escape in escapes)
        return decoded.decode("utf-8")
    except KeyError as error:
        found = "%" + error.args[0].decode("utf-8", "replace")
        message = f"bad path, cannot decode {segment!r:.80}: {found!r} is no percent-encoded byte"
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else "not valid Unicode"
        message = f"bad path, cannot decode {segment!r:.80}: it is not UTF-8 ({reason})"
    raise InvalidArgumentError(message)
