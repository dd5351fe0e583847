"""The verbs a handler may use. What answers them is behind the port, in ``syscalls``.

Whatever may take long gives back a future, and the command exists when the call returns, whether
or not anyone awaits it: two steps that are started and then awaited run side by side.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from logging import Logger
from random import Random
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, Unpack, cast, overload
from uuid import UUID

from . import proxy
from .actions import make_action
from .awakeable import Awakeable, make_question
from .call_options import CallKeywords, inside_options
from .durations import to_duration
from .errors import ContextMisuseError, TerminalError
from .fields import StateField
from .identity import check_label, parse_awakeable_id, parse_invocation_id
from .inbox import Inbox
from .promise import Promise
from .proxy import NO_ARGUMENT
from .retry import RetryPolicy
from .saga import Saga
from .serde import SENT_JSON, asked_serde
from .shield import Shield
from .step import STEP_OPTIONS, Step, check_no_options, make_step_options
from .syscalls import OnUnknown, StepOptions, Syscalls

if TYPE_CHECKING:
    # Importing asyncio takes longer than all of Holdfast's objects.
    from asyncio import Future

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_DEFAULT_STEP: Final = StepOptions()


class Context:
    """What a handler may ask for, while it runs and nowhere else.

    Using it in the action of a step, or after the handler has ended, raises
    ``ContextMisuseError`` and has no effect.
    """

    __slots__ = ("_fields", "_syscalls")

    def __init__(self, syscalls: Syscalls) -> None:
        """For runtimes and tests: a context over whatever answers the port."""
        self._syscalls = syscalls
        # Fields known only by name, made once each; empty unless the handler uses get or set.
        self._fields: dict[tuple[str, Any], StateField[Any]] = {}

    # --- side effects ---

    @overload
    def run(
        self,
        name: str,
        function: Callable[P, Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> "Future[R]": ...
    @overload
    def run(
        self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[R]": ...
    def run(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """A step: run ``function`` outside, once its intent is durable, and record what it returns.

        A replay gives the recorded result and runs nothing. ``async def`` functions run on the
        runtime's loop, others in a thread. For a timeout, a retry policy or a word on unknown
        outcomes see ``step``.

        Raises:
            InvalidArgumentError: ``name`` is no name, ``function`` no function, or it was given an
                option of ``step`` that it does not take.
            StepFailedError: (from the future) it failed for good.
        """
        action = make_action(name, function, args, kwargs)
        if kwargs and not STEP_OPTIONS.isdisjoint(kwargs):
            check_no_options(name, function, kwargs)
        return self._syscalls.run(name, action, _DEFAULT_STEP)

    def step(
        self,
        *,
        retry: RetryPolicy | None = None,
        timeout: timedelta | float | None = None,
        heartbeat_timeout: timedelta | float | None = None,
        on_unknown: OnUnknown = "retry",
    ) -> Step:
        """Options for a step: ``ctx.step(timeout=timedelta(seconds=30)).run("pay", pay, order)``.

        See ``StepOptions`` for what they mean.

        Raises:
            InvalidArgumentError: an option is not what it should be.
        """
        limits = {"timeout": timeout, "heartbeat_timeout": heartbeat_timeout}
        options = make_step_options(retry=retry, on_unknown=on_unknown, **limits)
        return Step(self._syscalls, options)

    def saga(self) -> Saga:
        """A block whose effects are taken back when it fails or is cancelled; see ``Saga``."""
        return Saga(self._syscalls)

    def sleep(self, duration: timedelta | float) -> "Future[None]":
        """A timer that survives restarts; ``duration`` in seconds if it is a number.

        Raises:
            InvalidArgumentError: it is no duration. A negative one is over at once.
        """
        return self._syscalls.sleep(to_duration(duration, "what sleep takes"))

    # --- other objects and services ---

    def object(self, cls: type[T], key: str, **options: Unpack[CallKeywords]) -> T:
        """The object of class ``cls`` at ``key``: ``await ctx.object(Cart, "sam").add("tea")``.

        Raises:
            InvalidArgumentError: the key cannot name an object, or ``cls`` is no virtual object.
        """
        return proxy.object_proxy(self._syscalls, cls, key, inside_options(options))

    def workflow(self, cls: type[T], key: str, **options: Unpack[CallKeywords]) -> T:
        """The workflow of class ``cls`` at ``key``: ``await ctx.workflow(Order, "42").run(cart)``.

        ``run`` executes once per key: a second call of it gives a ``TerminalError`` with status
        409, and a second send the id of the first.

        Raises:
            InvalidArgumentError: the key cannot name a workflow, or ``cls`` is none.
        """
        return proxy.workflow_proxy(self._syscalls, cls, key, inside_options(options))

    def service(self, cls: type[T], **options: Unpack[CallKeywords]) -> T:
        """The service of class ``cls``: ``await ctx.service(Mailer).deliver(letter)``.

        Raises:
            InvalidArgumentError: ``cls`` is a virtual object or a workflow.
        """
        return proxy.service_proxy(self._syscalls, cls, inside_options(options))

    def call(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        **options: Unpack[CallKeywords],
    ) -> "Future[Any]":
        """Call a handler by name; ``key`` is ``None`` for a service.

        ``argument`` is the parameter itself where the handler has one, a dict of them where it has
        several. The result is whatever its JSON says.

        Raises:
            InvalidArgumentError: a name, the key or the argument does not fit.
            TerminalError: (from the future) the handler failed for good.
        """
        said = inside_options(options)
        future = proxy.call_by_name(self._syscalls, service, key, handler, argument, options=said)
        return cast("Future[Any]", future)

    def send(
        self,
        service: str,
        key: str | None,
        handler: str,
        argument: Any = NO_ARGUMENT,
        *,
        delay: timedelta | float | None = None,
        **options: Unpack[CallKeywords],
    ) -> "Future[str]":
        """Have a handler called once by name, after ``delay``; gives the invocation's text id.

        Raises:
            InvalidArgumentError: a name, the key, the argument or the delay does not fit.
        """
        said = inside_options(options)
        future = proxy.send_by_name(
            self._syscalls, service, key, handler, argument, delay=delay, options=said
        )
        return cast("Future[str]", future)

    # --- other invocations ---

    @overload
    def attach(self, invocation_id: str) -> "Future[Any]": ...
    @overload
    def attach(self, invocation_id: str, type: type[T]) -> "Future[T]": ...
    @overload
    def attach(self, invocation_id: str, type: Any) -> "Future[Any]": ...
    def attach(self, invocation_id: str, type: Any = Any) -> "Future[Any]":  # noqa: A002 - it is the type
        """The outcome of an invocation that somebody else made, as a value of ``type``.

        Raises:
            InvalidArgumentError: that is no invocation's id.
            TerminalError: (from the future) it failed; or there is no such invocation (404), or its
                result was not kept (410).
        """
        return self._syscalls.attach(parse_invocation_id(invocation_id), asked_serde(type))

    def cancel(self, invocation_id: str, reason: str = "") -> None:
        """Tell another invocation to end, so that it can clean up; one that is over stays so.

        Raises:
            InvalidArgumentError: that is no invocation's id, or the reason is no text.
        """
        self._syscalls.cancel_invocation(parse_invocation_id(invocation_id), reason)

    def shield(self) -> Shield:
        """A section that a cancellation of this invocation does not reach into.

        One that comes during ``async with ctx.shield():`` is applied when the section is left: it
        ends with ``asyncio.CancelledError`` then. A timeout reaches into it as ever.
        """
        return Shield(self._syscalls)

    # --- promises kept from outside ---

    @overload
    def awakeable(
        self, *, message: Any = None, timeout: timedelta | float | None = None
    ) -> Awakeable[Any]: ...
    @overload
    def awakeable(
        self, type: type[T], *, message: Any = None, timeout: timedelta | float | None = None
    ) -> Awakeable[T]: ...
    @overload
    def awakeable(
        self, type: Any, *, message: Any = None, timeout: timedelta | float | None = None
    ) -> Awakeable[Any]: ...
    def awakeable(
        self,
        type: Any = Any,  # noqa: A002 - it is the type
        *,
        message: Any = None,
        timeout: timedelta | float | None = None,
    ) -> Awakeable[Any]:
        """A promise that is resolved from outside by its ``id``, with a JSON value of ``type``.

        A value that does not fit ``type`` is refused where it arrives, and the awakeable stays
        open. ``runtime.awakeables()`` lists the open ones with all that they say.

        Args:
            type: what it is resolved with; ``Any`` takes any JSON value.
            message: any JSON value for whoever will resolve it, in at most 16 KiB.
            timeout: after so long, in seconds if it is a number, it is closed.

        Raises:
            InvalidArgumentError: the message or the timeout does not fit.
            AwakeableExpiredError: (when awaited) nobody resolved it in time; a ``TimeoutError``.
            TerminalError: (when awaited) it was rejected.
        """
        question = make_question(type, message, timeout)
        identifier, future = self._syscalls.awakeable(asked_serde(type), question)
        return Awakeable(identifier, future, self._syscalls)

    def resolve_awakeable(self, awakeable_id: str, value: Any = None) -> "Future[None]":
        """Keep another invocation's promise. One that is closed stays as it is.

        It is done when this returns; await the future to hear of a value that was refused.

        Raises:
            InvalidArgumentError: that is no awakeable's id, or the value cannot be encoded.
            TerminalError: (from the future) with status 400: the value does not fit what the
                awakeable is for. It stays open.
        """
        identifier = parse_awakeable_id(awakeable_id)
        return self._syscalls.complete_awakeable(identifier, SENT_JSON.encode(value))

    def reject_awakeable(self, awakeable_id: str, reason: str | TerminalError) -> "Future[None]":
        """Break another invocation's promise: whoever awaits it gets a ``TerminalError``.

        Raises:
            InvalidArgumentError: that is no awakeable's id.
        """
        identifier = parse_awakeable_id(awakeable_id)
        error = reason if isinstance(reason, TerminalError) else TerminalError(reason)
        return self._syscalls.complete_awakeable(identifier, error)

    # --- promises of a workflow, messages for the turn under way ---

    @overload
    def promise(self, name: str) -> Promise[Any]: ...
    @overload
    def promise(self, name: str, type: type[T]) -> Promise[T]: ...
    @overload
    def promise(self, name: str, type: Any) -> Promise[Any]: ...
    def promise(self, name: str, type: Any = Any) -> Promise[Any]:  # noqa: A002 - it is the type
        """The promise ``name`` of this workflow, whose value is a JSON value of ``type``.

        In ``run`` and in shared handlers alike: await it, or ``peek``, ``resolve`` and ``reject``
        it.

        Raises:
            ContextMisuseError: this is no handler of a workflow.
            InvalidArgumentError: that is no name.
        """
        return Promise(name, asked_serde(type), self._syscalls)

    # --- signals ---

    @overload
    def signal(self, name: str) -> "Future[Any]": ...
    @overload
    def signal(self, name: str, type: type[T]) -> "Future[T]": ...
    @overload
    def signal(self, name: str, type: Any) -> "Future[Any]": ...
    def signal(self, name: str, type: Any = Any) -> "Future[Any]":  # noqa: A002 - it is the type
        """The next signal ``name`` that is sent to this invocation: a JSON value of ``type``.

        Signals of one name come in the order in which they were sent, each once, also those that
        were sent before anybody awaited one. A wait that is given up, by ``asyncio.timeout`` for
        example, leaves the signal for the next one.

        Raises:
            InvalidArgumentError: that is no name.
            TerminalError: (from the future) the sender rejected it.
        """
        return self._syscalls.await_signal(check_label(name, "signal"), asked_serde(type))

    def send_signal(self, invocation_id: str, name: str, value: Any = None) -> None:
        """Send a signal to an invocation, which gets it from ``ctx.signal(name)``.

        It has no effect where that invocation is completed, or never was.

        Raises:
            InvalidArgumentError: that is no invocation id or no name, or the value cannot be
                encoded.
        """
        self._signal(invocation_id, name, SENT_JSON.encode(value))

    def reject_signal(self, invocation_id: str, name: str, reason: str | TerminalError) -> None:
        """As ``send_signal``, but whoever awaits it gets a ``TerminalError``.

        Raises:
            InvalidArgumentError: that is no invocation id or no name.
        """
        error = reason if isinstance(reason, TerminalError) else TerminalError(reason)
        self._signal(invocation_id, name, error)

    def _signal(self, invocation_id: str, name: str, outcome: bytes | TerminalError) -> None:
        identifier = parse_invocation_id(invocation_id)
        self._syscalls.send_signal(identifier, check_label(name, "signal"), outcome)

    @overload
    def inbox(self) -> Inbox[Any]: ...
    @overload
    def inbox(self, type: type[T]) -> Inbox[T]: ...
    @overload
    def inbox(self, type: Any) -> Inbox[Any]: ...
    def inbox(self, type: Any = Any) -> Inbox[Any]:  # noqa: A002 - it is the type
        """What is sent to this key with ``mode="steer"`` while this handler holds the turn.

        Messages whose argument is a JSON value of ``type`` can be read; others, and those that
        nobody has read when the turn ends, become calls of their own, in order.

        Raises:
            ContextMisuseError: this is no exclusive handler of a virtual object.
            InvalidDefinitionError: no value of this type could ever be decoded.
        """
        return Inbox(type, self._syscalls)

    # --- state by name ---

    @overload
    def get(self, name: str) -> Any: ...
    @overload
    def get(self, name: str, type: type[T]) -> T | None: ...
    @overload
    def get(self, name: str, type: type[T], default: T) -> T: ...
    @overload
    def get(self, name: str, *, default: T) -> T: ...
    @overload
    def get(self, name: str, type: Any, default: Any = None) -> Any: ...
    def get(self, name: str, type: Any = Any, default: Any = None) -> Any:  # noqa: A002
        """The live value that is stored under ``name``, or ``default`` where there is none.

        A mutable value changed in place is saved, as for a state field.

        Raises:
            InvalidArgumentError: the name or the type cannot be that of a stored value.
        """
        return self._syscalls.state_get(self._field(name, type, default))

    def set(self, name: str, value: Any) -> None:
        """Store ``value`` under ``name``; saved with the next command or the outcome.

        Raises:
            InvalidArgumentError: the name cannot be that of a stored value.
        """
        self._syscalls.state_set(self._field(name, Any, None), value)

    def clear(self, name: str) -> None:
        """Forget what is stored under ``name``; nothing happens where nothing is.

        Raises:
            InvalidArgumentError: the name cannot be that of a stored value.
        """
        self._syscalls.state_clear(self._field(name, Any, None))

    def keys(self) -> list[str]:
        """The names that have a stored value, fields included, sorted."""
        return self._syscalls.state_names()

    def _field(self, name: str, annotation: Any, default: Any) -> StateField[Any]:
        if default is not None:
            # The default is this call's own, so the field cannot be kept for the next one.
            return StateField.of_type(name, annotation, default=default)
        try:
            field = self._fields.get((name, annotation))
        except TypeError:  # an annotation that cannot be hashed
            return StateField.of_type(name, annotation)
        if field is None:
            field = self._fields[name, annotation] = StateField.of_type(name, annotation)
        return field

    # --- time and chance, the same on every replay ---

    def now(self) -> datetime:
        """The time of the last delivery, in UTC. It never goes back, and moves only at an await."""
        return _EPOCH + timedelta(milliseconds=self._syscalls.now_ms())

    def time(self) -> float:
        """As ``now``, in seconds since 1970."""
        return self._syscalls.now_ms() / 1000

    @property
    def random(self) -> Random:
        """A generator seeded by the invocation. Not for secrets."""
        return self._syscalls.random

    def uuid4(self) -> UUID:
        """A random UUID, drawn from ``random``."""
        return UUID(int=self._syscalls.random.getrandbits(128), version=4)

    # --- change ---

    def patched(self, patch_id: str) -> bool:
        """Whether code that was added under ``patch_id`` runs in this invocation.

        ``True`` for new invocations, and for those that come here beyond what their journal holds;
        ``False`` for those that passed here before the code was added, so that they go on as they
        began. It is the same answer wherever one invocation asks::

            if ctx.patched("check the limit first"):
                await ctx.run("limit", check_limit, order)

        A patch is taken out, the call and the old path with it, once no invocation is open that
        began without it: ``holdfast check`` tells.

        Raises:
            InvalidArgumentError: that is no text of 1 to 256 characters.
        """
        return self._syscalls.patched(check_label(patch_id, "patch"))

    # --- about this invocation ---

    @property
    def key(self) -> str:
        """The key of this object.

        Raises:
            ContextMisuseError: this is a handler of a service.
        """
        target = self._syscalls.target
        if target.key is None:
            message = (
                f"{target} is a handler of a service, which has no key; pass what it needs as an "
                f"argument, or derive the class from VirtualObject"
            )
            raise ContextMisuseError(message)
        return target.key

    @property
    def invocation_id(self) -> str:
        """The text id of this invocation: ``inv_`` and 32 hex digits."""
        return self._syscalls.invocation_id

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers the call came with, names in lower case."""
        return self._syscalls.headers

    @property
    def log(self) -> Logger:
        """A logger that is silent while the handler replays."""
        return self._syscalls.log


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
