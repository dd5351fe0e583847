"""Which classes a target gives, in process."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.loading import load_target
from holdfast.objects.errors import InvalidDefinitionError, UnknownTargetError

ONE = """
from holdfast import Context, VirtualObject, handler

class One(VirtualObject):
    @handler
    async def go(self, ctx: Context) -> None: ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to load from; what was imported is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def names_in(target: str) -> list[str]:
    return [cls.__name__ for cls in load_target(target).classes]


def test_the_classes_a_file_defines_are_served_in_their_order(here: Path) -> None:
    (here / "two.py").write_text(ONE.replace("One", "Zebra") + ONE.replace("One", "Ant"))
    assert names_in("two.py") == ["Zebra", "Ant"]


def test_an_imported_class_is_served_only_when_it_is_listed(here: Path) -> None:
    (here / "one_class.py").write_text(ONE)
    (here / "plain.py").write_text("from one_class import One\n" + ONE.replace("One", "Own"))
    (here / "listing.py").write_text("from one_class import One\n__all__ = ['One']\n")
    assert names_in("plain.py") == ["Own"]
    assert names_in("listing.py") == ["One"]


def test_a_class_with_an_underscore_is_there_to_inherit_from(here: Path) -> None:
    (here / "shy.py").write_text(
        ONE.replace("One", "_Common") + "class Real(_Common):\n    '''Serves.'''\n"
    )
    assert names_in("shy.py") == ["Real"]


def test_a_file_named_like_a_loaded_module_takes_nobodys_place(here: Path) -> None:
    import json  # noqa: PLC0415  # the module whose place is at stake

    (here / "json.py").write_text(ONE)
    assert names_in("json.py") == ["One"]
    assert sys.modules["json"] is json


def test_a_file_that_fails_leaves_no_half_module(here: Path) -> None:
    (here / "half_done.py").write_text(ONE + "1 / 0\n")
    with pytest.raises(InvalidDefinitionError, match=r"ZeroDivisionError.*half_done.py, line 7"):
        load_target("half_done.py")
    assert "half_done" not in sys.modules


def test_a_module_that_imports_a_missing_one_is_not_itself_missing(here: Path) -> None:
    (here / "needy.py").write_text("import no_such_package\n")
    with pytest.raises(InvalidDefinitionError, match="no_such_package"):
        load_target("needy")
    with pytest.raises(UnknownTargetError, match="no module 'needier'"):
        load_target("needier")


def test_a_file_named_without_its_ending_is_suggested(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "one.py").write_text(ONE)
    with pytest.raises(UnknownTargetError, match=r"did you mean sub/one\.py\?"):
        load_target("sub/one")


MIXIN = """
from holdfast import Context, VirtualObject, handler

class Plain:
    @handler
    async def go(self, ctx: Context) -> None: ...
"""


@pytest.mark.parametrize("beside", ["", ONE])
def test_a_class_with_handlers_that_derives_from_nothing_is_refused(
    here: Path, beside: str
) -> None:
    (here / "forgot.py").write_text(MIXIN + beside)
    with pytest.raises(
        InvalidDefinitionError,
        match="Plain has handlers but does not derive from VirtualObject, Workflow or Service",
    ):
        load_target("forgot.py")


def test_a_class_with_handlers_may_be_mixed_in(here: Path) -> None:
    (here / "mixed.py").write_text(MIXIN + "class Real(Plain, VirtualObject):\n    pass\n")
    assert names_in("mixed.py") == ["Real"]
