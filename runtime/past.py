"""What a program outside asks about an object's past: to read it, or to begin another with it.

A fork writes rows of one object only, the new one, which has none; it never touches a key that is
in use. Rows are copied as they are: nothing is decoded, however long a value is.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..journal import keys
from ..objects.definition import ServiceDefinition, define
from ..objects.errors import (
    ConflictError,
    InvalidArgumentError,
    NotKeptError,
    UnknownTargetError,
)
from ..objects.identity import (
    InvocationId,
    Target,
    check_key,
    format_invocation_id,
    parse_invocation_id,
)
from ..objects.whole_numbers import check_whole
from .core import Core
from .disk_room import check_room
from .history import History, StoredRows, decode_state
from .state_table import StateTable

REFUSALS = (ConflictError, InvalidArgumentError, NotKeptError, UnknownTargetError)
"""What a question about the past may be answered with, once that is durable."""


class Past:
    """The past of all objects of a started runtime."""

    def __init__(self, core: Core) -> None:
        """A view; it holds nothing."""
        self._core = core
        self._history = History(core.lifecycle)
        self._table = StateTable(core.commits, core.clock)

    def read(
        self, cls: type | str, key: str, at: str | None, entry: int | None
    ) -> "asyncio.Future[Mapping[str, Any]]":
        """As ``Outside.state``."""
        definition, id_ = self._get_keyed(cls), _parse(at)
        key = check_key(key)
        try:
            rows = self._find(definition, key, id_, entry)
            values = decode_state(definition, rows)
        except REFUSALS as error:
            return self._core.answers.when_durable(error)
        return self._core.answers.when_durable(MappingProxyType(values))

    def fork(
        self, cls: type | str, key: str, to: str, at: str | None, entry: int | None
    ) -> "asyncio.Future[None]":
        """As ``Outside.fork``."""
        core = self._core
        definition, id_ = self._get_keyed(cls), _parse(at)
        if definition.kind == "workflow":
            message = (
                f"{definition.name} is a workflow, which runs once per key from the beginning, so "
                f"there is nothing to fork; start another one"
            )
            raise InvalidArgumentError(message)
        to, key = check_key(to), check_key(key)
        if to == key:
            message = f"{definition.name}/{key} cannot be forked onto itself: give another key"
            raise InvalidArgumentError(message)
        check_room(core.store)
        try:
            rows = self._find(definition, key, id_, entry)
            self.check_unused(definition.name, to)
        except REFUSALS as error:
            return core.answers.when_durable(error)
        self.write_new(keys.object_key(definition.name, to), core.lifecycle.next_sequence(), rows)
        return core.answers.when_durable(None)

    def check_unused(self, service: str, key: str) -> None:
        """See that a key is in nobody's use, so that rows may be written there.

        Raises:
            ConflictError: it has state, or somebody holds or waits for its turn.
        """
        object_ = keys.object_key(service, key)
        holder = self._core.lifecycle.mailboxes.find_holder(object_)
        if holder is not None:
            message = (
                f"{service}/{key} is in use: {format_invocation_id(holder)} has its turn; a fork "
                f"goes to a key that nobody has used"
            )
            raise ConflictError(message)
        names = self._table.names(object_)
        if names:
            message = (
                f"{service}/{key} has state already, for example {min(names)!r}; a fork goes to a "
                f"key that nobody has used"
            )
            raise ConflictError(message)

    def write_new(self, object_: bytes, sequence: int, rows: StoredRows) -> None:
        """Stage the rows of an object that has none."""
        # Live values of the time when the object was empty, perhaps.
        self._core.attempts.take_values(object_)
        for name, parts in rows.items():
            for part, row in parts.items():
                self._table.write(object_, sequence, name, part, row, None)

    def _find(
        self,
        definition: ServiceDefinition,
        key: str,
        at: InvocationId | None,
        entry: int | None,
    ) -> StoredRows:
        if entry is not None:
            check_whole(entry, "entry")
        moment = self._history.find_moment(Target(definition.name, key, ""), at, entry)
        return self._history.read_state(keys.object_key(definition.name, key), moment)

    def _get_keyed(self, cls: type | str) -> ServiceDefinition:
        name = cls if isinstance(cls, str) else define(cls).name
        definition = self._core.registry.get_service(name)
        if not definition.keyed:
            message = f"{name} is a service, which has no keys and no state"
            raise InvalidArgumentError(message)
        return definition


def _parse(at: str | None) -> InvocationId | None:
    return None if at is None else parse_invocation_id(at)
