"""How an invocation ended, asked by somebody who did not make the call.

    attach     once it has ended; whoever goes away stops nothing
    output     now: 470 while it runs
    lookup     its id

The path names it, or a JSON body does:

    {"target": "invocation", "invocationId": "inv_..."}
    {"target": "workflow", "workflowName": "Signup", "workflowKey": "sam"}
    {"target": "idempotentInvocation", "service": "Cart", "key": "sam", "handler": "add",
     "idempotencyKey": "order-7"}                                  "key" for objects and workflows
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from ..objects.errors import HoldfastError, InvalidArgumentError
from ..objects.registry import Registry
from ..runtime.requests import IdNamed, Named
from .answers import response_of_answer, response_of_lookup
from .invocation_paths import LookupPath, OutcomePath, name_call, name_workflow, parse_id
from .messages import Head, Response
from .methods import check_method
from .port import IngressEngine
from .problems import response_of_error


@dataclass(frozen=True, slots=True)
class OutcomeQuestion:
    """The question how the invocation ended that a path names."""

    engine: IngressEngine
    path: OutcomePath

    async def answer(self, body: bytes) -> Response:
        """See ``door.Opened``."""
        del body
        return await _answer(self.engine, self.path.named, self.path.verb)


@dataclass(frozen=True, slots=True)
class NamedQuestion:
    """The same where the body names it."""

    engine: IngressEngine
    path: LookupPath

    async def answer(self, body: bytes) -> Response:
        """See ``door.Opened``.

        Raises:
            InvalidArgumentError: the body names no invocation.
            UnknownTargetError: it names a class or a handler that there is not.
        """
        named = parse_target(body, self.engine.registry)
        return await _answer(self.engine, named, self.path.verb)


def open_outcome(engine: IngressEngine, path: OutcomePath, head: Head) -> OutcomeQuestion:
    """Check the method.

    Raises:
        RefusedError: it is not GET.
    """
    check_method(head, "GET")
    return OutcomeQuestion(engine, path)


def open_lookup(engine: IngressEngine, path: LookupPath, head: Head) -> NamedQuestion:
    """Check the method.

    Raises:
        RefusedError: it is not POST.
    """
    check_method(head, "POST")
    return NamedQuestion(engine, path)


class _Invocation(
    msgspec.Struct, tag="invocation", tag_field="target", rename="camel", forbid_unknown_fields=True
):
    invocation_id: str


class _Workflow(
    msgspec.Struct, tag="workflow", tag_field="target", rename="camel", forbid_unknown_fields=True
):
    workflow_name: str
    workflow_key: str


class _IdempotentInvocation(
    msgspec.Struct,
    tag="idempotentInvocation",
    tag_field="target",
    rename="camel",
    forbid_unknown_fields=True,
):
    service: str
    handler: str
    idempotency_key: str
    key: str | None = None


_Body = _Invocation | _Workflow | _IdempotentInvocation
_TARGET: Final = msgspec.json.Decoder[_Body](_Body)


def parse_target(body: bytes, registry: Registry) -> Named:
    """The invocation that a body names.

    Raises:
        InvalidArgumentError: it names none.
        UnknownTargetError: there is no such class or handler.
    """
    try:
        target: _Body = _TARGET.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = (
            f"invalid lookup body: {error}; expected a JSON object whose 'target' is 'workflow', "
            f"'idempotentInvocation' or 'invocation'"
        )
        raise InvalidArgumentError(message) from None
    match target:
        case _Invocation():
            return IdNamed(parse_id(target.invocation_id))
        case _Workflow():
            return name_workflow(target.workflow_name, target.workflow_key, registry)
        case _IdempotentInvocation():
            key = [] if target.key is None else [target.key]
            call = [target.service, *key, target.handler]
            return name_call(call, target.idempotency_key, registry)


async def _answer(engine: IngressEngine, named: Named, verb: str) -> Response:
    try:
        if verb == "lookup":
            return response_of_lookup(await engine.look_up(named))
        answer = await engine.read_outcome(named, wait=verb == "attach")
        return response_of_answer(answer, answer.content_type)
    except HoldfastError as error:
        # A question is as good the second time.
        return response_of_error(error, is_keyed=True, was_submitted=False)
