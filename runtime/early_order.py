"""The order of early releases, for handlers that had begun to follow it before an upgrade.

Which of two tasks runs first that are ready at once, and in which order a set is written, is as
good one way as the other, until a journal was written by it. So what was accepted by such a release
goes on as it began: ``Input.order`` says so, also of what is restarted from an entry of it.
"""

from contextvars import Context

from ..objects.set_order import ARE_NUMBERS_AS_WALKED
from .errors_first import ErrorsFirst


def follow_early_order(loop: ErrorsFirst) -> Context:
    """Have ``loop`` run tasks as early releases did; gives the context that its handler needs."""
    loop.let_nothing_pass()
    context = Context()
    context.run(ARE_NUMBERS_AS_WALKED.set, True)  # noqa: FBT003  # a value
    return context
