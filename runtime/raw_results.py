"""Results that are no JSON, where they become a part of what is: a journal, or what is told.

A raw result is recorded as it is, and handed on so to whoever made the call. Whoever only attached
has named no handler, so it is written down there as JSON: bytes in base64, which ``bytes`` decodes.
"""

from ..journal.entry import Failure
from ..objects.definition import HandlerDefinition
from .open_invocation import Result


def as_json(handler: HandlerDefinition | None, result: Result) -> Result:
    """An outcome of ``handler`` with its result as JSON."""
    if handler is None or not handler.returns_raw or isinstance(result, Failure):
        return result
    return handler.result_as_json(result)
