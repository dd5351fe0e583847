"""State fields: typed attributes whose values belong to the object, not to the instance.

A field describes; it holds no value. On an instance that a runtime has bound, reading, assigning
and deleting become calls of the port. Whether a value is in memory, changed or saved is none of
this module's business.
"""

import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final, Generic, TypeVar, overload

from .annotations import raw_annotations, resolve_in_class
from .errors import ContextMisuseError, InvalidArgumentError, InvalidDefinitionError
from .identity import exact
from .immutability import is_immutable_type, is_immutable_value
from .refusals import describe_type
from .serde import Serde, find_unsupported_type, packed_serde

T = TypeVar("T")

SYSCALLS_ATTRIBUTE: Final = "_holdfast_syscalls"
"""Where an instance keeps the port it is bound to."""
FIELD_NAME_CHARACTERS_MAX: Final = 256


class _Unset:
    """Marks what was not given; ``None`` is a value like any other."""


_UNSET: Final = _Unset()


class StateField(Generic[T]):
    """One field of an object's state: a name, a type, a default.

    Attributes:
        name: what the stored value is called; the attribute's name unless ``state(name=...)``.
        has_default: whether a default is stored for an object that has no value. Without one it
            reads ``None`` then, whatever the type, and nothing is stored.
    """

    __slots__ = (
        "_annotation",
        "_default",
        "_default_factory",
        "_is_immutable",
        "_owner",
        "_serde",
        "attribute",
        "has_default",
        "name",
        "source",
    )

    def __init__(
        self,
        *,
        name: str = "",
        default: Any = None,
        default_factory: Callable[[], Any] | None = None,
        source: str = "",
    ) -> None:
        """Describe a field; ``state`` is what users call."""
        self.name = name
        self.attribute = name
        self.source = source
        self.has_default = True
        self._default = default
        self._default_factory = default_factory
        self._owner: type | None = None
        self._annotation: Any = _UNSET
        self._serde: Serde[T] | None = None
        self._is_immutable = False

    @classmethod
    def of_type(
        cls,
        name: str,
        annotation: Any,
        *,
        default: Any = None,
        default_factory: Callable[[], Any] | None = None,
    ) -> "StateField[Any]":
        """A field known only at run time, for ``ctx.get`` and its like.

        Raises:
            InvalidArgumentError: the name or the type cannot be that of a stored value.
        """
        if not _is_field_name(name):
            message = (
                f"a state name is 1 to {FIELD_NAME_CHARACTERS_MAX} characters, not {name!r:.80}"
            )
            raise InvalidArgumentError(message)
        field = StateField[Any](name=exact(name), default=default, default_factory=default_factory)
        field.has_default = default is not None or default_factory is not None
        try:
            field._settle(annotation)
        except InvalidDefinitionError as error:
            raise InvalidArgumentError(error.message) from error
        return field

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the attribute's name; called by Python when the class is created."""
        self.attribute = name
        self.name = self.name or name
        self._owner = owner

    def __repr__(self) -> str:
        """For messages: the class's and the attribute's name."""
        owner = f"{self._owner.__qualname__}." if self._owner else ""
        return f"<state field {owner}{self.attribute}>"

    @overload
    def __get__(self, instance: None, owner: type) -> "StateField[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object, owner: type) -> Any:
        """The live value in this object's state; on the class, the field itself.

        Raises:
            ContextMisuseError: no runtime made this instance.
        """
        if instance is None:
            return self
        # Each read comes by here, so what ``_get_syscalls`` does where all is well is done at once.
        syscalls = getattr(instance, SYSCALLS_ATTRIBUTE, None) or self._get_syscalls(instance)
        return syscalls.state_get(self)

    def __set__(self, instance: object, value: T) -> None:
        """Replace the value; saved with the next command or the outcome."""
        # As in ``__get__``.
        syscalls = getattr(instance, SYSCALLS_ATTRIBUTE, None) or self._get_syscalls(instance)
        syscalls.state_set(self, value)

    def __delete__(self, instance: object) -> None:
        """Forget the value, as if it had never been set."""
        self._get_syscalls(instance).state_clear(self)

    def _get_syscalls(self, instance: object) -> Any:
        syscalls = getattr(instance, SYSCALLS_ATTRIBUTE, None)
        if syscalls is None:
            name = type(instance).__name__
            message = (
                f"{name}.{self.attribute} was used on an instance that you made yourself, but "
                f"objects live in a runtime: call a handler of runtime.object({name}, key)"
            )
            raise ContextMisuseError(message)
        return syscalls

    def is_annotated(self) -> bool:
        """Whether the class that defines this field says its type."""
        return self._owner is not None and self.attribute in raw_annotations(self._owner)

    def resolve(self) -> None:
        """Learn the type from the annotation. Idempotent; called when the class is registered.

        Raises:
            InvalidDefinitionError: there is no annotation, it cannot be resolved or decoded, or
                the default does not fit it.
        """
        if self._serde is not None:
            return
        where = f"{self!r} ({self.source})"
        if self._owner is None or not self.is_annotated():
            message = f"{where} has no annotation; write `{self.attribute}: <type> = state(...)`"
            raise InvalidDefinitionError(message)
        raw = raw_annotations(self._owner)[self.attribute]
        try:
            annotation = resolve_in_class(self._owner, raw)
        except Exception as error:
            message = (
                f"{where}: its annotation {raw!r} cannot be resolved ({error}); "
                f"the type must be importable from module {self._owner.__module__}"
            )
            raise InvalidDefinitionError(message) from error
        try:
            self._settle(annotation)
            self._check_default()
        except (InvalidDefinitionError, InvalidArgumentError) as error:
            self._serde = None
            message = f"{where}: {error.message}"
            raise InvalidDefinitionError(message) from error

    def _settle(self, annotation: Any) -> None:
        unsupported = find_unsupported_type(annotation)
        if unsupported is not None:
            message = (
                f"{unsupported} cannot be stored; use builtins, dataclasses, TypedDict, msgspec "
                f"or pydantic types"
            )
            raise InvalidDefinitionError(message)
        self._serde = packed_serde(annotation)
        self._annotation = annotation
        self._is_immutable = is_immutable_type(annotation)

    def _check_default(self) -> None:
        if self._default_factory is None:
            try:
                self.serde.decode(self.serde.encode(self._default))
            except InvalidArgumentError as error:
                message = (
                    f"its default {self._default!r:.80} is no "
                    f"{describe_type(self._annotation)}: {error.message}"
                )
                raise InvalidDefinitionError(message) from error

    @property
    def annotation(self) -> Any:
        """The resolved type."""
        self.resolve()
        return self._annotation

    @property
    def serde(self) -> Serde[T]:
        """MessagePack of the field's type."""
        if self._serde is None:
            self.resolve()
        assert self._serde is not None, "a resolved field has no serde"
        return self._serde

    @property
    def is_immutable(self) -> bool:
        """Whether no value of the field's type can be changed in place."""
        if self._serde is None:
            self.resolve()
        return self._is_immutable

    def make_default(self) -> T:
        """A value for an object that has none stored; a new one each time if it is mutable."""
        if self._default_factory is not None:
            made: T = self._default_factory()
            return made
        default: T = self._default
        return default


