"""Room on the stack for a decision: it must not end in its middle for want of a few frames.

A handler that recurses without end is stopped by Python where the limit is reached, and that is in
whatever it calls: in the middle of a decision, say, of which some rows would be staged and others
not, a call made and not recorded. So whoever stages more than one thing for a handler looks first
whether there are frames enough, and nothing has happened if there are not. So does what a program
outside asks for, but for a call: one that is not accepted whole is nobody's, and calls are many.
"""

import sys
from typing import Final

ROOM: Final = 100
"""Frames that a decision may take, with a reserve for C functions in between, which count too."""

_frame = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # to count takes longer


def check_room() -> None:
    """See that there is room for a decision.

    Raises:
        RecursionError: there is none. Nothing was done.
    """
    try:
        _frame(max(sys.getrecursionlimit() - ROOM, ROOM))
    except ValueError:
        return  # The stack is not so deep, as nearly always.
    message = "maximum recursion depth exceeded: too little is left of it to ask for anything"
    raise RecursionError(message)
