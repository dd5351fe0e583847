"""What a class may be, and what is said to one that may not."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from holdfast import (
    Context,
    ContextMisuseError,
    HandlerOptions,
    InvalidArgumentError,
    InvalidDefinitionError,
    RetryPolicy,
    Service,
    UnknownTargetError,
    VirtualObject,
    Workflow,
    handler,
    shared,
    state,
)
from holdfast.objects.definition import define
from holdfast.objects.identity import Target
from holdfast.objects.registry import Registry


class Assistant(VirtualObject):
    history: list[dict[str, str]] = state(default_factory=list)
    turns: int = state(0, name="turn_count")

    @handler
    async def ask(self, ctx: Context, question: str) -> str:
        """Answer a question."""
        return question

    @shared
    async def transcript(self, ctx: Context) -> list[dict[str, str]]:
        return self.history

    @handler(name="book-trip", idle_ms_max=5)
    async def book(self, ctx: Context, city: str, nights: int = 1, *, breakfast: bool) -> None: ...


class Mailer(Service, name="mail", idle_ms_max=7, retention=timedelta(days=1)):
    @handler
    async def deliver(self, ctx: Context, to: str) -> None: ...

    @handler(idle_ms_max=0)
    async def ping(self, ctx: Context) -> None: ...


def test_a_definition_says_what_the_class_says() -> None:
    definition = define(Assistant)
    assert (definition.name, definition.keyed) == ("Assistant", True)
    assert list(definition.handlers) == ["ask", "transcript", "book-trip"]
    assert [one.shared for one in definition.handlers.values()] == [False, True, False]
    assert list(definition.fields) == ["history", "turn_count"]
    ask = definition.handlers["ask"]
    assert ask.documentation == "Answer a question."
    assert ask.source.startswith("test_definition.py:")
    assert ask.takes_input
    assert not definition.handlers["transcript"].takes_input


def test_a_class_is_inspected_once() -> None:
    assert define(Assistant) is define(Assistant)


def test_a_handlers_options_go_over_those_of_its_class() -> None:
    handlers = define(Mailer).handlers
    assert handlers["deliver"].options.idle_ms_max == 7
    assert handlers["ping"].options == HandlerOptions(idle_ms_max=0, retention=timedelta(days=1))


def test_a_subclass_inherits_handlers_fields_and_options_and_has_a_name_of_its_own() -> None:
    class Common(VirtualObject, retry=RetryPolicy(max_attempts=1), name="common"):
        count: int = state(3)

        @handler
        async def add(self, ctx: Context, amount: int) -> int:
            return amount

        @handler
        async def reset(self, ctx: Context) -> None: ...

    class Counter(Common, idle_ms_max=1):
        @shared
        async def reset(self, ctx: Context) -> None: ...

    definition = define(Counter)
    assert definition.name == "Counter"
    assert list(definition.handlers) == ["add", "reset"]
    assert definition.handlers["reset"].shared
    assert list(definition.fields) == ["count"]
    options = definition.handlers["add"].options
    assert options == HandlerOptions(retry=RetryPolicy(max_attempts=1), idle_ms_max=1)
    assert define(Common).name == "common"


def test_fields_and_handlers_may_come_from_a_plain_mixin() -> None:
    class Audited:
        changes: int = state(0)

        @shared
        async def count_changes(self, ctx: Context) -> int:
            return self.changes

    class Account(Audited, VirtualObject): ...

    definition = define(Account)
    assert list(definition.fields) == ["changes"]
    assert list(definition.handlers) == ["count_changes"]


def test_a_private_class_may_hold_common_parts_but_cannot_be_registered() -> None:
    class _Common(VirtualObject):
        @handler
        async def add(self, ctx: Context) -> None: ...

    class Counter(_Common): ...

    assert list(define(Counter).handlers) == ["add"]
    with pytest.raises(InvalidDefinitionError, match="begin with '_'"):
        define(_Common)


def test_an_instance_is_bound_before_its_init_runs() -> None:
    class Greeter(VirtualObject):
        greeting: str = state("hello")

        def __init__(self) -> None:
            self.seen = self.greeting

        @handler
        async def greet(self, ctx: Context) -> str:
            return self.greeting

    class Stored:
        def state_get(self, field: Any) -> str:
            return f"stored {field.name}"

    instance = define(Greeter).new_instance(Stored())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert instance.seen == "stored greeting"


PREAMBLE = """
from holdfast import Context, Service, VirtualObject, Workflow, handler, shared, state
from typing import *
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], ModuleType]:
    """Write a module and import it, for what a module of tests cannot say itself."""

    def write_and_import(source: str) -> ModuleType:
        path = tmp_path / "written.py"
        path.write_text(source)
        spec = spec_from_file_location("written_in_a_test", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[module.__name__] = module
        spec.loader.exec_module(module)
        return module

    return write_and_import


OBJECT = "class Bad(VirtualObject):\n    "
WORKFLOW = "class Bad(Workflow):\n    "

BAD_CLASSES = {
    # What is decorated.
    "@handler\n    async def f(self, question: str) -> str: ...": "takes the context after self",
    "@handler\n    async def f(self) -> None: ...": r"async def f\(self, ctx: Context, \.\.\.\)",
    "@handler\n    def f(self, ctx: Context) -> str: ...": "must be `async def`",
    "@handler\n    async def f(self, ctx: Context) -> list[int]:\n        yield 1": (
        "must not `yield`"
    ),
    "@handler\n    @shared\n    async def f(self, ctx) -> None: ...": "decorated twice",
    "@handler\n    @classmethod\n    async def f(cls, ctx) -> None: ...": (
        "no static or class method"
    ),
    "@handler('ask')\n    async def f(self, ctx) -> None: ...": "was given str: 'ask'",
    # What it takes and gives.
    "@handler\n    async def f(self, ctx, a) -> None: ...": "parameter 'a' has no annotation",
    "@handler\n    async def f(self, ctx, a: int): ...": "no return annotation",
    "@handler\n    async def f(self, ctx, *a: int) -> None: ...": r"cannot take `\*a: int`",
    "@handler\n    async def f(self, ctx, **a: int) -> None: ...": r"cannot take `\*\*a: int`",
    "@handler\n    async def f(self, ctx, a: int, /) -> None: ...": "'a' is positional-only",
    "@handler\n    async def f(self, ctx, delay: int) -> None: ...": "cannot be called 'delay'",
    # Options and names.
    "@handler(workflow_retention=__import__('datetime').timedelta(1))\n"
    "    async def f(self, ctx) -> None: ...": "workflow_retention is for a Workflow",
    "@handler(journal_retention=__import__('datetime').timedelta(-1))\n"
    "    async def f(self, ctx) -> None: ...": "journal_retention is -1 day, 0:00:00, and it must",
    "@handler(idempotency_retention=5)\n    async def f(self, ctx) -> None: ...": (
        "idempotency_retention must be a timedelta, but is int: 5"
    ),
    "@handler(tries=3)\n    async def f(self, ctx) -> None: ...": (
        "@handler knows no option tries; there are name, retry, idle_ms_max, mailbox"
    ),
    "@shared(mailbox_invocations_max=0)\n    async def f(self, ctx) -> None: ...": (
        "at least one call must be able to wait"
    ),
    "@shared(retry=3)\n    async def f(self, ctx) -> None: ...": "retry must be a RetryPolicy",
    "@shared(idle_ms_max=True)\n    async def f(self, ctx) -> None: ...": (
        "must be a int, but is bool"
    ),
    "@handler\n    async def _f(self, ctx) -> None: ...": "'_f' cannot be the name of a handler",
    "@handler\n    async def holdfast_f(self, ctx) -> None: ...": "are reserved",
    "@handler\n    async def send(self, ctx) -> None: ...": (
        "'send' cannot be the name of a handler"
    ),
    "@handler(name='a/b')\n    async def f(self, ctx) -> None: ...": "'a/b' cannot be the name",
    "@handler(name='')\n    async def f(self, ctx) -> None: ...": "'' cannot be the name",
    "@handler\n    async def f(self, ctx) -> None: ...\n"
    "    @shared(name='f')\n    async def g(self, ctx) -> None: ...": (
        r"Bad\.g \(written\.py:8\): there are two handlers of the name 'f'"
    ),
    "f: int = state(0)\n    @handler(name='f')\n    async def g(self, ctx) -> None: ...": (
        r"Bad\.f .*has the name 'f', and so has Bad\.g"
    ),
    # State.
    "x = state(0)": r"Bad\.x \(written\.py:6\): a state field needs a type",
    "x: list[int] = state([])": r"written\.py:6: .*use state\(default_factory=list\)",
    "x: list[int] = state([1])": r"use state\(default_factory=\.\.\.\)",
    "x: tuple[list[int]] = state(([],))": "would share the mutable default",
    "x: list[int] = []": r"Bad\.x is one list for all objects.*state\(default_factory=list\)",
    "x: dict[str, int] = {'a': 1}": "is one dict for all objects",
    "x: object = state(object())": "would share the mutable default",
    "x: int = state()": "takes one default",
    "x: int = state(0, default_factory=int)": "takes one default",
    "x: int = state(default_factory=0)": "default_factory must be callable",
    "x: int = state(0, name='')": "is not 1 to 256 characters",
    # The class.
    "def __init__(self, client: str) -> None: ...": "__init__ needs 'client'",
    "pass\nclass Worse(VirtualObject, idle_ms_max=-1): ...": "Worse: idle_ms_max is -1",
    "pass\nclass Worse(VirtualObject, mailbox=3): ...": (
        "Worse: a class's header knows no option mailbox; there are name, retry, idle_ms_max"
    ),
    "pass\nclass Worse(VirtualObject, name='a b'): ...": "'a b' cannot be the name of a service",
    "pass\nclass Worse(VirtualObject, name='openapi'): ...": "'openapi' is reserved",
    "pass\nclass Worse(VirtualObject, name='restate-x'): ...": "'restate-x' is reserved",
    "pass\nclass Worse(Service):\n    x: int = state(0)": r"Worse\.x .*has no key and so no state",
    "pass\nclass Worse(VirtualObject, Service): ...": "a VirtualObject or a Service, not both",
    "@handler\n    async def f(self, ctx) -> None: ...\n"
    "class Worse(Bad):\n    async def f(self, ctx) -> None: ...": r"Worse\.f hides the handler",
    "@handler\n    async def f(self, ctx) -> None: ...\n"
    "class Worse(Bad):\n    f: int = state(0)": r"Worse\.f is both a handler and a state field",
    "x: int = state(0)\nclass Worse(Bad):\n    x = 5": r"Worse\.x hides the state field",
}


RUN = "@handler\n    async def run(self, ctx) -> None: ..."

BAD_WORKFLOWS = {
    "pass": r"Bad: a Workflow has one handler that executes once per key: `@handler async def run",
    "@shared\n    async def look(self, ctx) -> None: ...": "Bad: a Workflow has one handler",
    "@shared\n    async def run(self, ctx) -> None: ...": "so it is decorated with @handler",
    RUN + "\n    @handler\n    async def stop(self, ctx) -> None: ...": (
        r"Bad\.stop \(written\.py:8\): a Workflow has one exclusive handler, 'run'; decorate this "
        "one with @shared"
    ),
    "@handler(name='main')\n    async def run(self, ctx) -> None: ...": "leave out name='main'",
    "@handler(name='run')\n    async def main(self, ctx) -> None: ...": "only the method run",
    RUN + "\nclass Worse(Bad, VirtualObject): ...": "a VirtualObject or a Workflow, not both",
    RUN + "\nclass Worse(Bad, Service): ...": "a Workflow or a Service, not both",
}


@pytest.mark.parametrize(("body", "message"), BAD_WORKFLOWS.items())
def test_a_bad_workflow_is_refused_when_it_is_written(
    write: Callable[[str], ModuleType], body: str, message: str
) -> None:
    with pytest.raises(InvalidDefinitionError, match=message):
        write(f"{PREAMBLE}\n{WORKFLOW}{body}\n")


def test_what_workflows_have_in_common_can_be_written_once(
    write: Callable[[str], ModuleType],
) -> None:
    look = "@shared\n    async def look(self, ctx) -> None: ..."
    module = write(
        f"{PREAMBLE}\nclass _Common(Workflow, name='common'):\n    {look}\n"
        f"class Good(_Common, name='good'):\n    {RUN}\n"
    )

    definition = define(module.Good)
    assert (definition.kind, definition.keyed) == ("workflow", True)
    assert {name: one.is_run for name, one in definition.handlers.items()} == {
        "look": False,
        "run": True,
    }
    with pytest.raises(InvalidDefinitionError, match="a Workflow has one handler"):
        define(vars(module)["_Common"])


def test_a_handler_called_run_is_nothing_special_elsewhere(
    write: Callable[[str], ModuleType],
) -> None:
    module = write(f"{PREAMBLE}\nclass Plain(VirtualObject):\n    {RUN}\n")

    assert not define(module.Plain).handlers["run"].is_run


def test_a_class_may_say_that_its_objects_share_something(
    write: Callable[[str], ModuleType],
) -> None:
    module = write(
        f"from __future__ import annotations\n{PREAMBLE}\nfrom typing import ClassVar\n{OBJECT}"
        f"told: ClassVar[list[str]] = []\n    TOOLS: dict[str, int] = {{}}\n"
        f"    _cache: dict[str, int] = {{}}\n    plain = [1]\n    {RUN}\n"
    )

    assert not define(module.Bad).fields


@pytest.mark.parametrize(("body", "message"), BAD_CLASSES.items())
def test_a_bad_class_is_refused_when_it_is_written(
    write: Callable[[str], ModuleType], body: str, message: str
) -> None:
    with pytest.raises(InvalidDefinitionError, match=message):
        write(f"{PREAMBLE}\n{OBJECT}{body}\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "    @handler\n    async def f(self, ctx, a: 'Missing') -> None: ...",
            "'a': the annotation",
        ),
        (
            "    @handler\n    async def f(self, ctx) -> 'Missing': ...",
            "the result: the annotation",
        ),
        (
            "    @handler\n    async def f(self, ctx, a: complex) -> None: ...",
            "complex cannot be sent",
        ),
        ("    @handler\n    async def f(self, ctx) -> list[Iterator]: ...", "cannot be sent"),
        (
            "    @handler\n    async def f(self, ctx, a: set[int] | list[int]) -> None: ...",
            "no value",
        ),
        ("    pass", "has no handler"),
        (
            "    x: 'Missing' = state(0)\n    @handler\n    async def f(self, ctx) -> None: ...",
            "Missing",
        ),
        (
            "    x: complex = state(0)\n    @handler\n    async def f(self, ctx) -> None: ...",
            "stored",
        ),
        (
            "    x: int = state('a')\n    @handler\n    async def f(self, ctx) -> None: ...",
            "no int",
        ),
    ],
)
def test_a_class_whose_types_mean_nothing_is_refused_when_it_is_registered(
    write: Callable[[str], ModuleType], body: str, message: str
) -> None:
    bad = write(f"{PREAMBLE}\nclass Bad(VirtualObject):\n{body}\n").Bad
    with pytest.raises(InvalidDefinitionError, match=message):
        define(bad)


