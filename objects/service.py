"""The classes that users derive from: ``VirtualObject``, ``Workflow`` and ``Service``.

A subclass is checked when it is created, so that a mistake is found at import, and registered
nowhere; whoever constructs a runtime names the classes it is for.
"""

from dataclasses import dataclass
from datetime import timedelta
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .annotations import describe_name
from .errors import ContextMisuseError, InvalidDefinitionError
from .handler import Handler, check_name, unknown_options
from .members import Members, collect_members
from .options import HandlerOptions
from .retry import RetryPolicy
from .webhook import Webhook

OWN_NAMES: Final = "holdfast."
"""How the names of Holdfast's own classes begin, which are served beside the user's."""

RESERVED_SERVICE_NAMES: Final = frozenset({"openapi", "health"})
"""First parts of HTTP paths that are no service's."""

RUN: Final = "run"
"""The handler of a workflow that executes once per key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What the header and the body of a class say.

    Attributes:
        name: what callers say; the class's name unless the header gave one.
        options: the header's options over those of the classes it derives from.
        members: handlers and fields, inherited ones included.
    """

    name: str
    options: HandlerOptions
    members: Members


class Declared:
    """What the classes below have in common. Derive from one of those instead."""

    # The port this instance is bound to, unset on an instance that no runtime made; and whether
    # its ``__init__`` has run, after which attributes are what handlers assign.
    __slots__ = ("__weakref__", "_holdfast_is_made", "_holdfast_syscalls")

    holdfast_declaration: ClassVar[Declaration]

    if TYPE_CHECKING:

        def __init_subclass__(  # noqa: PLR0913 - a header's options, each by keyword
            cls,
            *,
            name: str | None = None,
            retry: RetryPolicy | None = None,
            idle_ms_max: int | None = None,
            mailbox_invocations_max: int | None = None,
            retention: timedelta | None = None,
            journal_retention: timedelta | None = None,
            idempotency_retention: timedelta | None = None,
            workflow_retention: timedelta | None = None,
            webhook: Webhook | None = None,
            ingress_private: bool | None = None,
        ) -> None:
            """Check the class that was just written; below is what runs."""

    else:
        # Checkers refuse an unknown option by the signature above; here it gets a sentence.
        def __init_subclass__(cls, *, name: str | None = None, **options: Any) -> None:
            """Check the class that was just written.

            Raises:
                InvalidDefinitionError: it cannot be what it is declared to be; see the message.
            """
            super().__init_subclass__()
            if cls.__module__ != __name__:  # the classes below declare nothing
                cls.holdfast_declaration = _declare(cls, name, options)

    def __setattr__(self, name: str, value: object) -> None:
        """Assign; a public attribute that is no state field is refused in a handler.

        It would live as long as the attempt, and be lost without a word.

        Raises:
            ContextMisuseError: a handler assigned what would not be saved.
        """
        if (
            name[:1] != "_"
            and not hasattr(getattr(type(self), name, None), "__set__")
            and getattr(self, "_holdfast_is_made", False)
        ):
            cls = type(self).__name__
            message = (
                f"{cls}.{name} was assigned in a handler, but it is no state field, so it would "
                f"be lost; declare it in the class: `{name}: <type> = state(...)`, or call it "
                f"_{name} if it need not outlive this attempt"
            )
            raise ContextMisuseError(message)
        object.__setattr__(self, name, value)


class VirtualObject(Declared):
    """A class plus a key, with state and a mailbox; it exists by being called.

    Derive from it and decorate ``async def`` methods with ``@handler`` (one at a time at a key)
    or ``@shared`` (beside others, reading only). Fields made with ``state(...)`` belong to the
    object and outlive the process. The class's header takes ``name=`` and ``HandlerOptions``.
    """

    __slots__ = ()


class Workflow(Declared):
    """A class plus a key, whose handler ``run`` executes once per key, whatever happens.

    Derive from it and decorate ``async def run`` with ``@handler`` and all other handlers with
    ``@shared``: those work before, during and after ``run``, until the workflow is forgotten. State
    fields belong to the workflow; ``run`` changes them and the others read them. ``ctx.promise`` is
    how the two talk. The class's header takes ``name=`` and ``HandlerOptions``.
    """

    __slots__ = ()


class Service(Declared):
    """A class of handlers without key and state; any number of calls run at the same time.

    The class's header takes ``name=`` and ``HandlerOptions``.
    """

    __slots__ = ()


def check_service_name(name: object, where: str, cls: type) -> str:
    """``name``, when ``cls`` can be called by it.

    Raises:
        InvalidDefinitionError: it cannot stand in a path, or is reserved.
    """
    if isinstance(name, str) and name.startswith(OWN_NAMES) and _is_own(cls):
        return name
    checked = check_name(name, "service", where)
    if checked in RESERVED_SERVICE_NAMES or checked.startswith("restate"):
        message = (
            f"{where}: {checked!r} is reserved, because HTTP paths begin with it; "
            f"give another name in the class's header: name=..."
        )
        raise InvalidDefinitionError(message)
    return checked


