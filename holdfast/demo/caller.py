"""Whoever waits for the report: one HTTP request, repeated with the same key until answered.

It runs in a thread of its own, as a caller is a program of its own, and knows nothing of the
server but its address.
"""

import http.client
import json
import threading

_ANSWER_SECONDS = 600.0


class Caller:
    """One call, made as often as it takes."""

    def __init__(self, path: str, argument: str, idempotency_key: str) -> None:
        """Prepare the call; nothing is sent yet."""
        self._path = path
        self._body = json.dumps(argument)
        self._headers = {"content-type": "application/json", "idempotency-key": idempotency_key}
        self._thread: threading.Thread | None = None
        self.answer: str | None = None
        """The answer, once there is one."""
        self.failure: str | None = None
        """Why the last request has no answer."""

    def ask(self, port: int) -> None:
        """Send the request; ``answer`` or ``failure`` is set when ``is_waiting`` ends."""
        self.failure = None
        self._thread = threading.Thread(target=self._request, args=(port,), daemon=True)
        self._thread.start()

    def is_waiting(self) -> bool:
        """Whether a request is under way."""
        return self._thread is not None and self._thread.is_alive()

    def _request(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("POST", self._path, self._body, self._headers)
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, http.client.HTTPException):
            self.failure = "connection lost"
            return
        finally:
            connection.close()
        if response.status == http.client.OK:
            self.answer = json.loads(body)
        else:
            self.failure = f"status {response.status}: {body}"
