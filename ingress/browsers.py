"""Requests that a web page made some browser send: which are let in.

A server on loopback is within reach of every page its user opens. Three checks keep those pages
out, on every path, before anything is read:

* ``Host`` must be ``localhost``, an IP address or a configured name. A page that rebinds its own
  name to 127.0.0.1 is told 421, since its requests still carry that name.
* ``Origin`` must be this server's own or a configured one, else 403. Browsers send it with every
  request that is not a GET, and with every ``fetch`` of another site.
* Where there is no ``Origin``, ``Sec-Fetch-Site`` must not say that another site asked (403): an
  ``<img>`` is a GET, and a GET calls handlers without input. Another port of the same host is
  another site here, though browsers say ``same-site``.

Programs send none of the last two and are not held up. For a configured origin the answers say so
in CORS headers, and its preflights are answered.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from .messages import Head, Response
from .options import HttpOptions
from .problems import Refusal, RefusedError

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_ASKED_METHOD = "access-control-request-method"
_PREFLIGHT_VARY = "origin, access-control-request-method, access-control-request-headers"
_EXPOSED = (
    "x-restate-id, x-restate-error-source, idempotency-expires, x-holdfast-error, "
    "x-holdfast-error-type, x-holdfast-idempotency, retry-after, etag"
)


def check_browser(headers: Mapping[str, str], options: HttpOptions) -> None:
    """Let the request in, or refuse it.

    Raises:
        RefusedError: its ``Host`` is not ours, or another site's page sent it.
    """
    check_host(headers, options)
    host = headers.get("host")
    origin = headers.get("origin")
    if origin is not None:
        if not _is_own_origin(origin, host) and not _is_allowed(origin, options):
            message = (
                f"pages of {origin!r:.80} may not call this server; add the origin to "
                f"HttpOptions.origins"
            )
            raise RefusedError(Refusal.FORBIDDEN, message)
    elif headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        message = "a page of another site sent this request, and it may not call this server"
        raise RefusedError(Refusal.FORBIDDEN, message)


def check_host(headers: Mapping[str, str], options: HttpOptions) -> None:
    """See that the request was sent to us.

    Raises:
        RefusedError: its ``Host`` is not ours.
    """
    # Without one it is HTTP/1.0, which no browser speaks.
    host = headers.get("host")
    if host is not None and not _is_own_host(host, options):
        message = (
            f"this server does not answer to the host {host!r:.80}; call it by localhost or its IP "
            f"address, or add the name to HttpOptions.hosts or --allow-host"
        )
        raise RefusedError(Refusal.MISDIRECTED, message)


def find_cors_headers(headers: Mapping[str, str], options: HttpOptions) -> Mapping[str, str] | None:
    """What to add to an answer so that a page of a configured origin may read it."""
    if not options.origins:
        return None
    origin = headers.get("origin")
    # A preflight's answer depends on what it asks for as well.
    vary = {"vary": _PREFLIGHT_VARY if _ASKED_METHOD in headers else "origin"}
    if origin is None or not _is_allowed(origin, options):
        return vary
    if origin.lower() in options.origins:
        # Only to those that were named: where any page may call, none brings a user's credentials.
        vary["access-control-allow-credentials"] = "true"
    return {
        **vary,
        "access-control-allow-origin": origin,
        "access-control-expose-headers": _EXPOSED,
    }


def find_preflight_answer(head: Head, options: HttpOptions) -> Response | None:
    """The answer to a browser that asks whether a page of a configured origin may call us."""
    if head.method != "OPTIONS":
        return None
    headers = head.headers
    origin = headers.get("origin")
    if origin is None or not _is_allowed(origin, options):
        return None
    method = headers.get(_ASKED_METHOD)
    if method is None:
        return None
    # Whether there is anything at the path with this method is for the request itself to find out.
    allowed = {
        "access-control-allow-methods": method if method in _METHODS else "GET, POST",
        "access-control-max-age": "600",
    }
    asked = headers.get("access-control-request-headers")
    if asked is not None and asked.isascii():
        allowed["access-control-allow-headers"] = asked
    return Response(200, allowed, b"")


def _is_own_host(authority: str, options: HttpOptions) -> bool:
    if authority.startswith("["):
        literal, bracket, port = authority[1:].partition("]")
        return bracket == "]" and port[:1] in {"", ":"} and _is_address(literal, IPv6Address)
    name = authority.partition(":")[0].lower()
    return (
        name in _LOOPBACK_HOSTS
        or name in options.hosts
        or "*" in options.hosts
        or _is_address(name, IPv4Address)
    )


def _is_address(text: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _is_own_origin(origin: str, host: str | None) -> bool:
    # The scheme is not compared: behind a proxy that ends TLS it is not known here.
    scheme, separator, authority = origin.partition("://")
    return separator != "" and scheme in {"http", "https"} and authority == host


def _is_allowed(origin: str, options: HttpOptions) -> bool:
    # It is echoed in an answer, and an answer's headers are ASCII.
    is_listed = origin.lower() in options.origins or "*" in options.origins
    return is_listed and origin.isascii()