def _is_own(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def _declare(cls: type[Declared], name: str | None, given: dict[str, Any]) -> Declaration:
    where = describe_name(cls)
    try:
        options = HandlerOptions(**given)
    except InvalidDefinitionError as error:
        message = f"{where}: {error.message}"
        raise InvalidDefinitionError(message) from None
    except TypeError:
        raise unknown_options(where, "a class's header", given) from None
    if options.accept is not None or options.content_type is not None:
        message = (
            f"{where}: accept and content_type are for one handler; give them to its decorator"
        )
        raise InvalidDefinitionError(message)
    for ancestor in cls.__mro__[1:]:
        inherited = vars(ancestor).get("holdfast_declaration")
        if inherited is not None:
            options = options.merged(inherited.options)
    # ``class _CommonParts(VirtualObject)`` is fine as long as nobody registers it.
    if name is not None or not cls.__name__.startswith("_"):
        check_service_name(cls.__name__ if name is None else name, where, cls)
    _check_init(cls, where)
    members = collect_members(cls)
    _check_kind(cls, members, where)
    if not issubclass(cls, Workflow):
        _check_no_workflow_options(options, members, where)
    return Declaration(
        name=cls.__name__ if name is None else name, options=options, members=members
    )


def _check_kind(cls: type[Declared], members: Members, where: str) -> None:
    kinds = [kind for kind in (VirtualObject, Workflow, Service) if issubclass(cls, kind)]
    if len(kinds) > 1:
        first, second = (f"a {kind.__name__}" for kind in kinds[:2])
        message = f"{where}: a class is {first} or {second}, not both"
        raise InvalidDefinitionError(message)
    if issubclass(cls, Workflow):
        for handler in members.handlers.values():
            _check_workflow_handler(handler, where)
        if not cls.__name__.startswith("_"):
            check_has_run(members, where)
    if not issubclass(cls, Service):
        return
    for attribute, field in members.fields.items():
        message = (
            f"{where}.{attribute} ({field.source}): a Service has no key and so no state; derive "
            f"from VirtualObject, or pass the value as an argument"
        )
        raise InvalidDefinitionError(message)


def _check_no_workflow_options(options: HandlerOptions, members: Members, where: str) -> None:
    for each in (options, *(handler.options for handler in members.handlers.values())):
        if each.workflow_retention is not None:
            message = f"{where}: workflow_retention is for a Workflow; here it is retention"
            raise InvalidDefinitionError(message)


def check_has_run(members: Members, where: str) -> None:
    """See that a workflow that is to be registered has something to execute.

    Raises:
        InvalidDefinitionError: it has no handler ``run``.
    """
    if RUN not in members.handlers:
        message = (
            f"{where}: a Workflow has one handler that executes once per key: "
            f"`@handler async def {RUN}(self, ctx: Context, ...)`"
        )
        raise InvalidDefinitionError(message)


def _check_workflow_handler(handler: Handler[..., Any], where: str) -> None:
    place = f"{where}.{handler.attribute} ({handler.source})"
    if handler.attribute == RUN and handler.is_shared:
        message = (
            f"{place}: {RUN!r} is what a Workflow executes once per key, so it is decorated with "
            f"@handler; give a handler that only reads another name"
        )
    elif handler.attribute == RUN and handler.name != RUN:
        message = (
            f"{place}: the handler that a Workflow executes once per key is called {RUN!r} by "
            f"everyone; leave out name={handler.name!r}"
        )
    elif handler.attribute != RUN and handler.name == RUN:
        message = f"{place}: in a Workflow only the method {RUN} is called {RUN!r}; rename it"
    elif handler.attribute != RUN and not handler.is_shared:
        message = (
            f"{place}: a Workflow has one exclusive handler, {RUN!r}; decorate this one with "
            f"@shared and let it talk to {RUN!r} through ctx.promise(...), or derive the class "
            f"from VirtualObject"
        )
    else:
        return
    raise InvalidDefinitionError(message)


def _check_init(cls: type, where: str) -> None:
    initialise: Any = getattr(cls, "__init__")  # noqa: B009 - mypy calls the attribute unsound
    if initialise is object.__init__:
        return
    for parameter in list(signature(initialise).parameters.values())[1:]:
        is_open = parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
        if parameter.default is Parameter.empty and not is_open:
            message = (
                f"{where}.__init__ needs {parameter.name!r}, but the runtime makes a new instance "
                f"for every attempt and has nothing to give; use a state field for what belongs "
                f"to the object, and a module's global for what belongs to the process"
            )
            raise InvalidDefinitionError(message)