def test_types_may_be_defined_further_down_and_named_as_text(
    write: Callable[[str], ModuleType],
) -> None:
    module = write(
        f"from __future__ import annotations\n{PREAMBLE}\n"
        "class Shop(VirtualObject):\n"
        "    orders: list[Order] = state(default_factory=list)\n"
        "    @handler\n"
        "    async def list(self, ctx: Context, order: Order) -> list[Order]: ...\n"
        "class Order(TypedDict):\n"
        "    city: str\n"
    )
    definition = define(module.Shop)
    assert definition.fields["orders"].annotation.__args__ == (module.Order,)
    assert definition.handlers["list"].decode_argument(b'{"city":"Bonn"}') == (
        ({"city": "Bonn"},),
        {},
    )


def test_only_classes_of_handlers_can_be_defined() -> None:
    with pytest.raises(InvalidDefinitionError, match="pass the class"):
        define(Assistant())
    for other in (int, VirtualObject, Workflow, Service):
        with pytest.raises(InvalidDefinitionError, match="no class of handlers"):
            define(other)


def test_two_classes_of_one_name_cannot_be_registered_together() -> None:
    class Other(Service, name="Assistant"):
        @handler
        async def ask(self, ctx: Context) -> None: ...

    with pytest.raises(InvalidDefinitionError, match="are both called 'Assistant'"):
        Registry([Assistant, Other])
    with pytest.raises(InvalidDefinitionError, match="registered twice"):
        Registry([Assistant, Assistant])


