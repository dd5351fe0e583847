"""The HTTP of the scripted model: its paths, and its errors in the form of OpenAI's.

``/v1`` is what a client of OpenAI's API knows. ``/requests`` and ``/release`` are for whoever runs
the server in another process: what was asked so far, and the end of all silences.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from .answer import CREATED
from .bounds import BODY_BYTES_MAX, UNDER_WAY_MAX
from .delivery import Delivery, Silences, error_response
from .errors import BadRequestError
from .playback import Playback
from .reply import Failure
from .request import Api, LlmRequest, read_request

_CLOSING_SECONDS = 0.01
"""How long a close waits for answers to end by themselves before it cancels them."""


class Door:
    """A server that answers from a playback. Belongs to the loop it is opened on."""

    def __init__(self, playback: Playback, *, pace_seconds: float, models: Sequence[str]) -> None:
        """Make a door that is still shut."""
        self._playback = playback
        self._pace_seconds = pace_seconds
        self._models = tuple(models)
        self._silences = Silences()
        self._under_way = 0
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_errors_as_json])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/responses", self._responses)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/requests", self._list_requests)
        app.router.add_post("/release", self._release)
        # A caller that leaves cancels its answer, which is how that is noticed.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_CLOSING_SECONDS,
        )

    async def open(self, host: str, port: int) -> int:
        """Begin to listen; gives the port, which the system chooses for 0.

        Raises:
            OSError: the address cannot be listened on; nothing is left open.
            ValueError: the host is none.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except (OSError, ValueError):
            await self._runner.cleanup()
            raise
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """End every connection, whatever is under way on it."""
        await self._runner.cleanup()

    def release(self) -> None:
        """End the silences that are kept now."""
        self._silences.release()

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        return await self._answer(http, "chat/completions")

    async def _responses(self, http: web.Request) -> web.StreamResponse:
        return await self._answer(http, "responses")

    async def _answer(self, http: web.Request, api: Api) -> web.StreamResponse:
        if self._under_way >= UNDER_WAY_MAX:
            message = f"{UNDER_WAY_MAX} requests are under way, and more are not taken"
            return error_response(Failure(status=503, message=message, kind="server_error"))
        self._under_way += 1
        try:
            body = await http.read()
            try:
                request = read_request(api, http.headers, body)
            except BadRequestError as error:
                return error_response(_refusal(400, str(error)), error.param)
            asked, reply = self._playback.ask(request, len(body))
            delivery = Delivery(
                http=http,
                asked=asked,
                reply=reply,
                playback=self._playback,
                silences=self._silences,
                pace_seconds=self._pace_seconds,
            )
            return await delivery.deliver()
        finally:
            self._under_way -= 1

    async def _list_models(self, _http: web.Request) -> web.StreamResponse:
        models = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "holdfast"}
            for name in self._models
        ]
        return web.json_response({"object": "list", "data": models})

    async def _list_requests(self, _http: web.Request) -> web.StreamResponse:
        return web.json_response([_shown(each) for each in self._playback.requests])

    async def _release(self, _http: web.Request) -> web.StreamResponse:
        self.release()
        return web.Response(status=204)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what aiohttp refuses in the form that clients of OpenAI's API read."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        message = (
            f"{request.method} {request.path} is not scripted; POST /v1/chat/completions, "
            "POST /v1/responses and GET /v1/models are. The base URL of a client ends with /v1"
        )
        return error_response(_refusal(404, message))
    except web.HTTPException as error:
        message = f"{request.method} {request.path}: {error.reason}"
        return error_response(_refusal(error.status, message))


def _refusal(status: int, message: str) -> Failure:
    return Failure(status=status, message=message, kind="invalid_request_error")


def _shown(request: LlmRequest) -> dict[str, Any]:
    return {
        "number": request.number,
        "at_seconds": request.at_seconds,
        "api": request.api,
        "model": request.model,
        "is_streamed": request.is_streamed,
        "outcome": request.outcome,
        "reply": request.reply,
        "last_text": request.last_text,
        "headers": dict(request.headers),
        "body": dict(request.body),
    }
