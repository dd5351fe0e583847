"""What outside is told of an object's state: its values or its JSON, with a tag, now or later.

A tag is a hash of the stored rows: it is another one exactly when these are, it needs no row of its
own, and it is the same after a restart. Of an object that is asked about again and again the tag is
kept in memory until a row of it is written, so asking costs next to nothing while nothing changes.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from ..journal import keys
from ..objects.definition import ServiceDefinition, define
from ..objects.durations import to_duration
from ..objects.errors import HoldfastError, InvalidArgumentError
from ..objects.identity import Target, check_key, parse_invocation_id
from ..objects.serde import json_serde
from .answers import Answers
from .history import History, StoredRows, decode_state
from .lifecycle import Lifecycle
from .state_tags import hash_rows
from .watches import WAIT_ON, Watches

ReadRows = Callable[[], StoredRows]
Show = Callable[[str, ReadRows], Any]
"""What is told of a state: given its tag, and how to read its rows, if that is needed."""

_NAME: Final = json_serde(str)


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """What an object holds, and a tag by which to tell whether it still does.

    Attributes:
        values: a read-only mapping of names to values, as ``runtime.state`` gives it.
        tag: the same for the same stored state, also after a restart; another one for another.
    """

    values: Mapping[str, Any]
    tag: str


def check_since(since: object) -> None:
    """Refuse what cannot be the tag of a snapshot, and so would be answered at once, for ever.

    Raises:
        InvalidArgumentError: it is no text; mostly it is the snapshot itself.
    """
    if since is not None and not isinstance(since, str):
        message = (
            f"since is the tag of a snapshot, as in since=seen.tag, but this is "
            f"{type(since).__name__}: {since!r:.80}"
        )
        raise InvalidArgumentError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateQuestion:
    """What a caller who reads JSON asks about an object.

    Attributes:
        service: the name of its class.
        key: of the object.
        known: tags of states that need not be told again.
        wait_s: how long to wait for a state that has none of these; for the next change, where no
            tag is known. 0: answer at once.
        at: as ``runtime.state``: a past moment, which is not waited for.
        entry: as ``runtime.state``.
    """

    service: str
    key: str
    known: frozenset[str] = frozenset()
    wait_s: float = 0
    at: str | None = None
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class StateDocument:
    """What is answered.

    Attributes:
        tag: as that of a snapshot.
        body: a JSON object of the stored fields; ``None`` where the tag was known already.
        problem: why there is no body although the tag is new: what is stored cannot be read as
            what the class declares now, or JSON cannot say it.
    """

    tag: str
    body: bytes | None
    problem: str | None = None


class StateReads:
    """Reads states for callers outside."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lifecycle: Lifecycle,
        watches: Watches,
        answers: Answers,
    ) -> None:
        """A view; it holds the last document, for as long as others may be given the same."""
        self._loop = loop
        self._registry = lifecycle.registry
        self._history = History(lifecycle)
        self._watches = watches
        self._answers = answers
        self._last: StateDocument | None = None
        self._last_of: tuple[str, str] | None = None

    def wait_snapshot(
        self, cls: type | str, key: str, since: str | None, timeout: timedelta | float | None
    ) -> "asyncio.Future[StateSnapshot]":
        """As ``Outside.wait_state``."""
        limit = None if timeout is None else to_duration(timeout, "the timeout of wait_state")
        check_since(since)
        definition = self._get_keyed(cls)
        object_ = keys.object_key(definition.name, check_key(key))

        def show(tag: str, read_rows: ReadRows) -> StateSnapshot:
            return StateSnapshot(MappingProxyType(decode_state(definition, read_rows())), tag)

        return self._watches.wait(
            keys.STATE + object_,
            lambda: self._read(object_, () if since is None else (since,), show),
            None if limit is None else limit.total_seconds(),
            lambda: self._read(object_, (), show),
        )

    def read_document(self, question: StateQuestion) -> "asyncio.Future[StateDocument]":
        """As ``Outside.read_state``."""
        definition = self._get_keyed(question.service)
        object_ = keys.object_key(definition.name, check_key(question.key))

        def show(tag: str, read_rows: ReadRows) -> StateDocument:
            return self._make_document(definition, tag, read_rows)

        if question.at is not None or question.entry is not None:
            return self._read_past(object_, question, show)
        known = question.known

        def give_up() -> StateDocument:
            found = self._read(object_, known, show)
            return StateDocument(self._find_tag(object_), None) if found is WAIT_ON else found

        try:
            since = known
            if not known and question.wait_s > 0:
                since = frozenset((self._find_tag(object_),))
        except HoldfastError as error:
            return self._answers.when_durable(error)
        return self._watches.wait(
            keys.STATE + object_,
            lambda: self._read(object_, since, show),
            question.wait_s,
            give_up,
        )

    def _read_past(
        self, object_: bytes, question: StateQuestion, show: Callable[..., StateDocument]
    ) -> "asyncio.Future[StateDocument]":
        at = None if question.at is None else parse_invocation_id(question.at)
        target = Target(question.service, question.key, "")
        try:
            moment = self._history.find_moment(target, at, question.entry)
            rows = self._history.read_state(object_, moment)
        except HoldfastError as error:
            return self._answers.when_durable(error)
        tag = hash_rows(rows)
        document = StateDocument(tag, None) if tag in question.known else show(tag, lambda: rows)
        return self._answers.when_durable(document)

    def _read(self, object_: bytes, known: Collection[str], show: Show) -> Any:
        """What ``show`` makes of the state; ``WAIT_ON``: it has one of the tags ``known``.

        Raises:
            NotKeptError: the state is being deleted.
        """
        tag = self._watches.find_tag(keys.STATE + object_)
        if tag is not None and tag in known:
            return WAIT_ON
        if tag is not None:
            return show(tag, lambda: self._history.read_state(object_, None))
        rows = self._history.read_state(object_, None)
        tag = self._keep_tag(object_, rows)
        return WAIT_ON if tag in known else show(tag, lambda: rows)

    def _find_tag(self, object_: bytes) -> str:
        tag = self._watches.find_tag(keys.STATE + object_)
        return tag or self._keep_tag(object_, self._history.read_state(object_, None))

    def _keep_tag(self, object_: bytes, rows: StoredRows) -> str:
        tag = hash_rows(rows)
        self._watches.keep_tag(keys.STATE + object_, tag)
        return tag

    def _make_document(
        self, definition: ServiceDefinition, tag: str, read_rows: ReadRows
    ) -> StateDocument:
        # Thousands may wait for one object; it depends on nothing else.
        made_of = (definition.name, tag)
        if self._last is None or self._last_of != made_of:
            try:
                document = StateDocument(tag, encode_state(definition, read_rows()))
            except InvalidArgumentError as error:
                document = StateDocument(tag, None, error.message)
            self._last, self._last_of = document, made_of
            self._loop.call_soon(self._forget_last)
        return self._last

    def _forget_last(self) -> None:
        self._last = self._last_of = None

    def _get_keyed(self, cls: type | str) -> ServiceDefinition:
        name = cls if isinstance(cls, str) else define(cls).name
        definition = self._registry.get_service(name)
        if not definition.keyed:
            message = f"{name} is a service, which has no keys and no state"
            raise InvalidArgumentError(message)
        return definition


def encode_state(definition: ServiceDefinition, rows: StoredRows) -> bytes:
    """A JSON object of the stored fields in the order of their names, each as its type says.

    Raises:
        InvalidArgumentError: a value is not of the type that is declared now, or JSON cannot say
            it; the message names the field.
    """
    members: list[bytes] = []
    for name, value in decode_state(definition, rows).items():
        field = definition.fields.get(name)
        serde = json_serde(Any if field is None else field.annotation)
        try:
            # An annotation of nothing but ``None`` has no bytes at all.
            encoded = serde.encode(value) or b"null"
        except InvalidArgumentError as error:
            message = f"state field {name!r} cannot be said in JSON: {error.message}"
            raise InvalidArgumentError(message) from error
        members.append(_NAME.encode(name) + b":" + encoded)
    return b"{" + b",".join(members) + b"}"
