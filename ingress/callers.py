"""The door of those who call handlers: what each path of theirs asks for."""

import json
from typing import assert_never

from ..objects.errors import HoldfastError
from .awakeable_paths import AwakeablePath
from .awakeables import open_completion
from .call_paths import CallPath
from .calls import open_call
from .door import Door, Opened
from .health import health_of
from .invocation_paths import LookupPath, OutcomePath
from .links import open_link
from .messages import Head, Response
from .options import DEFAULT_OPTIONS, HttpOptions
from .outcomes import open_lookup, open_outcome
from .part_paths import EffectsPath, PromisePath, SignalPath
from .parts import open_part
from .paths import HealthPath, parse_path
from .port import IngressEngine
from .problems import Refusal, RefusedError
from .state_paths import StatePath
from .states import open_state
from .unknown_names import public_services
from .waits import Waits
from .webhooks import open_webhook, read_secrets


class CallersDoor(Door):
    """Calls, sends, awakeables and states of one engine."""

    purpose = "call every handler"

    def __init__(self, engine: IngressEngine, options: HttpOptions = DEFAULT_OPTIONS) -> None:
        """Nothing is opened here.

        Raises:
            InvalidArgumentError: a handler takes webhooks, and there is no secret to verify them.
        """
        super().__init__(options)
        self._engine = engine
        self._secrets = read_secrets(engine.registry)
        self._waits = Waits(options.waits_max)

    def end_waits(self) -> None:
        """As ``Door.end_waits``."""
        self._waits.end()

    def _route(self, head: Head) -> Opened | Response:
        raw_path, _, query = head.path.partition("?")
        path = parse_path(raw_path, self._engine.registry)
        match path:
            case CallPath() if path.handler.options.webhook is not None:
                return open_webhook(self._engine, path, query, head, self.options, self._secrets)
            case CallPath():
                return open_call(self._engine, path, query, head, self.options)
            case StatePath():
                return open_state(self._engine, self._waits, path, query, head)
            case OutcomePath():
                return open_outcome(self._engine, path, head)
            case LookupPath():
                return open_lookup(self._engine, path, head)
            case SignalPath() | EffectsPath() | PromisePath():
                return open_part(self._engine, self._waits, path, query, head)
            case AwakeablePath():
                return open_completion(self._engine, path, head)
            case HealthPath():
                return _answer_health(self._engine, head, is_known=self.is_known(head))
            case _:
                assert_never(path)

    def _open_signed(self, head: Head) -> Opened | Response | None:
        """As ``Door._open_signed``: a link to an awakeable."""
        raw_path, _, query = head.path.partition("?")
        try:
            path = parse_path(raw_path, self._engine.registry)
        except (RefusedError, HoldfastError):
            return None  # Whoever may come in is told what is wrong with it.
        if not isinstance(path, AwakeablePath):
            return None
        return open_link(self._engine, path, query, head)

    def _is_open(self, head: Head) -> bool:
        """As ``Door._is_open``: the health, and what a provider's signature will open."""
        raw_path = head.path.partition("?")[0]
        match parse_path(raw_path, self._engine.registry):
            case HealthPath():
                return True
            case CallPath(handler=handler):
                return handler.options.webhook is not None
            case _:
                return False


def _answer_health(engine: IngressEngine, head: Head, *, is_known: bool) -> Response:
    if head.method != "GET":
        raise RefusedError(Refusal.METHOD, "method not allowed: takes GET", {"allow": "GET"})
    status, word = health_of(engine)
    # Strangers learn how it is, and not what there is.
    body: dict[str, object] = (
        {"services": sorted(public_services(engine.registry))} if is_known else {}
    )
    body["status"] = word
    return Response(
        status,
        {"content-type": "application/json"},
        json.dumps(body, separators=(",", ":")).encode(),
    )
