"""Results that are not what the annotation of whoever gave them says.

A result is encoded as it is and decoded by its annotation where somebody waits for it, so it is the
one who waits that finds out. The message says whose result it is.
"""

from .errors import HoldfastError, InvalidArgumentError
from .identity import Target


def misfit_of_call(target: Target, error: HoldfastError) -> InvalidArgumentError:
    """What a caller is told of a result that does not fit."""
    return InvalidArgumentError(
        f"the result of {target} is not of the type that its handler declares: {error.message}; "
        f"correct what the handler returns, or its return annotation"
    )


def misfit_of_step(name: str, error: HoldfastError) -> InvalidArgumentError:
    """What a handler is told of the result of its step."""
    return InvalidArgumentError(
        f"the result of step {name!r} is not of the type that its function declares: "
        f"{error.message}; correct what the function returns, or its return annotation"
    )