def test_a_registry_finds_a_handler_by_its_names() -> None:
    registry = Registry([Assistant, Mailer])
    assert registry.get_handler(Target("Assistant", "sam", "book-trip"))[1].attribute == "book"
    assert registry.get_handler(Target("mail", None, "ping"))[0].cls is Mailer


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target("assistant", "sam", "ask"), "no 'assistant'; did you mean 'Assistant'"),
        (Target("Payment", "sam", "ask"), "no 'Payment'; there is Assistant, mail"),
        (Target("Assistant", "sam", "asks"), "no handler 'asks'; did you mean 'ask'"),
        (Target("Assistant", None, "ask"), "names a key: Assistant/<key>/ask"),
        (Target("mail", "sam", "ping"), "is a service and has no keys"),
    ],
)
def test_a_name_that_misses_is_told_what_is_near(target: Target, message: str) -> None:
    with pytest.raises(UnknownTargetError, match=message):
        Registry([Assistant, Mailer]).get_handler(target)


@dataclass
class Order:
    city: str
    nights: int


class Inn(VirtualObject):
    @handler
    async def order(self, ctx: Context, order: Order) -> Order:
        return order

    @handler
    async def find(self, ctx: Context, name: str | None) -> None: ...

    @handler
    async def limit(self, ctx: Context, rooms: int = 5) -> None: ...

    @handler
    async def nothing(self, ctx: Context) -> None: ...

    @handler
    async def close(self, ctx: Context, *, reason: str) -> None: ...


