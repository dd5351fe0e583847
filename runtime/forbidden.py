"""What does not exist on a handler's loop, and how its absence is explained.

A handler is replayed, so whatever it does to the world outside it would do again: every method of
an event loop that reaches outside raises instead, at the call and not at the first ``await``. The
message says who, where, what and what to do:

    Assistant/sam/ask (inv_…): asyncio.to_thread at assistant.py:12 reaches a thread. …

This module finds the line and writes the sentence. It runs nothing.
"""

import asyncio
import gc
import os
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from types import AsyncGeneratorType, CodeType, FrameType, TracebackType
from typing import Any, Final, NoReturn

from ..objects.errors import ForbiddenInHandlerError

_CURE: Final = 'Wrap it in a step: await ctx.run("name", function, ...).'
_SHARED: Final = (
    "Locks, queues, events and tasks cannot be shared between handlers: make them inside the "
    "handler, or call another object."
)
_MADE_INSIDE: Final = (
    "What a step uses and is of one event loop, such as a client's session, has to be made in the "
    "step, not in the handler."
)
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120  # must not resolve links: frames do not
_STDLIB: Final = tuple(sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib"))
_ASYNCIO: Final = os.path.dirname(asyncio.__file__) + os.sep  # noqa: PTH120
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

# What a coroutine awaits while an async generator works for it. Python does not name the types.
_GENERATOR_STEPS: Final = frozenset(
    {"async_generator_asend", "async_generator_athrow", "anext_awaitable"}
)

Place = tuple[CodeType, int]
"""Code, and a line in its file."""

UNKNOWN_LINE: Final = "an unknown line"

# What asyncio says when something that belongs to one loop is used on another.
_OTHER_LOOP: Final = ("different event loop", "different loop", "belongs to a different loop")


def is_user_file(name: str) -> bool:
    """Whether a file is neither Python's, nor Holdfast's, nor an installed library's."""
    return not (
        name.startswith(("<", _PACKAGE, *_STDLIB)) or any(part in name for part in _INSTALLED)
    )


def shown(thing: object, show: Callable[[object], str] = str) -> str:
    """The text of something that is a stranger's: what shows it may raise whatever it likes."""
    try:
        return show(thing)
    except Exception as raised:  # noqa: BLE001  # as just said
        return f"(it cannot be shown: {type(raised).__name__})"


def is_asyncio_file(name: str) -> bool:
    """Whether a file is part of asyncio."""
    return name.startswith(_ASYNCIO)


def find_line(places: Sequence[Place], source_files: Sequence[str]) -> str | None:
    """Name the line of user code nearest to what happened, as ``file:line``.

    Args:
        places: the innermost first.
        source_files: files that count as the user's wherever they are installed.
    """
    for wanted in (is_user_file, source_files.__contains__):
        for code, line in places:
            if wanted(code.co_filename):
                return f"{code.co_filename}:{line}"
    return None


def walk_stack(frame: FrameType | None) -> Iterator[Place]:
    """Give the places on this stack, the innermost first, up to the pump that runs the handler."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "pump" and code.co_filename.startswith(_PACKAGE):
            return
        yield code, frame.f_lineno
        frame = frame.f_back


def walk_traceback(traceback: TracebackType | None) -> list[Place]:
    """Give the places an exception passed, the innermost first."""
    places: list[Place] = []
    while traceback is not None:
        places.append((traceback.tb_frame.f_code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return places[::-1]


def walk_suspended(coroutine: object) -> list[Place]:
    """Give the places in which a suspended coroutine waits, the innermost first."""
    frames = (
        _first_of(inner, "cr_frame", "gi_frame", "ag_frame") for inner in walk_awaits(coroutine)
    )
    return [(frame.f_code, frame.f_lineno) for frame in frames if frame is not None][::-1]


def walk_awaits(coroutine: object) -> Iterator[object]:
    """Give a suspended coroutine, what it waits for, what that waits for, and so on."""
    while coroutine is not None:
        yield coroutine
        if is_generator_step(coroutine):
            # It does not say whose step it is, but the collector has to know.
            referents = gc.get_referents(coroutine)
            coroutine = next(filter(_is_below_step, referents), None)
        else:
            coroutine = _first_of(coroutine, "cr_await", "gi_yieldfrom", "ag_await")


def is_generator_step(awaitable: object) -> bool:
    """Whether this is what a coroutine awaits while an async generator works for it."""
    return type(awaitable).__name__ in _GENERATOR_STEPS


def _is_below_step(thing: object) -> bool:
    return isinstance(thing, AsyncGeneratorType) or is_generator_step(thing)


def _first_of(source: object, *names: str) -> Any:
    return next((getattr(source, name) for name in names if hasattr(source, name)), None)


class HandlerStack:
    """Where a handler is, looked at when it did something it may not do."""

    def __init__(self, frame: FrameType, main: object, source_files: Sequence[str]) -> None:
        """Look at the stack from ``frame`` outwards; ``main`` is the handler's coroutine."""
        self._places = list(walk_stack(frame))
        self._main = main
        self._source_files = source_files

    @property
    def line(self) -> str:
        """The user's line.

        A task whose own code is all of libraries (``gather(to_thread(...))``) is on nobody's
        line; then it is the line on which the handler itself waits.
        """
        return (
            find_line(self._places, self._source_files)
            or find_line(walk_suspended(self._main), self._source_files)
            or UNKNOWN_LINE
        )

    def name_touched(self, method: str) -> str:
        """Name what the user called: the public function of asyncio if there was one."""
        name = f"loop.{method}"
        for code, _ in self._places:
            if is_asyncio_file(code.co_filename):
                if not code.co_name.startswith("_"):
                    name = f"asyncio.{code.co_name}"
            elif not code.co_filename.startswith(_PACKAGE):
                break
        return name


def outside_error(who: str, stack: HandlerStack, method: str, what: str) -> ForbiddenInHandlerError:
    """Make the error for a method that reaches outside."""
    return _outside_error(who, stack, stack.name_touched(method), what)


def thread_error(who: str, stack: HandlerStack) -> ForbiddenInHandlerError:
    """Make the error for a function that anyio would run in a thread of its own."""
    return _outside_error(who, stack, "anyio.to_thread.run_sync", _THREAD)


def _outside_error(
    who: str, stack: HandlerStack, touched: str, what: str
) -> ForbiddenInHandlerError:
    return ForbiddenInHandlerError(
        f"{who}: {touched} at {stack.line} reaches {what}, which would happen again whenever the "
        f"handler is replayed. {_CURE}"
    )


def stuck_reason(lines: Sequence[str]) -> str:
    """Say why a handler that waits on ``lines``, and for nothing else, will never end."""
    return (
        f"at {', '.join(lines)} it waits for something that nothing can bring about. A queue or "
        f"an event that a step, a thread or another event loop fills never reaches a handler, nor "
        f"does a lock or a semaphore that another handler holds. Take what a step returns; for one "
        f"at a time, call an object, whose key has one turn. A library that has threads of its "
        f"own, too, belongs in a step: await "
        f'ctx.run("name", function, ...).'
    )


def shared_error(who: str, whose: str, stack: HandlerStack) -> ForbiddenInHandlerError:
    """Make the error for a handler that woke what waits in another handler."""
    return ForbiddenInHandlerError(
        f"{who}: {stack.line} woke something that belongs to another handler, {whose}. {_SHARED}",
        may_pass=True,
    )


def woken_error(whose: str, stack: HandlerStack) -> ForbiddenInHandlerError:
    """Make the error for code outside of handlers that woke what waits in one."""
    return ForbiddenInHandlerError(
        f"{whose}: {stack.line} woke or scheduled something of the handler from outside of it. "
        f"That would not happen again on a replay: return a value from a step, or resolve an "
        f"awakeable. "
        f"{_MADE_INSIDE}",
        may_pass=True,
    )


def used_outside_error(whose: str, stack: HandlerStack, method: str) -> ForbiddenInHandlerError:
    """Make the error for code outside of handlers, such as a step's, that uses a handler's loop."""
    return ForbiddenInHandlerError(
        f"{whose}: {stack.line} asks the handler's event loop for {method} from outside of the "
        f"handler. {_MADE_INSIDE}"
    )


def explain_other_loop(
    who: str, error: BaseException, source_files: Sequence[str]
) -> ForbiddenInHandlerError | None:
    """Say in Holdfast's words what asyncio says when a handler waits on another's lock or task.

    Gives ``None`` for every other exception.
    """
    if type(error) not in (RuntimeError, ValueError):
        return None
    said = shown(error)
    if not any(words in said for words in _OTHER_LOOP):
        return None
    line = find_line(walk_traceback(error.__traceback__), source_files) or UNKNOWN_LINE
    explained = ForbiddenInHandlerError(
        f"{who}: {line} waits for something that belongs to another handler or to the program "
        f"around it ({said}). {_SHARED}",
        may_pass=True,
    )
    explained.__cause__ = error
    return explained


def _absent(method: str, what: str) -> Any:
    def refuse(self: "LoopWithoutOutside", *_args: object, **_options: object) -> NoReturn:
        self.forbid(method, what)

    refuse.__name__ = method
    return refuse


_NETWORK: Final = "the network"
_PROCESS: Final = "another process"
_THREAD: Final = "a thread"
_FILE: Final = "a file descriptor"
_SIGNAL: Final = "the signals of this process"


class LoopWithoutOutside(asyncio.AbstractEventLoop):
    """An event loop of which every way outside is closed."""

    def forbid(self, method: str, what: str) -> NoReturn:
        """Refuse the call of ``method``, which reaches ``what``."""
        raise NotImplementedError

    run_in_executor = _absent("run_in_executor", _THREAD)
    set_default_executor = _absent("set_default_executor", _THREAD)
    shutdown_default_executor = _absent("shutdown_default_executor", _THREAD)

    getaddrinfo = _absent("getaddrinfo", _NETWORK)
    getnameinfo = _absent("getnameinfo", _NETWORK)
    create_connection = _absent("create_connection", _NETWORK)
    create_server = _absent("create_server", _NETWORK)
    create_unix_connection = _absent("create_unix_connection", _NETWORK)
    create_unix_server = _absent("create_unix_server", _NETWORK)
    create_datagram_endpoint = _absent("create_datagram_endpoint", _NETWORK)
    connect_accepted_socket = _absent("connect_accepted_socket", _NETWORK)
    start_tls = _absent("start_tls", _NETWORK)
    sendfile = _absent("sendfile", _NETWORK)
    sock_accept = _absent("sock_accept", _NETWORK)
    sock_connect = _absent("sock_connect", _NETWORK)
    sock_recv = _absent("sock_recv", _NETWORK)
    sock_recv_into = _absent("sock_recv_into", _NETWORK)
    sock_recvfrom = _absent("sock_recvfrom", _NETWORK)
    sock_recvfrom_into = _absent("sock_recvfrom_into", _NETWORK)
    sock_sendall = _absent("sock_sendall", _NETWORK)
    sock_sendfile = _absent("sock_sendfile", _NETWORK)
    sock_sendto = _absent("sock_sendto", _NETWORK)

    connect_read_pipe = _absent("connect_read_pipe", _FILE)
    connect_write_pipe = _absent("connect_write_pipe", _FILE)
    add_reader = _absent("add_reader", _FILE)
    remove_reader = _absent("remove_reader", _FILE)
    add_writer = _absent("add_writer", _FILE)
    remove_writer = _absent("remove_writer", _FILE)

    subprocess_exec = _absent("subprocess_exec", _PROCESS)
    subprocess_shell = _absent("subprocess_shell", _PROCESS)

    add_signal_handler = _absent("add_signal_handler", _SIGNAL)
    remove_signal_handler = _absent("remove_signal_handler", _SIGNAL)
