"""A reply on the wire: its pace, its silences, and every way in which it can go wrong.

What has become of a request is noted before the bytes that complete its answer, so that whoever has
the answer finds it noted. Time is the machine's own: a pretended model is as slow as it says.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from aiohttp import web

from .answer import FAILURE_TEXT, Answer, Encoding, Frame, make_answer, to_json
from .chat import ChatEncoding
from .playback import Playback
from .reply import Break, Failure, Message, NoAnswer, Reply
from .request import LlmRequest, Outcome
from .responses import ResponsesEncoding

_MALFORMED_FRAME = b'data: {"id":"chatcmpl-malformed","choices":[{"ind\n\n'

_PROVIDER_FAILED = Failure(status=500, message=FAILURE_TEXT, kind="server_error")


class Silences:
    """Everyone on one loop who is silent as scripted."""

    def __init__(self) -> None:
        """Begin with nobody."""
        # Set to end the silences that are kept now, and replaced for those to come.
        self._end = asyncio.Event()

    async def keep(self, seconds: float | None) -> None:
        """Wait so long, or until ``release``."""
        end = self._end
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await end.wait()

    def release(self) -> None:
        """End all silences that are kept now."""
        self._end.set()
        self._end = asyncio.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One reply to one request.

    Attributes:
        http: the request as it is to be answered.
        asked: the same, as it is recorded.
        reply: what to answer.
        playback: where it is noted what becomes of it.
        silences: where silences are kept.
        pace_seconds: how long each piece takes where the reply leaves it open.
    """

    http: web.Request
    asked: LlmRequest
    reply: Reply
    playback: Playback
    silences: Silences
    pace_seconds: float

    async def deliver(self) -> web.StreamResponse:
        """Answer; gives what was sent.

        Raises:
            CancelledError: the caller left or the server closes; the request is ``"abandoned"``.
        """
        try:
            return await self._deliver()
        except asyncio.CancelledError:
            self._note("abandoned")
            raise
        except ConnectionError:
            self._note("abandoned")
            return self._hang_up()

    async def _deliver(self) -> web.StreamResponse:
        silence = self.reply.silence
        if silence is not None and not (silence.after_pieces and self.asked.is_streamed):
            await self._be_silent(silence.seconds)
        match self.reply.content:
            case NoAnswer():
                self._note("broken")
                return self._hang_up()
            case Failure() as failure:
                return await self._refuse(failure, "refused")
            case Message() as message:
                answer = make_answer(self.asked, message, self.reply.usage)
                if self.asked.is_streamed:
                    return await self._stream(_encoding(answer))
                await asyncio.sleep(self._pace() * message.count_pieces())
                return await self._send(to_json(_encoding(answer).body()))

    async def _refuse(self, failure: Failure, outcome: Outcome) -> web.StreamResponse:
        response = error_response(failure)
        response.headers.update(self._headers())
        self._note(outcome)
        return await self._finish(response)

    async def _send(self, body: bytes) -> web.StreamResponse:
        """The whole answer at once."""
        response = web.Response(headers=self._headers(), content_type="application/json")
        ends = self.reply.ends
        if ends is None:
            self._note("answered")
            response.body = body
            return await self._finish(response)
        if ends.how == "failed":
            return await self._refuse(_PROVIDER_FAILED, "broken")
        self._note("broken")
        half = body[: len(body) // 2]
        if ends.how == "malformed":
            response.body = half
            return await self._finish(response)
        torn = web.StreamResponse(headers=self._headers())
        torn.content_type = "application/json"
        torn.content_length = len(body)
        await torn.prepare(self.http)
        await torn.write(half)
        self._hang_up()
        return torn

    async def _stream(self, encoding: Encoding) -> web.StreamResponse:
        response = web.StreamResponse(headers={**self._headers(), "cache-control": "no-cache"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(self.http)
        silence, ends = self.reply.silence, self.reply.ends
        pieces = 0
        for frames_sent, frame in enumerate(encoding.frames()):
            # A place in a stream is right after that piece; place 0 is before the first one.
            if frame.kind == "piece" or pieces:
                if silence is not None and pieces == silence.after_pieces > 0:
                    await self._be_silent(silence.seconds)
                    silence = None
                if ends is not None and pieces == ends.after_pieces:
                    failure = encoding.failure_frames(frames_sent)
                    return await self._end_early(response, ends, failure)
            if frame.kind == "piece":
                pieces += 1
                await asyncio.sleep(self._pace())
            elif frame.kind == "last":
                self._note("answered")
            await response.write(frame.data)
        return await self._finish(response)

    async def _end_early(
        self, response: web.StreamResponse, ends: Break, failure: Iterator[Frame]
    ) -> web.StreamResponse:
        self._note("broken")
        match ends.how:
            case "cut":
                self._hang_up()
                return response
            case "malformed":
                await response.write(_MALFORMED_FRAME)
            case "failed":
                for frame in failure:
                    await response.write(frame.data)
        return await self._finish(response)

    async def _finish(self, response: web.StreamResponse) -> web.StreamResponse:
        """Send what is left to send, here where a caller who leaves is noticed."""
        await response.prepare(self.http)
        await response.write_eof()
        return response

    async def _be_silent(self, seconds: float | None) -> None:
        self._note("stalled")
        await self.silences.keep(seconds)
        self._note("pending")

    def _hang_up(self) -> web.StreamResponse:
        """End the connection once what was written has left; gives a response that goes nowhere."""
        if self.http.transport is not None:
            self.http.transport.close()
        return web.StreamResponse()

    def _pace(self) -> float:
        reply = self.reply.pace_seconds
        return self.pace_seconds if reply is None else reply

    def _headers(self) -> dict[str, str]:
        return {"x-request-id": f"req_{self.asked.number:06}"}

    def _note(self, outcome: Outcome) -> None:
        """Note what became of the request, unless the script had nothing to say to it."""
        if self.asked.outcome != "unscripted":
            self.playback.note(self.asked.number, outcome)


def error_response(failure: Failure, param: str | None = None) -> web.Response:
    """An error in the form of OpenAI's."""
    error = {
        "message": failure.message,
        "type": failure.kind,
        "param": param,
        "code": failure.code,
    }
    headers: dict[str, str] = {}
    if failure.retry_after_seconds is not None:
        # HTTP has whole seconds there, and a client must not come too early.
        headers["retry-after"] = str(ceil(failure.retry_after_seconds))
        headers["retry-after-ms"] = f"{failure.retry_after_seconds * 1000:.0f}"
    return web.Response(
        status=failure.status,
        body=to_json({"error": error}),
        headers=headers,
        content_type="application/json",
    )


def _encoding(answer: Answer) -> Encoding:
    if answer.request.api == "chat/completions":
        return ChatEncoding(answer)
    return ResponsesEncoding(answer)
