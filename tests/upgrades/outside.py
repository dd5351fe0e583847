"""What the actions of the fixtures' handlers find outside: while recording, little of it works.

Imported beside the oldest release that a fixture was written with, so it may use nothing newer.
"""

from __future__ import annotations

import asyncio


class Outside:
    """The world of one process."""

    def __init__(self) -> None:
        self.is_recording = False
        self.actions: list[str] = []
        """Every action that began, by the name it was given."""


OUTSIDE = Outside()


async def act(name: str) -> str:
    """An action that works."""
    OUTSIDE.actions.append(name)
    return name


async def fail_now(name: str) -> str:
    """An action that fails for as long as a fixture is recorded."""
    OUTSIDE.actions.append(name)
    if OUTSIDE.is_recording:
        message = f"{name} is down"
        raise OSError(message)
    return name


async def hang_now(name: str) -> str:
    """An action that is under way when the recording process dies."""
    OUTSIDE.actions.append(name)
    if OUTSIDE.is_recording:
        await asyncio.Event().wait()
    return name
