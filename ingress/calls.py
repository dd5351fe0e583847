"""Calling a handler and sending to one.

The body is opaque here: the engine decodes it by the handler's annotations, and what does not fit
comes back as an error that names the field. So a call costs one look at the head and no parsing of
the body.
"""

from asyncio import Future
from collections.abc import Mapping

from ..objects.call_options import Mode
from ..objects.definition import HandlerDefinition
from ..objects.errors import ConflictError, HoldfastError, InvalidArgumentError
from ..objects.identity import Target
from ..objects.media import ANY
from ..runtime.requests import Answer, CallRequest, WorkflowNamed
from .answers import response_of_answer, response_of_send
from .call_paths import NO_QUERY, NOT_PUBLIC, CallPath, parse_query
from .door import Prompt
from .durations import parse_delay
from .headers import check_content_type, find_idempotency_key, missing_content_type, passed_headers
from .messages import Head, Response
from .options import HttpOptions
from .port import IngressEngine
from .problems import Refusal, RefusedError, response_of_error


class Call(Prompt, frozen=True, kw_only=True):
    """A call or send whose head is in order; its body may not have arrived yet."""

    engine: IngressEngine
    path: CallPath
    has_content_type: bool
    """Whether there is one; where the handler takes input, it is one that it accepts then."""
    headers: Mapping[str, str]
    idempotency_key: str | None
    delay_ms: int
    mode: Mode

    async def answer(self, body: bytes) -> Response:
        """Make the call and answer it; see ``door.Opened``."""
        was_submitted = False
        try:
            future = self.begin(body)
            was_submitted = True
            del body  # The engine has it; here it would be kept for a long wait.
            await future
        except HoldfastError as error:
            response = self._refusal(error, was_submitted=was_submitted)
            if not self.is_prompt and isinstance(error, ConflictError):
                return await _with_first_id(self.engine, self.path.target, response)
            return response
        return self.end(future)

    def begin(self, body: bytes) -> Future[Answer]:
        """Make the call; see ``door.Prompt``.

        Raises:
            InvalidArgumentError: a body where there must be none, or none where there must be one.
            HoldfastError: the engine has refused it.
        """
        _check_presence(self, body)
        request = CallRequest(
            target=self.path.target,
            argument=body,
            headers=self.headers,
            idempotency_key=self.idempotency_key,
            delay_ms=self.delay_ms,
            mode=self.mode,
        )
        return self.engine.submit(request, wait=not self.path.is_send)

    def end(self, future: Future[Answer]) -> Response:
        """See ``door.Prompt``."""
        try:
            answer = future.result()
        except HoldfastError as error:
            return self._refusal(error, was_submitted=True)
        if self.path.is_send:
            return response_of_send(answer)
        return response_of_answer(answer, self.path.handler.content_type)

    def _refusal(self, error: HoldfastError, *, was_submitted: bool) -> Response:
        is_keyed = self.idempotency_key is not None
        return response_of_error(error, is_keyed=is_keyed, was_submitted=was_submitted)


def open_call(
    engine: IngressEngine, path: CallPath, query: str, head: Head, options: HttpOptions
) -> Call:
    """Check all of a call but its body.

    Raises:
        RefusedError: the method does not fit.
        InvalidArgumentError: the content type, the query or the idempotency key does not fit.
    """
    handler = path.handler
    if handler.options.ingress_private:
        raise InvalidArgumentError(NOT_PUBLIC)
    _check_method(path, head.method)
    said = parse_query(query) if query else NO_QUERY
    delay = said.delay
    if delay is not None and not path.is_send:
        message = (
            "cannot use the delay query parameter with calls. The delay is supported only with "
            f"sends: /{path.target.service}/…/{path.target.handler}/send?delay=…"
        )
        raise InvalidArgumentError(message)
    idempotency_key = find_idempotency_key(head.headers)
    if handler.is_run and idempotency_key is not None:
        message = (
            "cannot use the idempotency key with workflow handlers. The handler invocation will "
            f"already be idempotent by the workflow key itself, so leave it out of calls of "
            f"{path.target}"
        )
        raise InvalidArgumentError(message)
    if handler.takes_input and "content-type" in head.headers:
        check_content_type(head.headers, handler)
    return Call(
        engine=engine,
        path=path,
        has_content_type="content-type" in head.headers,
        headers=passed_headers(head.headers, options),
        idempotency_key=idempotency_key,
        delay_ms=0 if delay is None else parse_delay(delay),
        mode=said.mode,
        # A workflow's second start is refused with the id of the first, which is looked up.
        is_prompt=not handler.is_run,
    )


async def _with_first_id(engine: IngressEngine, run: Target, response: Response) -> Response:
    """The refusal to start a workflow again, with the id of the start that counts."""
    assert run.key is not None, "a workflow without a key"
    try:
        id_ = await engine.look_up(WorkflowNamed(run.service, run.key))
    except HoldfastError:
        return response  # Forgotten meanwhile, or the runtime stops.
    return Response(response.status, {"x-restate-id": id_, **response.headers}, response.body)


def _check_method(path: CallPath, method: str) -> None:
    if method == "POST" or (method == "GET" and not path.handler.takes_input):
        return
    allowed = "POST" if path.handler.takes_input else "GET, POST"
    message = f"method not allowed: {path.target.handler} takes {allowed}"
    raise RefusedError(Refusal.METHOD, message, {"allow": allowed})


def _check_presence(call: Call, body: bytes) -> None:
    handler = call.path.handler
    if not handler.takes_input:
        if body:
            message = (
                f"input validation error: Expected body and content-type to be empty: "
                f"{handler.name} takes no input"
            )
            raise InvalidArgumentError(message)
    elif body:
        if not call.has_content_type and handler.accept != ANY:
            raise missing_content_type(handler.accept)
    elif not _may_be_empty(handler):
        if not call.has_content_type:
            raise missing_content_type(handler.accept)
        message = f"input validation error: Empty body not allowed; {handler.name} takes input"
        raise InvalidArgumentError(message)


def _may_be_empty(handler: HandlerDefinition) -> bool:
    """Whether no body is a body, because the one parameter has a default or may be ``None``."""
    try:
        handler.decode_argument(b"")
    except InvalidArgumentError:
        return False
    return True