@overload
def state(default: T, /, *, name: str | None = None) -> T: ...
@overload
def state(*, default: T, name: str | None = None) -> T: ...
# Without these three, pyright's strict mode calls `x: list[str] = state(default_factory=list)`
# partially unknown, as it does for the fields of dataclasses.
@overload
def state(*, default_factory: type[list[Any]], name: str | None = None) -> list[Any]: ...
@overload
def state(*, default_factory: type[dict[Any, Any]], name: str | None = None) -> dict[Any, Any]: ...
@overload
def state(*, default_factory: type[set[Any]], name: str | None = None) -> set[Any]: ...
@overload
def state(*, default_factory: Callable[[], T], name: str | None = None) -> T: ...
def state(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
    """A field of an object's state, for the right side of ``count: int = ...``.

    The value belongs to the object (class and key), outlives the process, and changes only in
    exclusive handlers. A value changed in place is saved like one that was assigned.

    ``default`` is what an object that never set the field reads; it must be immutable.
    ``default_factory`` makes that value instead, once for each object that needs it: write
    ``history: list[str] = state(default_factory=list)``. ``name`` is what the stored value is
    called, where it should not be the attribute's name: with it the attribute can be renamed and
    what is stored is kept.

    Raises:
        InvalidDefinitionError: no default, two of them, or one that objects would share.
    """
    source = _caller_source()
    if len(args) + len(kwargs) != 1 or not kwargs.keys() <= {"default", "default_factory"}:
        message = (
            f"{source}: state() takes one default, for example state(0), state(None) or "
            f"state(default_factory=list)"
        )
        raise InvalidDefinitionError(message)
    if name is not None and not _is_field_name(name):
        message = f"{source}: state(name={name!r:.80}) is not 1 to 256 characters of text"
        raise InvalidDefinitionError(message)
    if "default_factory" in kwargs:
        factory = kwargs["default_factory"]
        if not callable(factory):
            message = (
                f"{source}: default_factory must be callable, for example `list`, "
                f"but is {type(factory).__name__}"
            )
            raise InvalidDefinitionError(message)
        return StateField[Any](name=name or "", default_factory=factory, source=source)
    default = args[0] if args else kwargs["default"]
    if not is_immutable_value(default):
        kind = type(default).__name__
        cure = f"state(default_factory={kind})" if not default else "state(default_factory=...)"
        message = (
            f"{source}: every object would share the mutable default {default!r:.80}; use {cure}"
        )
        raise InvalidDefinitionError(message)
    return StateField[Any](name=name or "", default=default, source=source)


def _is_field_name(name: object) -> bool:
    if not isinstance(name, str) or not 1 <= len(name) <= FIELD_NAME_CHARACTERS_MAX:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _caller_source() -> str:
    frame = sys._getframe(2)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - names the line
    return f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"
