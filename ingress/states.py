"""Reading the state of an object without calling it.

The answer is a JSON object of the stored fields and carries an ``etag``, which is another one
exactly when what is stored is. ``if-none-match`` with that tag has it answered with 304 and no body
as long as nothing has changed, and ``?wait=30s`` keeps it waiting until something has.
"""

import re
from dataclasses import dataclass, replace

from ..objects.errors import InvalidArgumentError
from ..runtime.state_reads import StateDocument, StateQuestion
from .call_paths import NOT_PUBLIC
from .messages import Head, Response
from .methods import check_method
from .port import IngressEngine
from .problems import Refusal, RefusedError
from .state_paths import StatePath, parse_state_query
from .unknown_names import misshapen
from .waits import Waits

_TAG = re.compile(r'(?:W/)?"([^"]*)"[ \t]*(?:,[ \t]*|$)')
_ANY = "*"


@dataclass(frozen=True, slots=True)
class StateRead:
    """A reading whose head is in order."""

    engine: IngressEngine
    waits: Waits
    question: StateQuestion
    is_any_known: bool
    """Whether the caller has a state already and does not say which."""

    async def answer(self, body: bytes) -> Response:
        """Read the state, once it is another one where that is asked for; see ``door.Opened``."""
        del body
        question = self.question
        if self.is_any_known and question.wait_s > 0:
            known = await self.engine.read_state(replace(question, wait_s=0))
            question = replace(question, known=frozenset((known.tag,)))
        document = await self.waits.wait(
            lambda wait_s: self.engine.read_state(replace(question, wait_s=wait_s)),
            question.wait_s,
        )
        return self._respond(document)

    def _respond(self, document: StateDocument) -> Response:
        if document.problem is not None:
            raise RefusedError(Refusal.UNREADABLE, document.problem)
        headers = {"etag": f'"{document.tag}"', "cache-control": "private, no-cache"}
        is_known = self.is_any_known and self.question.wait_s == 0
        if document.body is None or is_known:
            return Response(304, headers, b"")
        headers["content-type"] = "application/json"
        return Response(200, headers, document.body)


def open_state(
    engine: IngressEngine, waits: Waits, path: StatePath, query: str, head: Head
) -> StateRead:
    """Check the method, the query and the tags that the caller knows.

    Raises:
        InvalidArgumentError: it is a call that names no handler, something is malformed, or the
            class is not for HTTP.
        RefusedError: it is a method that nothing here takes.
    """
    if path.service.is_private:
        raise InvalidArgumentError(NOT_PUBLIC)
    if head.method == "POST":
        raise misshapen(path.service)
    check_method(head, "GET", "HEAD")
    said = parse_state_query(query)
    written = head.headers.get("if-none-match")
    is_any_known = written is not None and written.strip() == _ANY
    question = StateQuestion(
        service=path.service.name,
        key=path.key,
        known=frozenset() if written is None or is_any_known else _parse_tags(written),
        wait_s=said.wait_s,
        at=said.at,
        entry=said.entry,
    )
    return StateRead(engine, waits, question, is_any_known)


def _parse_tags(written: str) -> frozenset[str]:
    """The tags that ``if-none-match`` lists.

    Raises:
        InvalidArgumentError: it lists something else.
    """
    tags: set[str] = set()
    text, position = written.strip(), 0
    while position < len(text):
        match = _TAG.match(text, position)
        if match is None:
            message = (
                f"bad if-none-match header {written!r:.80}: send an etag as it was received, with "
                f'its quotes: "0123abcd"'
            )
            raise InvalidArgumentError(message)
        tags.add(match[1])
        position = match.end()
    return frozenset(tags)
