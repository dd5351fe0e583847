"""Every command in a journal says where it was asked for and by what code."""

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Context, VirtualObject, handler
from holdfast.journal import codec, keys
from holdfast.journal.entry import Issued, Run
from holdfast.objects.definition import define
from holdfast.objects.fingerprints import fingerprint_of
from holdfast.runtime.sources import SourceFinder

from .worlds import World


async def act(value: int = 0) -> int:
    return value


def blocking() -> int:
    return 1


class Tool:
    async def use(self) -> int:
        return 2

    async def __call__(self) -> int:
        return 3


async def by_helper(ctx: Context) -> int:
    return await ctx.run("helped", act)


class Placed(VirtualObject):
    @handler
    async def go(self, ctx: Context) -> int:
        await ctx.run("plain", act, 1)
        await ctx.run("thread", blocking)
        await ctx.run("method", Tool().use)
        await ctx.run("object", Tool())
        await ctx.run("partial", functools.partial(act, 2))
        await ctx.run("lambda", lambda: 4)
        await ctx.run("builtin", max, 1, 2)
        await by_helper(ctx)
        await ctx.sleep(0)
        return 0

    @handler
    async def same(self, ctx: Context) -> int:
        await by_helper(ctx)
        return 1


async def recorded(handler_name: str) -> list[Issued]:
    world = World([Placed])
    runtime = await world.start()
    proxy: Any = runtime.object(Placed, "p")
    await world.finish(getattr(proxy, handler_name)())
    start, end = keys.prefix_range(keys.JOURNAL)
    entries = [codec.decode_entry(row) for _, row in world.store.scan(start, end)]
    world.close()
    return [entry for entry in entries if isinstance(entry, Issued)]


def line_of(function: Callable[..., Any]) -> int:
    return int(function.__code__.co_firstlineno)


async def test_a_command_names_the_line_that_asked_and_the_handler_by_its_fingerprint() -> None:
    issued = await recorded("go")
    definition = define(Placed).handlers["go"]
    first = line_of(definition.function)
    lines = [int(re.fullmatch(r"test_places\.py:(\d+)#.*", each.source)[1]) for each in issued]  # type: ignore[index]  # it matches or the test fails

    assert lines == [*range(first + 2, first + 9), line_of(by_helper) + 1, first + 10]
    assert {each.source.partition("#")[2] for each in issued} == {definition.fingerprint}


async def test_a_function_that_two_handlers_call_is_told_apart_by_handler() -> None:
    (issued,) = await recorded("same")

    assert issued.source.startswith(f"test_places.py:{line_of(by_helper) + 1}#")
    assert issued.source.endswith(define(Placed).handlers["same"].fingerprint)


async def test_a_step_names_its_action_and_the_fingerprint_of_that() -> None:
    actions = {
        each.command.name: each.command.action
        for each in await recorded("go")
        if isinstance(each.command, Run)
    }

    def place(function: Callable[..., Any]) -> str:
        # The file is the one that asked, so its name is not written twice.
        return f":{line_of(function)}#{fingerprint_of(function.__code__)}"

    made = actions.pop("lambda")
    assert made is not None
    assert made.startswith(f":{line_of(define(Placed).handlers['go'].function) + 7}#")
    assert actions == {
        "plain": place(act),
        "thread": place(blocking),
        "method": place(Tool.use),
        "object": place(Tool.__call__),
        "partial": place(act),
        "builtin": None,
        "helped": place(act),
    }


def test_ever_new_functions_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.runtime.sources._REMEMBERED_MAX", 10)
    finder = SourceFinder()
    places = set[str | None]()
    for number in range(50):
        names: dict[str, Any] = {}
        exec(f"def made(find):\n    return {number}, find(None)", names)  # noqa: S102  # a new code object is what this is about
        places.add(finder.find_action(names["made"]))
        assert names["made"](finder.find) == (number, "<string>:2")

    assert len(places) == 50
    kept = vars(finder)
    assert [len(each) <= 10 for each in kept.values()] == [True, True]


def test_what_separates_a_place_from_its_fingerprint_stands_in_no_file_name() -> None:
    code = compile("def made(): pass", "odd#na:me\udc80.py", "exec")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  # the file's name is what this is about

    assert SourceFinder().find_action(names["made"]) == (
        f"odd_na_me?.py:1#{fingerprint_of(names['made'].__code__)}"
    )