BODIES: list[tuple[type, str, bytes, tuple[tuple[Any, ...], dict[str, Any]]]] = [
    (Assistant, "ask", b'"why?"', (("why?",), {})),
    (Inn, "order", b'{"city":"Bonn","nights":2}', ((Order("Bonn", 2),), {})),
    (Inn, "find", b"", ((None,), {})),
    (Inn, "find", b"null", ((None,), {})),
    (Inn, "limit", b"", ((), {})),
    (Inn, "limit", b"6", ((6,), {})),
    (Inn, "nothing", b"", ((), {})),
    (Inn, "close", b'"rain"', ((), {"reason": "rain"})),
    (
        Assistant,
        "book-trip",
        b'{"breakfast":true,"city":"Bonn"}',
        ((), {"city": "Bonn", "breakfast": True}),
    ),
]


@pytest.mark.parametrize(("cls", "name", "body", "arguments"), BODIES)
def test_a_body_becomes_arguments(
    cls: type, name: str, body: bytes, arguments: tuple[Any, ...]
) -> None:
    assert define(cls).handlers[name].decode_argument(body) == arguments


@pytest.mark.parametrize(
    ("cls", "name", "body", "message"),
    [
        (
            Assistant,
            "ask",
            b"5",
            "Assistant/ask: the body, which is the parameter 'question', .*expected str",
        ),
        (Assistant, "ask", b"", "the parameter 'question', does not fit: it is empty"),
        (Assistant, "ask", b"why", "is to be the parameter 'question', and 'why' is not JSON: .*"),
        (Assistant, "book-trip", b"Bonn", r"a JSON object of .*, and 'Bonn' is not JSON: [^_]*$"),
        (Assistant, "book-trip", b"", r"a JSON object of .*, does not fit: it is empty"),
        (Inn, "order", b'{"city":5}', r"at \$\.city: expected str, found int"),
        (Inn, "order", b'{"city":"Bonn"}', "missing required field `nights`"),
        (Inn, "nothing", b"null", "takes no argument, so the body must be empty"),
        (Assistant, "book-trip", b'{"city":"Bonn"}', "missing required field `breakfast`"),
        (Assistant, "book-trip", b'{"city":"Bonn","stars":1}', "unknown field `stars`"),
        (Assistant, "book-trip", b'{"city":1,"breakfast":true}', r"at \$\.city: expected str"),
        (Assistant, "book-trip", b'"Bonn"', "a JSON object of city, nights, breakfast"),
        (Assistant, "book-trip", b"", "it is empty"),
        (Assistant, "book-trip", b'{"city":"\xff"}', "UTF-8"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_place(
    cls: type, name: str, body: bytes, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        define(cls).handlers[name].decode_argument(body)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'city'"),
        (("Bonn", 1, True), {}, "too many positional arguments"),
        (("Bonn",), {"breakfast": True, "stars": 1}, "unexpected keyword argument 'stars'"),
        ((object(),), {"breakfast": True}, "object.* cannot be encoded"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_they_leave(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"Assistant/book-trip: .*{message}"):
        define(Assistant).handlers["book-trip"].encode_argument(args, kwargs)


def test_a_handler_without_parameters_takes_no_arguments() -> None:
    with pytest.raises(InvalidArgumentError, match="takes no argument, but was given 1"):
        define(Inn).handlers["nothing"].encode_argument((1,), {})


def test_arguments_left_to_their_defaults_are_not_sent() -> None:
    book = define(Assistant).handlers["book-trip"]
    assert (
        book.encode_argument(("Bonn",), {"breakfast": True}) == b'{"city":"Bonn","breakfast":true}'
    )
    assert define(Inn).handlers["limit"].encode_argument((), {}) == b""
    assert define(Inn).handlers["limit"].encode_argument((), {"rooms": 2}) == b"2"


def test_a_body_with_many_digits_may_leave_a_parameter_to_its_default() -> None:
    body = b'{"city":"1234567890123456789","breakfast":true}'
    arguments = define(Assistant).handlers["book-trip"].decode_argument(body)
    assert arguments == ((), {"city": "1234567890123456789", "breakfast": True})


def test_an_attribute_that_is_no_state_field_is_refused_in_a_handler() -> None:
    class Session(VirtualObject):
        kept: int = state(0)

        def __init__(self) -> None:
            self.made_here = 1

        @handler
        async def run(self, ctx: Context) -> None: ...

    assigned: dict[object, object] = {}
    syscalls: Any = SimpleNamespace(state_set=assigned.__setitem__)
    instance = define(Session).new_instance(syscalls)
    instance._scratch = 1  # noqa: SLF001  # a handler's own
    instance.kept = 2

    with pytest.raises(ContextMisuseError, match=r"Session.lost .* declare it in the class"):
        instance.lost = 3
