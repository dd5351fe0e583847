"""Requests with something wrong in them, drawn from a seed, thousands a second.

Each is put together from parts that mean something to the server, then some bytes are changed, left
out or put in, and sometimes several follow each other on one connection.
"""

import json
from random import Random
from urllib.parse import quote

METHODS = ("GET", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", "X")
VERSIONS = ("HTTP/1.1",) * 12 + ("HTTP/1.0", "HTTP/2.0", "HTTP/9", "ICY", "")
CALLER_SEGMENTS = (
    *("Counter", "Mailer", "Deal", "Counter", "add", "get", "mail", "run", "send", "restate"),
    *("call", "attach", "output", "lookup", "invocation", "workflow", "awakeables", "a", "health"),
    *("resolve", "reject", "promises", "signals", "effects", "links", "webhooks", "sam", "nobody"),
)
ADMIN_SEGMENTS = (
    *("invocations", "services", "Counter", "deployments", "query", "openapi", "health", "version"),
    *("cancel", "kill", "purge", "pause", "resume", "restart-as-new", "state", "handlers", "add"),
    *("journal", "modify-state", "awakeables", "links", "version", "sam"),
)
ODD_SEGMENTS = ("", ".", "..", "%", "%ff", "%00", "%2F", "%2e%2e", "*", "http:", "inv_" + "0" * 32)
QUERIES = ("delay=1s", "delay=-1", "delay=P1Y", "wait=0.01", "mode=queue", "mode=steer", "at=1")
NAMES = (
    *("Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection"),
    *("Idempotency-Key", "Origin", "Host", "Expect", "If-None-Match", "Authorization", "Cookie"),
    *("X-Restate-Id", "Sec-Fetch-Site", "Access-Control-Request-Method", "Upgrade", "Accept"),
)
VALUES = (
    *("application/json", "text/plain", "application/msgpack", "localhost", "evil.example"),
    *("chunked", "identity", "gzip", "close", "keep-alive", "100-continue", "upgrade", "0", "1"),
    *("5", "99999999", "-1", "0x10", "cross-site", "Bearer x", '"0123"', "*", "key-1", "key-2"),
)
BODIES = (
    *(b"", b"5", b"-1", b"{", b"NaN", b"1e999", b'"text"', b"null", b"[[[[[[", b"[" * 5_000),
    *(b'{"to": "ann"}', b'{"to": 5}', b'{"to": "\\ud800"}', b'{"to": "a", "to": "b"}', b"\xff\xfe"),
    *(b'{"query": "SELECT * FROM sys_invocation"}', b'{"query": "DROP TABLE state"}', b"2" * 400),
    b'{"target":"invocation","invocationId":"\\ud800"}',
)
ODD_BYTES = (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"0\r\n\r\n", b"\xff", b"%", b"?")


class RequestAuthor:
    """Draws what is sent on one connection."""

    def __init__(self, seed: str) -> None:
        """The same seed, the same requests."""
        self._random = Random(seed)

    def write(self, *, is_admin: bool) -> bytes:
        """One request or a few, most of them damaged."""
        random = self._random
        data = b"".join(
            self._request(is_admin=is_admin) for _ in range(random.choice((1, 1, 1, 3)))
        )
        for _ in range(random.choice((0, 0, 1, 2, 5))):
            at = random.randint(0, len(data))
            until = min(len(data), at + random.randint(0, 8))
            odd = random.choice(ODD_BYTES) if random.random() < 0.7 else random.randbytes(3)
            data = data[:at] + odd + data[until:]
        return data

    def _request(self, *, is_admin: bool) -> bytes:
        random = self._random
        body = random.choice(BODIES) if random.random() < 0.9 else random.randbytes(40)
        lines = [f"{random.choice(METHODS)} {self._target(is_admin=is_admin)} {self._version()}"]
        if random.random() < 0.95:
            lines.append("Host: localhost")
        if random.random() < 0.8:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        for _ in range(random.choice((0, 0, 1, 2))):
            lines.append(f"{random.choice(NAMES)}: {self._value()}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    def _target(self, *, is_admin: bool) -> str:
        random = self._random
        known = ADMIN_SEGMENTS if is_admin else CALLER_SEGMENTS
        if not is_admin and random.random() < 0.3:
            return f"/Counter/{quote(self._text())}/{random.choice(('add', 'get', 'nothing'))}"
        segments = [
            random.choice(known) if random.random() < 0.9 else random.choice(ODD_SEGMENTS)
            for _ in range(random.randint(0, 5))
        ]
        query = f"?{random.choice(QUERIES)}" if random.random() < 0.2 else ""
        return "/" + "/".join(segments) + query

    def _version(self) -> str:
        return self._random.choice(VERSIONS)

    def _value(self) -> str:
        return self._random.choice(VALUES) if self._random.random() < 0.8 else self._text()

    def _text(self) -> str:
        random = self._random
        text = "".join(chr(random.randint(1, 0xFF)) for _ in range(random.randint(0, 12)))
        return json.dumps(text) if random.random() < 0.1 else text
