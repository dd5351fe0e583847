"""The pages that a link shows in a browser: self-contained, and safe to be opened by anyone.

Everything that is not written here is escaped. A page loads nothing, runs nothing, is shown in no
frame, is kept in no cache, and tells nobody by which URL it was reached.
"""

from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Any, Final

import msgspec

from .messages import Response

_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem;"
    "color:#222}pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;background:#f4f4f4;"
    "padding:1rem;border-radius:.5rem}button{font:inherit;padding:.6rem 1.4rem;border:0;"
    "border-radius:.5rem;background:#1857c0;color:#fff;cursor:pointer}small{color:#666}"
)
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()

_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        f"base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
    "cross-origin-opener-policy": "same-origin",
}


def question_page(message: Any, button: str, answer: Any, until: datetime) -> Response:
    """A page that asks, and sends the answer when its button is pressed."""
    asked = "" if message is None else f"<pre>{escape(_show(message))}</pre>"
    says = "" if answer is None else f"<p>Your answer: <b>{escape(_show(answer))}</b></p>"
    # Without an action a form goes to where the page is from, signature and all.
    return _page(
        200,
        "Your answer is asked for",
        f'{asked}{says}<form method="post"><button>{escape(button)}</button></form>'
        f"<p><small>This link works until {until:%Y-%m-%d %H:%M} UTC.</small></p>",
    )


def notice_page(status: int, title: str, sentence: str) -> Response:
    """A page that says something."""
    return _page(status, title, f"<p>{escape(sentence)}</p>")


def _show(message: Any) -> str:
    """A message for people: text as it is, and of anything else its JSON."""
    if isinstance(message, str):
        return message
    return msgspec.json.format(msgspec.json.encode(message), indent=2).decode()


def _page(status: int, title: str, body: str) -> Response:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    )
    # A message may hold half a surrogate pair, which UTF-8 cannot say.
    return Response(status, _HEADERS, text.encode("utf-8", "replace"))
