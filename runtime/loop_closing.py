"""How what a dropped attempt has left unfinished is ended.

An attempt may be dropped while its coroutines are suspended. Left to the garbage collector they
would run the user's ``finally`` at any moment and on any loop, so they are closed here, one by one:
``GeneratorExit`` is raised where they wait. Code that awaits again while it is being closed does
not get an answer, it gets another ``GeneratorExit``.

The module also keeps a loop's async generators, which need the same at the end, and are the one
thing a garbage collector may finish while the attempt lives.
"""

import asyncio
import sys
from asyncio import tasks
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextvars import Context
from types import CodeType
from typing import Any, Final
from weakref import ref

from ..objects.errors import ContextMisuseError
from .forbidden import (
    UNKNOWN_LINE,
    find_line,
    is_asyncio_file,
    is_generator_step,
    shown,
    walk_awaits,
    walk_suspended,
)

Report = Callable[[str, BaseException | None], None]

# How often a coroutine may answer GeneratorExit with another await before it is given up.
_CLOSES_MAX: Final = 100
_IGNORED: Final = "ignored GeneratorExit"
_FAILED: Final = "clean-up failed when the attempt was dropped"


def forgive_held(entries: Sequence[tuple[asyncio.Task[Any], Context]]) -> None:
    """Have nothing said of failed tasks that somebody holds, and so may look at in a next attempt.

    ``gather(return_exceptions=True)`` looks at none before all are done, and a handler may keep a
    task for as long as it likes. What nobody holds nobody will look at: asyncio says so of it when
    it goes, by the same count.
    """
    pairs: Sequence[tuple[Any, Context]] = entries
    for index, _ in enumerate(pairs):
        if _count_references(pairs, index) > _UNHELD:
            pairs[index][0]._log_traceback = False  # noqa: SLF001


def _count_references(entries: Sequence[tuple[Any, Any]], index: int) -> int:
    """Of the task of an entry. Pythons differ in what is one."""
    return sys.getrefcount(entries[index][0])


_UNHELD: Final = _count_references([(object(), None)], 0)


def close_task(task: asyncio.Task[Any], context: Context, report: Report) -> None:
    """End the coroutine of a task that is not done. The task itself stays pending for ever."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # it will be destroyed pending
    loop = task.get_loop()
    tasks._enter_task(loop, task)  # noqa: SLF001  # cancel scopes ask for the current task
    try:
        context.run(close_coroutine, task.get_coro(), report)
    finally:
        tasks._leave_task(loop, task)  # noqa: SLF001


def close_coroutine(coroutine: Any, report: Report) -> None:
    """Raise ``GeneratorExit`` in a coroutine until it has ended.

    What its clean-up raises is reported, but for the refusal of what it asks of the attempt: a
    ``finally`` that sets a state field or begins a step does so in the next attempt. So is the
    line of an ``await`` in user code that got no answer; that a task group or a timeout waits when
    it is left is nobody's doing.
    """
    is_reported = False
    for _ in range(_CLOSES_MAX):
        try:
            _end_generators(coroutine, report)
            coroutine.close()
        except ContextMisuseError:
            return
        except BaseException as error:  # noqa: BLE001  # the user's clean-up must not stop ours
            if _IGNORED not in shown(error):
                report(_FAILED, error)
                return
        else:
            return
        places = walk_suspended(coroutine)
        if not is_reported and places and not _is_leaving(places[0][0]):
            is_reported = True
            line = find_line(places, ()) or UNKNOWN_LINE
            report(
                f"{line} waited in clean-up; the attempt was dropped, so it waited in vain", None
            )
    report("a coroutine cannot be ended: it catches GeneratorExit and awaits again", None)


def _is_leaving(code: CodeType) -> bool:
    # In a function of its own from some releases of 3.13 on.
    return code.co_name in {"__aexit__", "_aexit"} and is_asyncio_file(code.co_filename)


def _end_generators(coroutine: object, report: Report) -> None:
    """End the async generators a coroutine waits for, the innermost first.

    Before Python 3.13, closing a coroutine leaves them suspended, and for ever marked as running,
    so that they could not be ended afterwards either.
    """
    for step in reversed(list(filter(is_generator_step, walk_awaits(coroutine)))):
        _throw_until_ended(step, report)


def close_generator(generator: AsyncGenerator[Any, Any], report: Report) -> None:
    """Raise ``GeneratorExit`` in an async generator until it has ended."""
    _throw_until_ended(generator.aclose(), report)


def _throw_until_ended(awaitable: Any, report: Report) -> None:
    for _ in range(_CLOSES_MAX):
        try:
            awaitable.throw(GeneratorExit())
        except (GeneratorExit, StopIteration, StopAsyncIteration, ContextMisuseError):
            return
        except BaseException as error:  # noqa: BLE001  # the user's clean-up must not stop ours
            report(_FAILED, error)
            return
    report("an async generator cannot be ended: it catches GeneratorExit and awaits again", None)


class AsyncGenerators:
    """The async generators that were begun on a loop, in the order in which they began.

    They are held weakly, since one that was used up or dropped needs no end. One that the garbage
    collector found is kept instead: when it finds something differs between runs, so what ends a
    generator must not depend on it.
    """

    def __init__(self) -> None:
        """Begin with none."""
        # By address; a dead reference marks an address that may be used again.
        self._begun: dict[int, Callable[[], AsyncGenerator[Any, Any] | None]] = {}
        # Beyond this many, what is finished is looked for and forgotten.
        self._kept_max = 64

    def add(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Note a generator that begins."""
        # Out first: an address that is used again must get a new place.
        self._begun.pop(id(generator), None)
        self._begun[id(generator)] = ref(generator)
        if len(self._begun) > self._kept_max:
            self._begun = {
                key: find for key, find in self._begun.items() if not _is_finished(find())
            }
            self._kept_max = 2 * len(self._begun) + 64

    def discard(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Forget a generator that is being ended."""
        self._begun.pop(id(generator), None)

    def keep(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Hold a generator that nobody else holds, in the place it has."""
        self._begun[id(generator)] = lambda: generator

    def take_unfinished(self) -> Iterator[AsyncGenerator[Any, Any]]:
        """Give what is unfinished, the oldest first, and forget it; until there is no more."""
        while self._begun:
            find = self._begun.pop(next(iter(self._begun)))
            generator = find()
            if generator is not None and not _is_finished(generator):
                yield generator

    @property
    def has_unfinished(self) -> bool:
        """Whether anything is left to end."""
        return any(not _is_finished(find()) for find in self._begun.values())


def _is_finished(generator: AsyncGenerator[Any, Any] | None) -> bool:
    return generator is None or generator.ag_frame is None  # type: ignore[attr-defined]
