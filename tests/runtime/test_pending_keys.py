"""Ranges of a large batch are what looking through all of it finds, and cost less."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.runtime.pending_keys import KEYS_MIN, PendingKeys

from .test_mailboxes import make_commits


@pytest.mark.parametrize("seed", range(10))
def test_a_range_is_what_was_decided_however_large_the_batch(seed: int) -> None:
    random = Random(seed)
    commits, model = make_commits(), dict[bytes, bytes]()
    batch = random.choice((KEYS_MIN // 2, 3 * KEYS_MIN))

    for number in range(4 * batch):
        key = random.randbytes(2)
        match random.randrange(4):
            case 0 if key not in model:
                commits.put_new(key, b"%d" % number)
                model[key] = b"%d" % number
            case 1 if model:
                key = random.choice(list(model))
                commits.delete(key)
                del model[key]
                if random.random() < 0.5:
                    commits.put_new(key, b"again")
                    model[key] = b"again"
            case _:
                commits.put(key, b"%d" % number)
                model[key] = b"%d" % number
        if number % batch == batch - 1:
            commits.write()
        if number % 7 == 0:
            start, end = sorted((random.randbytes(2), random.randbytes(2)))
            is_reverse = random.random() < 0.5
            expected = sorted(
                ((key, row) for key, row in model.items() if start <= key < end),
                reverse=is_reverse,
            )
            assert list(commits.scan(start, end, reverse=is_reverse)) == expected


class Key(bytes):
    """A key that counts what it is compared with."""

    compared = 0

    def __lt__(self, other: object) -> bool:
        Key.compared += 1
        return isinstance(other, bytes) and bytes.__lt__(self, other)

    __hash__ = bytes.__hash__


def test_a_range_of_each_of_many_is_not_the_square_of_their_number() -> None:
    rows: dict[bytes, None] = {}
    keys = PendingKeys(rows)
    Key.compared = 0
    count = 4_000
    for number in range(count):
        key = Key(number.to_bytes(4, "little"))
        rows[key] = None
        assert keys.between(key, Key(key + b"\0")) == [key]

    assert Key.compared < count * 64
