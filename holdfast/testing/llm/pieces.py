"""Text in pieces: what is streamed at a time, and what usage numbers count.

A piece is about what a token is: a short word with the space before it, or some punctuation. No
tokenizer of a real model is imitated; the point is that the same text gives the same number
everywhere, for ever.
"""

import re

_A_PIECE = re.compile(r"\s*(?:\w{1,12}|[^\w\s]{1,3})|\s+")


def split_pieces(text: str) -> list[str]:
    """The pieces of ``text``; joined, they are ``text`` again."""
    return _A_PIECE.findall(text)


def count_pieces(text: str) -> int:
    """How many pieces ``text`` has."""
    return sum(1 for _ in _A_PIECE.finditer(text))
