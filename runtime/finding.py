"""Finding an invocation by what its caller knows of it, where that is not its id."""

from typing import Any

from ..journal import keys
from ..objects.call_options import check_idempotency_key
from ..objects.definition import define
from ..objects.errors import InvalidArgumentError
from ..objects.handler import Handler
from ..objects.identity import INVOCATION_ID_BYTES, InvocationId, Target, check_key, exact
from .core import Core
from .workflows import is_forgotten


def find_invocation(
    core: Core,
    service: type | str,
    key: str | None,
    handler: Handler[..., Any] | str,
    idempotency_key: str | None,
) -> InvocationId | None:
    """As ``Outside.find_invocation``."""
    core.check_open()
    idempotency_key = check_idempotency_key(idempotency_key)
    name = exact(service) if isinstance(service, str) else define(service).name
    if key is not None:
        key = check_key(key)
    if idempotency_key is None:
        return _find_run(core, name, key)
    handler_name = handler if isinstance(handler, str) else handler.name
    target = Target(name, key, exact(handler_name))
    # Whoever misspells a handler is not to conclude that the call was never made.
    core.registry.get_handler(target)
    row = core.commits.get(keys.idempotency(target, idempotency_key))
    if row is None:
        return None
    id_ = InvocationId(row[:INVOCATION_ID_BYTES])
    outcome = core.lifecycle.outcomes.find(id_)
    is_over = outcome is not None and outcome.expires_ms <= core.clock.now_ms()
    return None if is_over else id_


def _find_run(core: Core, name: str, key: str | None) -> InvocationId | None:
    definition = core.registry.services.get(name)
    if key is None or (definition is not None and definition.kind != "workflow"):
        message = (
            f"{name} is found by its key only where it is a workflow; a call of any other handler "
            f"is found by its idempotency key: "
            f"find_invocation({name}, key, handler, idempotency_key=...)"
        )
        raise InvalidArgumentError(message)
    row = core.commits.get(keys.workflow(name, key))
    if row is not None and not is_forgotten(core.commits, keys.object_key(name, key)):
        return InvocationId(row)
    # Nor may whoever misspells a class conclude that it was never started.
    core.registry.get_service(name)
    return None
