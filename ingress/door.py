"""A door: from a request to its answer, whatever carried it.

Two steps, so that a request that is refused for its head is refused before its body is read:
``open`` is synchronous and looks at the head only, ``answer`` gets the body and may wait. Neither
ever raises, and nothing is journaled for a request that they refuse. How a request is framed on a
connection, and how long it may take to arrive, is the transport's: ``server``, ``aiohttp_app``
and ``asgi``.

What is common to all doors is here: who is let in, by a token and from a browser, and how large a
body may be. ``callers`` is the door of those who call handlers.
"""

from asyncio import Future, ensure_future
from logging import getLogger
from typing import Any, Protocol

from msgspec import Struct

from ..objects.errors import HoldfastError
from .access import unauthorized
from .bounds import Bounds
from .browsers import check_browser, check_host, find_cors_headers, find_preflight_answer
from .headers import check_length, check_not_encoded, too_large
from .messages import Head, Request, Response
from .options import HttpOptions, tokens_of
from .problems import RefusedError, response_of_error, response_of_refusal

_log = getLogger("holdfast.ingress")


class Opened(Protocol):
    """A request whose head is in order; its body may not have arrived yet."""

    async def answer(self, body: bytes) -> Response:
        """Do what it asks for.

        Cancelling this, because the server closes, stops nothing: what was accepted goes on.

        Raises:
            RefusedError, HoldfastError: it was refused, and left no trace.
        """
        ...


class Prompt(Struct, frozen=True, kw_only=True):
    """An ``Opened`` that can be answered without a task: one future is all that it waits for."""

    is_prompt: bool
    """Whether that is so of this one."""

    def begin(self, body: bytes) -> "Future[Any]":
        """Do what it asks for; raises as ``answer``. Cancelling the future stops nothing."""
        raise NotImplementedError

    def end(self, future: "Future[Any]") -> Response:
        """The answer, once the future is done and was not cancelled."""
        raise NotImplementedError


