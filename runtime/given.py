"""What a program gives a runtime, looked at where it is given.

Without it the mistake would show where the thing is first used: at the start, or at the stop.
"""

import os

from ..objects.errors import InvalidArgumentError
from .config import RuntimeConfig


def check_given(
    classes: object, *, data_dir: object, store: object, durability: object, config: object
) -> None:
    """Refuse what no runtime can be made of; the classes themselves are for the registry.

    Raises:
        InvalidArgumentError: something is missing, or of another kind.
    """
    if isinstance(classes, type):
        message = f"a runtime takes a list of classes: Runtime([{classes.__name__}], ...)"
        raise InvalidArgumentError(message)
    if (data_dir is None) == (store is None):
        message = 'a runtime needs a directory for its data: Runtime([...], data_dir="data")'
        raise InvalidArgumentError(message)
    if data_dir is not None and not isinstance(data_dir, str | os.PathLike):
        message = f'data_dir is a path, as in data_dir="data", but this is {data_dir!r:.80}'
        raise InvalidArgumentError(message)
    if durability not in ("fsync", "process"):
        message = f'durability is "fsync" or "process", not {durability!r:.80}'
        raise InvalidArgumentError(message)
    if config is not None and not isinstance(config, RuntimeConfig):
        message = (
            f"config is a RuntimeConfig, as in config=RuntimeConfig(stop_grace=...), but this is "
            f"{type(config).__name__}: {config!r:.80}"
        )
        raise InvalidArgumentError(message)
