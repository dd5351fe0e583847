"""What callers outside wait for: each answer leaves once what it depends on is durable."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from ..journal.entry import Failure
from ..objects.identity import InvocationId
from .commits import Commits
from .failures import error_of
from .open_invocation import Result
from .outcomes import Outcomes
from .requests import Answer

T = TypeVar("T")


class Answers:
    """The futures of all callers outside that have no answer yet."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, commits: Commits, outcomes: Outcomes
    ) -> None:
        """Begin with none."""
        self._loop = loop
        self._commits = commits
        self._outcomes = outcomes
        # In the order in which they were asked for: a set would go by address when all are refused,
        # and what a runtime does is to follow from what it was given.
        self._open: dict[asyncio.Future[Any], None] = {}

    def when_durable(self, answer: Any) -> "asyncio.Future[Any]":
        """A future that has ``answer``, or raises it, once what was decided so far is durable."""
        future = self._loop.create_future()
        self._open[future] = None
        self._commits.when_durable(partial(self.settle, future, answer))
        return future

    def with_outcome(self, id_: InvocationId, answer: Answer) -> "asyncio.Future[Answer]":
        """A future that has ``answer`` with the outcome of an invocation that is not completed."""
        future = OutcomeFuture(loop=self._loop)
        future.answers, future.id_, future.answer = self, id_, answer
        self._open[future] = None
        self._outcomes.when_completed(id_, future.tell)
        return future

    def settle(self, future: "asyncio.Future[Any]", answer: Any) -> None:
        """Give ``future`` its answer, which is durable, or raise it there."""
        self._open.pop(future, None)
        if future.done():
            return  # The caller has gone; the invocation goes on.
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def forget(self, future: "OutcomeFuture") -> None:
        """Nobody waits for ``future`` any more."""
        self._open.pop(future, None)
        self._outcomes.forget_waiter(future.id_, future.tell)

    def when_told(
        self, forget: Callable[[], None]
    ) -> "tuple[asyncio.Future[Any], Callable[[Any], None]]":
        """A future, and who is to be told its answer, which it has once that is durable.

        ``forget`` is called if the future is cancelled before.
        """

        def give_up() -> None:
            self._open.pop(future, None)
            forget()

        future: GivenUpFuture[Any] = GivenUpFuture(loop=self._loop)
        future.forget = give_up
        self._open[future] = None
        return future, lambda answer: self._commits.when_durable(
            partial(self.settle, future, answer)
        )

    def refuse_all(self, kind: Callable[[str], Exception], message: str) -> None:
        """Raise an error in every future that still waits."""
        for future in list(self._open):
            self._open.pop(future, None)
            if not future.done():
                future.set_exception(kind(message))

    def __len__(self) -> int:
        """How many still wait."""
        return len(self._open)


class OutcomeFuture(asyncio.Future[Answer]):
    """An outcome that somebody outside waits for, perhaps for days, and may stop to wait for.

    Each call makes one, so it has neither an ``__init__``, which would take longer than all of the
    future's, nor closures, which the garbage collector would have to look through.
    """

    __slots__ = ("answer", "answers", "id_")

    answers: Answers
    id_: InvocationId
    answer: Answer
    """What is told with the outcome."""

    def tell(self, result: Result) -> None:
        """The outcome is durable."""
        self.answers.settle(self, add_outcome(self.answer, result))

    def cancel(self, msg: Any | None = None) -> bool:
        """As ``Future.cancel``; the invocation goes on, and nothing is kept for this caller."""
        self.answers.forget(self)
        return super().cancel(msg)


class GivenUpFuture(asyncio.Future[T]):
    """Anything else that somebody outside waits for and may stop to wait for."""

    __slots__ = ("forget",)

    forget: Callable[[], None]
    """Called if the wait is given up. Set it at once."""

    def cancel(self, msg: Any | None = None) -> bool:
        """As ``Future.cancel``; the invocation goes on, and nothing is kept for this caller."""
        self.forget()
        return super().cancel(msg)


def add_outcome(answer: Answer, result: Result) -> Answer:
    """``answer`` with the outcome that ``result`` records."""
    outcome = error_of(result) if isinstance(result, Failure) else result
    return replace(answer, outcome=outcome)
