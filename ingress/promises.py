"""Promises of workflows, from outside: their value, now or once there is one, and completing them.

A promise belongs to the key. It may be completed before the workflow is started and after it has
ended, so nothing here asks whether it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..objects.errors import NotReadyError, TerminalError
from ..runtime.promise_handle import PromiseHandle
from .completions import Verb, parse_completion
from .messages import Head, Response
from .methods import check_method
from .part_paths import PromisePath
from .port import IngressEngine
from .problems import response_of_outcome
from .queries import parse_parameters, refuse_parameters
from .waits import Waits, parse_wait


@dataclass(frozen=True, slots=True)
class PromiseRead:
    """The question what a promise is completed with."""

    engine: IngressEngine
    waits: Waits
    path: PromisePath
    wait_s: float

    async def answer(self, body: bytes) -> Response:
        """Give the value, or the failure it was rejected with; see ``door.Opened``.

        Raises:
            NotReadyError: it is not completed.
        """
        del body
        promise = _find(self.engine, self.path)
        try:
            value = await self.waits.wait(promise.wait_outcome, self.wait_s)
        except TerminalError as error:
            return response_of_outcome(error, {})
        if value is None:
            path = self.path
            message = f"the promise {path.name!r} of {path.workflow}/{path.key} is not completed"
            raise NotReadyError(message)
        return Response(200, {"content-type": "application/json"}, value)


@dataclass(frozen=True, slots=True)
class PromiseCompletion:
    """The completion of a promise whose head is in order."""

    engine: IngressEngine
    path: PromisePath
    verb: Verb
    headers: Mapping[str, str]

    async def answer(self, body: bytes) -> Response:
        """Complete it; see ``door.Opened``.

        Raises:
            ConflictError: it was completed before, and stays as it is.
        """
        outcome = parse_completion(self.verb, self.headers, body, "promise")
        await _find(self.engine, self.path).complete(outcome)
        return Response(202, {}, b"")


def open_promise(
    engine: IngressEngine, waits: Waits, path: PromisePath, query: str, head: Head
) -> PromiseRead | PromiseCompletion:
    """Check the method and the query.

    Raises:
        RefusedError: it is another method than what the path takes.
        InvalidArgumentError: there are other query parameters, or the wait is no duration.
    """
    if path.verb is None:
        check_method(head, "GET")
        given = parse_parameters(query, ("wait",), "there is 'wait'")
        return PromiseRead(engine, waits, path, parse_wait(given.get("wait")))
    check_method(head, "POST")
    refuse_parameters(query)
    return PromiseCompletion(engine, path, path.verb, head.headers)


def _find(engine: IngressEngine, path: PromisePath) -> "PromiseHandle[object]":
    return engine.promise(path.workflow, path.key, path.name)
