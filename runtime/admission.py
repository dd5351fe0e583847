"""Calls from outside at the door: refused with a reason, found to be a duplicate, or accepted."""

import asyncio
import hashlib

from msgspec.structs import replace

from ..journal import keys
from ..objects.definition import HandlerDefinition, ServiceDefinition
from ..objects.errors import (
    ConflictError,
    InvalidArgumentError,
    MailboxFullError,
)
from ..objects.identity import (
    INVOCATION_ID_BYTES,
    InvocationId,
    Target,
    format_invocation_id,
)
from . import workflows
from .answers import add_outcome
from .callbacks import record_callback
from .core import Core
from .disk_room import refusal
from .interrupts import check_mode, has_arrived
from .mere_reads import is_let_in
from .open_invocation import object_key
from .requests import Answer, CallRequest

_DIGEST_BYTES = 16


class Admission:
    """Lets calls in."""

    def __init__(self, core: Core) -> None:
        """A door to the runtime that ``core`` is made of."""
        self._core = core
        self._lifecycle = core.lifecycle
        self._commits = core.commits
        self._answers = core.answers
        self._mailbox_invocations_max = core.config.mailbox_invocations_max

    def submit(self, request: CallRequest, *, wait: bool) -> "asyncio.Future[Answer]":
        """As ``Engine.submit``, which has looked whether the runtime is open."""
        service, handler = self._core.registry.get_handler(request.target)
        return self.submit_to(service, handler, request, wait=wait)

    def submit_to(
        self,
        service: ServiceDefinition,
        handler: HandlerDefinition,
        request: CallRequest,
        *,
        wait: bool,
    ) -> "asyncio.Future[Answer]":
        """As ``submit``, of a call whose target has been found: ``handler`` of ``service``."""
        core = self._core
        prepared = handler.decode_argument(request.argument)
        if request.mode != "queue":
            check_mode(request.mode, request.target, service, handler, waits=wait)
        callback = record_callback(core.registry, request.callback)
        if request.idempotency_key is not None:
            duplicate = self._find_duplicate(request, handler, wait=wait)
            if duplicate is not None:
                return duplicate
        if handler.is_run:
            started = self._find_started(request, wait=wait)
            if started is not None:
                return started
        object_ = object_key(request.target)
        try:
            is_mere_read = self.check_room(
                request.target, object_, handler, request=request, wait=wait
            )
        except MailboxFullError as error:
            return self._answers.when_durable(error)
        id_ = self._lifecycle.accept(
            request.target,
            request.argument,
            service=service,
            handler=handler,
            headers=request.headers,
            object_=object_,
            prepared=prepared,
            idempotency_key=request.idempotency_key,
            delay_ms=request.delay_ms,
            mode=request.mode,
            callback=callback,
            is_mere_read=is_mere_read,
        )
        if request.mode != "queue":
            has_arrived(self._lifecycle, id_)
        if request.idempotency_key is not None:
            key = keys.idempotency(request.target, request.idempotency_key)
            self._commits.put(key, id_ + _digest(request.argument))
        due_ms = core.clock.now_ms() + request.delay_ms if request.delay_ms else None
        answer = Answer(invocation_id=format_invocation_id(id_), execution_time_ms=due_ms)
        if wait:
            return self._answers.with_outcome(id_, answer)
        return self._answers.when_durable(answer)

    def check_room(
        self,
        target: Target,
        object_: bytes | None,
        handler: HandlerDefinition,
        *,
        request: CallRequest | None = None,
        wait: bool = False,
    ) -> bool:
        """See that there is room for a new invocation of ``target``.

        ``object_`` is what ``object_key`` gives for the target, and ``request`` the call from
        outside, if it is one. ``True``: there is room for a mere read, as this may be one.

        Raises:
            StoreFullError: there is too little disk space.
            MailboxFullError: too many wait at its key.
        """
        if self._core.store.is_nearly_full:
            is_read = request is not None and is_let_in(request, handler, wait=wait)
            # What waits for room is nothing but rows, which do not say that it may only read.
            if is_read and not self._core.attempts.is_full:
                return True
            raise refusal()
        if object_ is None or handler.shared or (request is not None and request.delay_ms):
            return False
        maximum = handler.options.mailbox_invocations_max or self._mailbox_invocations_max
        if self._lifecycle.mailboxes.waiting_count(object_) >= maximum:
            message = (
                f"{target.service}/{target.key} has {maximum} calls waiting, "
                f"which is its limit; try again later"
            )
            raise MailboxFullError(message)
        return False

    def _find_started(self, request: CallRequest, *, wait: bool) -> "asyncio.Future[Answer] | None":
        """The answer to a second start of a workflow, or ``None`` for the first one."""
        id_ = workflows.find_started(self._commits, request.target)
        if id_ is None:
            return None
        if wait:
            message = workflows.describe_started(request.target, id_)
            return self._answers.when_durable(ConflictError(message))
        answer = Answer(invocation_id=format_invocation_id(id_), is_duplicate=True)
        return self._answers.when_durable(answer)

    def _find_duplicate(
        self, request: CallRequest, handler: HandlerDefinition, *, wait: bool
    ) -> "asyncio.Future[Answer] | None":
        """The answer to a call whose idempotency key is known, or ``None`` for a new one.

        Raises:
            InvalidArgumentError: this call takes none.
        """
        assert request.idempotency_key is not None, "no idempotency key to look for"
        if handler.is_run:
            message = (
                f"{request.target.service}/{handler.name} runs once per key as it is, so a call of "
                f"it takes no idempotency key; leave it out"
            )
            raise InvalidArgumentError(message)
        row = self._commits.get(keys.idempotency(request.target, request.idempotency_key))
        if row is None:
            return None
        id_ = InvocationId(row[:INVOCATION_ID_BYTES])
        outcome = self._lifecycle.outcomes.find(id_)
        if outcome is not None and outcome.expires_ms <= self._core.clock.now_ms():
            return None  # Kept long enough; only not collected yet.
        is_other = row[INVOCATION_ID_BYTES:] != _digest(request.argument)
        # A provider names a delivery, and may say more of it when it sends it again.
        is_delivery = handler.options.webhook is not None
        if is_other and self._core.config.idempotency_strict and not is_delivery:
            message = (
                f"the idempotency key {request.idempotency_key!r} came with another body before"
            )
            return self._answers.when_durable(ConflictError(message))
        answer = Answer(
            invocation_id=format_invocation_id(id_), is_duplicate=True, is_other_body=is_other
        )
        if not wait:
            return self._answers.when_durable(answer)
        if outcome is None:
            return self._answers.with_outcome(id_, answer)
        answer = replace(answer, expires_ms=outcome.expires_ms)
        result = b"" if outcome.result is None else outcome.result
        return self._answers.when_durable(add_outcome(answer, result))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
