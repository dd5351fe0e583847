"""Steps that a handler has asked for and never waited for: they do not run, and somebody is told.

A step begins once its handler waits, for it or for anything else. One that is asked for right
before the handler returns is forgotten with it: mostly an `await` is missing, and nothing else
would tell.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from .logs import make_logger
from .open_invocation import OpenInvocation
from .pending import Pending

logger = make_logger("holdfast.handlers")


def tell_left_steps(
    invocation: OpenInvocation, main: "asyncio.Future[Any] | None", pending: Iterable[Pending]
) -> None:
    """Log what a handler, whose task is ``main``, leaves behind without its having begun.

    One that raised or was cancelled has its reasons.
    """
    if main is None or main.cancelled() or main.exception() is not None:
        return
    for each in pending:
        if each.plan is not None and not each.is_started:
            name = each.plan.name
            logger.warning(
                "%s returned without waiting for its step %r, so the step does not run; write "
                "`await ctx.run(%r, ...)`, or cancel() what it gave where it is not wanted",
                invocation.name,
                name,
                name,
            )
