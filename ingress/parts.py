"""What belongs to an invocation or a workflow: whoever asks for it is handed on."""

from typing import assert_never

from .door import Opened
from .effects import open_effects
from .messages import Head
from .part_paths import EffectsPath, PartPath, PromisePath, SignalPath
from .port import IngressEngine
from .promises import open_promise
from .signals import open_signal
from .waits import Waits


def open_part(
    engine: IngressEngine, waits: Waits, path: PartPath, query: str, head: Head
) -> Opened:
    """Check all of a request but its body.

    Raises:
        RefusedError: the method does not fit.
        InvalidArgumentError: the query does not fit.
    """
    match path:
        case SignalPath():
            return open_signal(engine, path, query, head)
        case EffectsPath():
            return open_effects(engine, path, query, head)
        case PromisePath():
            return open_promise(engine, waits, path, query, head)
        case _:
            assert_never(path)
