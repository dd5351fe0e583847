"""The state of an object behind a server: read, or waited for until it is another one."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from ..objects.definition import ServiceDefinition, define
from ..objects.durations import to_duration
from ..objects.errors import InvalidArgumentError
from ..objects.identity import check_key
from ..objects.promise import encode_checked
from ..objects.serde import json_serde
from ..objects.state_edit import check_given
from ..runtime.state_reads import StateSnapshot, check_since
from .asking import Asker
from .calls import segment
from .exchange import Ask, Reply
from .failures import stranger_error
from .seams import Seams

WAIT_SECONDS: Final = 60.0
"""One request waits for so long; then the next one does."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RemoteStates:
    """Reads states from one server."""

    def __init__(self, asker: Asker, seams: Seams) -> None:
        """Nothing is opened here."""
        self._asker = asker
        self._seams = seams

    async def read(
        self, cls: type | str, key: str, at: str | None, entry: int | None
    ) -> Mapping[str, Any]:
        """As ``Client.state``."""
        given = {"at": at, "entry": entry}
        said = {name: value for name, value in given.items() if value is not None}
        ask = _make_ask(cls, key, urlencode(said))
        answered = await self._asker.get(ask, 200)
        return self._values_of(cls, ask, answered.reply)

    async def wait(
        self,
        cls: type | str,
        key: str,
        since: str | None,
        timeout: timedelta | float | None,  # noqa: ASYNC109  # as that of Runtime
    ) -> StateSnapshot:
        """As ``Client.wait_state``."""
        limit = None if timeout is None else to_duration(timeout, "the timeout of wait_state")
        check_since(since)
        left = None if limit is None else limit.total_seconds()
        deadline = None if left is None else self._seams.monotonic() + left
        while since is not None and since.isalnum() and since.isascii():
            wait_s = WAIT_SECONDS if left is None else min(WAIT_SECONDS, left)
            if wait_s <= 0:
                break
            query = f"wait={max(1, round(wait_s * 1000))}"
            ask = _make_ask(cls, key, query, {"if-none-match": f'"{since}"'})
            reply = (await self._asker.get(ask, 200, 304)).reply
            if reply.status == 200:
                return self._snapshot_of(cls, ask, reply)
            left = None if deadline is None else deadline - self._seams.monotonic()
        ask = _make_ask(cls, key, "")
        answered = await self._asker.get(ask, 200)
        return self._snapshot_of(cls, ask, answered.reply)

    def _snapshot_of(self, cls: type | str, ask: Ask, reply: Reply) -> StateSnapshot:
        tag = reply.headers.get("etag", "").removeprefix("W/").strip('"')
        return StateSnapshot(self._values_of(cls, ask, reply), tag)

    def _values_of(self, cls: type | str, ask: Ask, reply: Reply) -> Mapping[str, Any]:
        """What is stored: of the types that the class declares, and builtins where it does not."""
        try:
            fields = _FIELDS.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Pages of others have tags as well.
            raise stranger_error(ask, reply, self._asker.server) from error
        values = {
            name: json_serde(_annotation_of(cls, name)).decode(bytes(raw))
            for name, raw in fields.items()
        }
        return MappingProxyType(values)


def values_as_json(
    cls: type | str, values: Mapping[str, Any], version: str | None
) -> dict[str, msgspec.Raw]:
    """JSON of values of the types that the class declares.

    Raises:
        InvalidArgumentError: one does not fit, which the message names, or ``values`` is no
            mapping, or ``version`` no version.
    """
    check_given(values, version)
    encoded: dict[str, msgspec.Raw] = {}
    for name, value in values.items():
        serde = json_serde(_annotation_of(cls, name))
        try:
            encoded[name] = msgspec.Raw(encode_checked(serde, value))
        except InvalidArgumentError as error:
            message = f"field {name!r:.80}: {error.message}"
            raise InvalidArgumentError(message) from error.__cause__
    return encoded


def _make_ask(
    cls: type | str, key: str, query: str, headers: Mapping[str, str] | None = None
) -> Ask:
    definition = _definition_of(cls)
    name = str(cls) if definition is None else definition.name
    if definition is not None and not definition.keyed:
        message = f"{name} is a service, which has no keys and no state"
        raise InvalidArgumentError(message)
    path = f"/{segment(name)}/{segment(check_key(key))}"
    return Ask(
        method="GET",
        is_question=True,
        mark="etag",
        path=f"{path}?{query}" if query else path,
        what=f"the reading of {name}/{key}",
        headers=headers or {},
    )


def _definition_of(cls: type | str) -> ServiceDefinition | None:
    return None if isinstance(cls, str) else define(cls)


def _annotation_of(cls: type | str, name: str) -> Any:
    """The type that the class declares for a field; any where it, or the class, is not known."""
    definition = _definition_of(cls)
    field = None if definition is None else definition.fields.get(name)
    return Any if field is None else field.annotation