class Door:
    """Answers requests. What they may ask is ``_route``'s, and how refusals look ``refusal``'s."""

    purpose = "come in"
    """What whoever is let in may do, for messages."""
    option_prefix = ""
    """What the options of the command line that are about this door begin with, for messages."""

    def __init__(self, options: HttpOptions) -> None:
        """Nothing is opened here."""
        self.options = options
        self._tokens = tokens_of(options)
        self._asks_for_token = len(self._tokens) > 0
        self.bounds = Bounds(options)

    async def respond(self, request: Request) -> Response:
        """The answer to a whole request."""
        opened = self.open(request.head)
        if isinstance(opened, Response):
            return opened
        return await self.answer(opened, request)

    def open(self, head: Head) -> Opened | Response:
        """Check a request as far as its head tells, or answer it already."""
        try:
            opened = self._open(head)
        except Exception as error:  # noqa: BLE001 - a bug must not become the caller's traceback
            opened = self._answer_to(error, head)
        return self._with_cors(opened, head) if isinstance(opened, Response) else opened

    async def answer(self, opened: Opened, request: Request) -> Response:
        """Do what an opened request asks for, now that its body is here."""
        head = request.head
        try:
            if len(request.body) > self.options.body_bytes_max:
                raise too_large(self.options)  # noqa: TRY301 - answered like every other refusal
            answering = opened.answer(request.body)
            del request  # A caller may wait for days, and his body should not.
            response = await answering
        except Exception as error:  # noqa: BLE001 - as in ``open``
            response = self._answer_to(error, head)
        return self._with_cors(response, head)

    def begin(self, opened: Opened, request: Request) -> "Future[Any] | Response":
        """As ``answer``, for a transport that has no task: ``end`` is for when this is done.

        Cancelling it is as cancelling ``answer``.
        """
        if not isinstance(opened, Prompt) or not opened.is_prompt:
            return ensure_future(self.answer(opened, request))
        try:
            if len(request.body) > self.options.body_bytes_max:
                raise too_large(self.options)  # noqa: TRY301 - as in ``answer``
            return opened.begin(request.body)
        except Exception as error:  # noqa: BLE001 - as in ``open``
            return self.refuse(error, request.head)

    def end(self, opened: Opened, future: "Future[Any]", head: Head) -> Response:
        """The answer to what ``begin`` has begun, now that it is done and was not cancelled."""
        if not isinstance(opened, Prompt) or not opened.is_prompt:
            response: Response = future.result()
            return response
        try:
            response = opened.end(future)
        except Exception as error:  # noqa: BLE001 - as in ``open``
            response = self._answer_to(error, head)
        return self._with_cors(response, head)

    def refuse(self, error: Exception, head: Head) -> Response:
        """The answer to a request that a transport refuses, for a page as well."""
        return self._with_cors(self._answer_to(error, head), head)

    def refusal(
        self, error: Exception, *, is_keyed: bool = False, was_submitted: bool = False
    ) -> Response:
        """The answer to a request that was refused, or whose outcome is not known.

        Args:
            error: what was raised.
            is_keyed: whether the request had an idempotency key.
            was_submitted: whether it had been taken before it failed.
        """
        if isinstance(error, RefusedError):
            return response_of_refusal(error)
        return response_of_error(error, is_keyed=is_keyed, was_submitted=was_submitted)

    def end_waits(self) -> None:
        """The door closes soon: answer whoever only waits for a change with what there is."""

    def _route(self, head: Head) -> Opened | Response:
        """What a request asks for that was let in.

        Raises:
            RefusedError, HoldfastError: it asks for nothing that there is.
        """
        raise NotImplementedError

    def _open_signed(self, head: Head) -> Opened | Response | None:
        """What a request asks for whose query holds a signature of ours; ``None``: it is no link.

        Raises:
            RefusedError, HoldfastError: it asks for nothing that there is.
        """
        del head
        return None

    def _is_open(self, head: Head) -> bool:
        """Whether a request that carries no token may come in all the same.

        Raises:
            RefusedError, HoldfastError: it asks for nothing that there is.
        """
        del head
        return False

    def is_known(self, head: Head) -> bool:
        """Whether whoever sent this may be told more than a stranger."""
        return not self._asks_for_token or self._tokens.admit(head.headers)

    def _open(self, head: Head) -> Opened | Response:
        options = self.options
        # Browsers ask without the token, and are told no more than what the options say.
        preflight = find_preflight_answer(head, options)
        if preflight is not None:
            return preflight
        if "signature=" in head.path:
            link = self._open_link(head)
            if link is not None:
                return link
        # Before all else: a stranger is not told what there is, not even by what is refused.
        if (
            self._asks_for_token
            and not self._tokens.admit(head.headers)
            and not self._is_let_in(head)
        ):
            raise unauthorized()
        check_browser(head.headers, options)
        check_not_encoded(head.headers)
        check_length(head.headers, options)
        return self._route(head)

    def _open_link(self, head: Head) -> Opened | Response | None:
        """A link carries all that it needs, so it comes from any site, and without a token."""
        opened = self._open_signed(head)
        if opened is not None:
            check_host(head.headers, self.options)
            check_not_encoded(head.headers)
            check_length(head.headers, self.options)
        return opened

    def _is_let_in(self, head: Head) -> bool:
        try:
            return self._is_open(head)
        except (RefusedError, HoldfastError):
            return False

    def _answer_to(self, error: Exception, head: Head) -> Response:
        if not isinstance(error, RefusedError | HoldfastError):
            # Without the query, which may hold the signature of a link.
            path = head.path.partition("?")[0]
            _log.error("a request failed: %s %.200r", head.method, path, exc_info=error)
        return self.refusal(error, is_keyed=head.headers.get("idempotency-key") is not None)

    def _with_cors(self, response: Response, head: Head) -> Response:
        cors = find_cors_headers(head.headers, self.options)
        if cors is None:
            return response
        return Response(response.status, {**response.headers, **cors}, response.body)
