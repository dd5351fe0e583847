"""Signals that end the process, also where it is the first one of a container.

The kernel spares the process with the id 1 whatever a signal does by default. A server that relied
on that there would not hear of a stop while it starts, nor of the second one that is to end it.
"""

import os
import signal
from types import FrameType
from typing import NoReturn

_ENDED_BY = 128
"""What a shell adds to the number of the signal that has ended a process."""


def end_at_once_by(number: signal.Signals) -> None:
    """Have the signal end this process from now on, with nothing written or told."""
    signal.signal(number, _end if _is_first() else signal.SIG_DFL)


def hear_stop_while_starting() -> None:
    """Have SIGTERM end the start of a server, as it does by default anywhere else."""
    if _is_first():
        end_at_once_by(signal.SIGTERM)


def _is_first() -> bool:
    return os.getpid() == 1


def _end(number: int, _: FrameType | None) -> NoReturn:
    os._exit(_ENDED_BY + number)
