"""Exception groups as what is in them.

A group may hold groups, and those others: task groups within task groups make one level each. So
none of this recurses, since whoever asks is often where a ``RecursionError`` would do harm.
"""

from collections.abc import Iterator


def leaves(error: BaseException) -> Iterator[BaseException]:
    """What is in a group, however deep, in its order; of any other exception itself."""
    waiting: list[BaseException] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            group: BaseExceptionGroup[BaseException] = each
            waiting.extend(reversed(group.exceptions))
        else:
            yield each
