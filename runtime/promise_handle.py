"""A promise of a workflow, for a program outside of handlers."""

from asyncio import Future
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..journal import keys
from ..journal.entry import Failure
from ..objects.errors import ConflictError, InvalidArgumentError, TerminalError
from ..objects.promise import encode_checked
from ..objects.serde import Serde
from .core import Core
from .failures import error_of, failure_of
from .open_invocation import Result
from .promises import complete_promise, describe_completed, find_promise
from .stack_room import check_room
from .watches import WAIT_ON

T = TypeVar("T")


class PromiseHandle(Generic[T]):
    """One promise of one workflow; ``runtime.promise(Order, "42", "paid", bool)`` makes these.

    Every method is a decision that is taken when it is called; its future is done once that is
    durable. Whether the workflow was started makes no difference: ``run`` sees what was resolved
    before it.
    """

    def __init__(  # a promise has three names
        self, core: Core, service: str, key: str, name: str, serde: Serde[T]
    ) -> None:
        """``Outside.promise`` makes these."""
        self._core = core
        self._workflow = f"{service}/{key}"
        self._object = keys.object_key(service, key)
        self._name = name
        self._serde = serde

    def resolve(self, value: T) -> "Future[None]":
        """Give it its value, of its type.

        Raises:
            InvalidArgumentError: the value is of another type; nothing happened.
            ConflictError: (from the future) it was completed before, and stays as it is.
        """
        return self._complete(encode_checked(self._serde, value))

    def reject(self, reason: str | TerminalError) -> "Future[None]":
        """Have everyone who awaits it get a ``TerminalError``.

        Raises:
            ConflictError: (from the future) it was completed before, and stays as it is.
        """
        error = reason if isinstance(reason, TerminalError) else TerminalError(reason)
        return self._complete(failure_of(error))

    def peek(self) -> "Future[T | None]":
        """What it is resolved with, or ``None`` as long as it is not.

        Raises:
            TerminalError: (from the future) it was rejected.
            InvalidArgumentError: (from the future) its value is of another type.
        """
        core = self._core
        core.check_open()
        result = find_promise(core.commits, self._object, self._name)
        return core.answers.when_durable(self._decoded(result))

    def wait(self) -> "Future[T]":
        """What it is resolved with, once it is, however long that takes.

        Whoever cancels the future is forgotten, and nothing else happens.

        Raises:
            TerminalError: (from the future) it is rejected.
            InvalidArgumentError: (from the future) its value is of another type.
        """
        return self._wait(None, self._decoded)

    def wait_outcome(self, timeout_s: float) -> "Future[bytes | None]":
        """Its value as JSON, whatever its type; ``None``: it has none after so many seconds.

        Raises:
            TerminalError: (from the future) it is rejected.
        """
        return self._wait(
            timeout_s, lambda result: error_of(result) if isinstance(result, Failure) else result
        )

    def complete(self, outcome: bytes | TerminalError) -> "Future[None]":
        """As ``resolve`` with a value that is JSON already, or as ``reject``."""
        return self._complete(
            failure_of(outcome) if isinstance(outcome, TerminalError) else outcome
        )

    def _wait(self, timeout_s: float | None, show: Callable[[Result], Any]) -> "Future[Any]":
        core = self._core
        core.check_open()

        def look() -> Any:
            result = find_promise(core.commits, self._object, self._name)
            return WAIT_ON if result is None else show(result)

        return core.watches.wait(
            keys.promise(self._object, self._name), look, timeout_s, lambda: None
        )

    def _decoded(self, result: Result | None) -> Any:
        if result is None:
            return None
        if isinstance(result, Failure):
            return error_of(result)
        try:
            return self._serde.decode(result)
        except InvalidArgumentError as error:
            return error

    def _complete(self, result: Result) -> "Future[None]":
        core = self._core
        core.check_open()
        check_room()
        if complete_promise(core.lifecycle, self._object, self._name, result):
            return core.answers.when_durable(None)
        message = describe_completed(self._workflow, self._name)
        return core.answers.when_durable(ConflictError(message))
