"""Which methods a path takes."""

from .messages import Head
from .problems import Refusal, RefusedError


def check_method(head: Head, *allowed: str) -> None:
    """Let the methods ``allowed`` pass.

    Raises:
        RefusedError: it is another one.
    """
    if head.method not in allowed:
        named = ", ".join(allowed)
        raise RefusedError(Refusal.METHOD, f"method not allowed: takes {named}", {"allow": named})
