"""What is told to whoever sent what aiohttp cannot take for a request."""

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from ..objects.errors import InvalidArgumentError
from .bodies import to_aiohttp
from .messages import Response
from .options import HttpOptions
from .problems import Refusal, RefusedError


def explain(error: HttpProcessingError, message: str, options: HttpOptions) -> Exception:
    """What ``error`` and its ``message`` say, in our words."""
    if isinstance(error, LineTooLong):
        # It says which limit was passed, and that of the target is always the lower one.
        if error.args[1] == options.target_bytes_max:
            said = f"the request target is longer than {options.target_bytes_max} bytes"
            return RefusedError(Refusal.TARGET_TOO_LONG, said)
        return head_too_large(options)
    if message == "Too many headers received":
        said = f"the request has more than {options.headers_max} headers"
        return RefusedError(Refusal.HEAD_TOO_LARGE, said)
    # The further lines quote the request.
    detail = message.strip().partition("\n")[0].rstrip(":")
    return InvalidArgumentError(f"malformed HTTP request: {detail:.200}")


def head_too_large(options: HttpOptions) -> RefusedError:
    """The refusal of a head that is longer than one may be."""
    said = f"the head of the request is longer than {options.head_bytes_max} bytes"
    return RefusedError(Refusal.HEAD_TOO_LARGE, said)


def last_reply(response: Response) -> web.Response:
    """``response`` as the last one of its connection, which it says."""
    reply = to_aiohttp(response)
    reply.force_close()
    # aiohttp takes what it could not parse for HTTP/1.0, and says nothing there.
    reply.headers["connection"] = "close"
    return reply
