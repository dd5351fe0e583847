"""Signed links: one awakeable completed by whoever holds the link, without a token.

The signature is verified before anything else is looked at, and what it fits is all that the link
allows. ``GET`` shows a page with the message and a button and changes nothing, since programs that
look for bad mail open every link in it. ``POST`` completes: from the page's form, which is answered
by a page, or from a program, which is answered as ``awakeables`` says.

A browser may come from any site: the link is in somebody's mail. Only the host has to be ours. A
page of another site gains nothing, as it does not know the signature.

    403  nobody here has signed that, or not that way; no more is said
    410  signed, and its time is over
    413  signed, and the body is longer than the answer of a stranger may be
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, assert_never
from urllib.parse import parse_qsl

import msgspec

from ..objects.errors import (
    ConflictError,
    HoldfastError,
    InvalidArgumentError,
    TerminalError,
    UnknownTargetError,
)
from ..objects.links import AwakeableLink
from .awakeable_paths import AwakeablePath
from .awakeables import taken
from .completions import parse_completion
from .headers import split_content_type
from .link_pages import notice_page, question_page
from .messages import Head, Response
from .port import IngressEngine
from .problems import Refusal, RefusedError, response_of_error, response_of_refusal

_FORM = "application/x-www-form-urlencoded"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARAMETERS_MAX = 32
_SECONDS = re.compile(r"[1-9][0-9]{0,10}")
_NAMES = ("expires", "signature", "value")

BODY_BYTES_MAX: Final = 64 * 1024
"""Whoever has a link may be anybody, and to see whether a value fits its schema may take ten
microseconds for each byte, in which nothing else happens."""


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A good link, and what came with it."""

    engine: IngressEngine
    link: AwakeableLink
    headers: Mapping[str, str]
    is_question: bool
    """Whether it is only looked at."""
    is_form: bool
    """Whether a person has pressed the button, and is answered by a page."""

    async def answer(self, body: bytes) -> Response:
        """Show the page, or complete the awakeable; see ``door.Opened``.

        Raises:
            InvalidArgumentError: the body is not what the verb takes.
            RefusedError: it is too long.
        """
        if self.is_question:
            return await self._ask()
        if self.is_form:
            return await self._complete_by_button()
        outcome = self._find_outcome(body)
        try:
            is_first = await self.engine.complete_awakeable(self.link.awakeable, outcome)
        except HoldfastError as error:
            return response_of_error(error, is_keyed=True, was_submitted=False)
        return taken(is_first=is_first)

    async def _ask(self) -> Response:
        link = self.link
        info = await self.engine.find_awakeable(link.awakeable)
        if info is None:
            return _closed_page()
        button = "Confirm" if link.verb == "resolve" else "Decline"
        until = _EPOCH + timedelta(seconds=link.expires_s)
        if info.deadline is not None:
            until = min(until, info.deadline)
        return question_page(info.message, button, _readable(link), until)

    async def _complete_by_button(self) -> Response:
        try:
            is_first = await self.engine.complete_awakeable(
                self.link.awakeable, self._find_outcome(b"")
            )
        except (ConflictError, UnknownTargetError):
            return _closed_page()
        except InvalidArgumentError:
            return notice_page(
                400,
                "This answer does not fit",
                "Something else is asked for than this link can say. Nothing was changed.",
            )
        except HoldfastError as error:
            status = response_of_error(error, is_keyed=True, was_submitted=False).status
            return notice_page(
                status, "Not just now", "Your answer could not be taken. Try again in a minute."
            )
        if not is_first:
            return _closed_page()
        return notice_page(200, "Thank you", "Your answer was taken. You can close this page.")

    def _find_outcome(self, body: bytes) -> bytes | TerminalError:
        """What the link says, or the body where the link leaves it open.

        Raises:
            InvalidArgumentError: both say something, or the body does not fit.
            RefusedError: the body is too long.
        """
        link = self.link
        if len(body) > BODY_BYTES_MAX:
            message = (
                f"the body is longer than the {BODY_BYTES_MAX:,} bytes that a link takes; whoever "
                f"has a token may send more, without the signature"
            )
            raise RefusedError(Refusal.TOO_LARGE, message)
        if link.value is not None and body:
            message = "the link says what the answer is, so the body must be empty"
            raise InvalidArgumentError(message)
        if link.value is None:
            return parse_completion(link.verb, self.headers, body, "awakeable")
        match link.verb:
            case "resolve":
                return link.value.encode()
            case "reject":
                return TerminalError(link.value)
            case _:
                assert_never(link.verb)


def open_link(
    engine: IngressEngine, path: AwakeablePath, query: str, head: Head
) -> OpenedLink | Response:
    """Verify a link, and answer one that is not good.

    Raises:
        RefusedError: the method is neither GET nor POST.
    """
    if head.method not in {"GET", "HEAD", "POST"}:
        message = "method not allowed: takes GET, POST"
        raise RefusedError(Refusal.METHOD, message, {"allow": "GET, POST"})
    is_question = head.method != "POST"
    media_type, _ = split_content_type(head.headers.get("content-type") or "")
    is_form = not is_question and media_type == _FORM
    link = _find_signed(engine, path, query)
    if link is None:
        return _refuse(Refusal.FORBIDDEN, "This link is not valid", has_page=is_question or is_form)
    if engine.now_ms() >= link.expires_s * 1000:
        return _refuse(Refusal.GONE, "This link has expired", has_page=is_question or is_form)
    return OpenedLink(engine, link, head.headers, is_question, is_form)


def _find_signed(engine: IngressEngine, path: AwakeablePath, query: str) -> AwakeableLink | None:
    """What the link allows; ``None`` where nobody has signed that."""
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS_MAX
        )
    except ValueError:  # Bytes that are no UTF-8 as well.
        return None
    for name, value in pairs:
        if name in given:
            return None
        if name in _NAMES:  # Mail programs add parameters of their own, which say nothing here.
            given[name] = value
    expires, signature = given.get("expires", ""), given.get("signature", "")
    if not signature or _SECONDS.fullmatch(expires) is None:
        return None
    link = AwakeableLink(
        awakeable=path.awakeable,
        verb=path.verb,
        expires_s=int(expires),
        value=given.get("value"),
    )
    try:
        text = link.to_sign()
    except UnicodeEncodeError:
        return None
    return link if engine.verify_link(text, signature) else None


def _readable(link: AwakeableLink) -> Any:
    """What the link answers, as people read it; ``None``: it leaves that open."""
    if link.value is None or link.verb == "reject":
        return link.value
    return msgspec.json.decode(link.value)


def _closed_page() -> Response:
    return notice_page(
        HTTPStatus.OK,
        "Nothing left to do",
        "This was answered before, or nobody waits for it any more. Nothing was changed.",
    )


def _refuse(refusal: Refusal, title: str, *, has_page: bool) -> Response:
    plain = response_of_refusal(RefusedError(refusal, title.lower()))
    if not has_page:
        return plain
    return notice_page(plain.status, title, "Ask whoever has sent it for another one.")
