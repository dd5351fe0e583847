"""The pytest fixtures: ``runtime`` and what it is made from, and ``llm_server``.

pytest finds this module by the entry point ``holdfast`` of its group ``pytest11``, in every run of
every project that has Holdfast installed. So it loads nothing that runs handlers before a fixture
asks for it.

A test file says what to serve by a fixture of its own, ``holdfast_classes``; ``holdfast_config``
and ``holdfast_store`` may be given in the same way. A fixture of the same name as one of these, in
a test file or a ``conftest.py``, takes its place, as always in pytest.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .. import testing as kit

if TYPE_CHECKING:
    from ..runtime.config import RuntimeConfig
    from .llm import LlmServer
    from .virtual import VirtualRuntime
    from .worlds import World


def _needs_pytest_asyncio(function: Callable[..., Any]) -> Any:
    """A fixture of the same name that says what is missing."""

    def fail() -> None:
        message = (
            f"the fixture {function.__name__} needs pytest-asyncio: pip install 'holdfast[testing]'"
        )
        pytest.fail(message, pytrace=False)

    return pytest.fixture(name=function.__name__)(fail)


try:
    from pytest_asyncio import fixture
except ImportError:
    async_fixture: Callable[..., Any] = _needs_pytest_asyncio
else:
    async_fixture = fixture

STORES = ("memory", "rocks")


@pytest.fixture
def holdfast_classes() -> list[type]:
    """The objects and services to serve; a test file says which, by a fixture of this name."""
    message = (
        "what is the runtime to serve? Define a fixture:\n\n"
        "    @pytest.fixture\n"
        "    def holdfast_classes() -> list[type]:\n"
        "        return [Assistant]"
    )
    return pytest.fail(message, pytrace=False)


@pytest.fixture
def holdfast_config() -> "RuntimeConfig | None":
    """Limits and delays of the runtime; ``None`` for those that suit tests."""
    return None


@pytest.fixture
def holdfast_store() -> str:
    """Where the rows are: in ``"memory"``, or on disk, ``"rocks"``."""
    return "memory"


@pytest.fixture
def holdfast_data_dir(holdfast_store: str, request: pytest.FixtureRequest) -> Path | None:
    """The data directory of the test, for the store on disk."""
    if holdfast_store not in STORES:
        message = f"holdfast_store is one of {', '.join(STORES)}, not {holdfast_store!r}"
        pytest.fail(message, pytrace=False)
    if holdfast_store == "memory":
        return None
    tmp_path: Path = request.getfixturevalue("tmp_path")
    return tmp_path / "holdfast"


@async_fixture
async def holdfast_world(
    holdfast_classes: list[type],
    holdfast_config: "RuntimeConfig | None",
    holdfast_data_dir: Path | None,
) -> "AsyncIterator[World]":
    """The rows, the clock and the runtime; ``await holdfast_world.restart()`` crashes it."""
    # Loaded here and not before: the names of the kit load what they need when they are used.
    world = kit.World(holdfast_classes, kit.unhurried(holdfast_config), data_dir=holdfast_data_dir)
    await world.start()
    watch = asyncio.ensure_future(world.watch())
    try:
        yield world
    finally:
        watch.cancel()
        world.close()
        await world.rest()


@async_fixture
async def runtime(holdfast_world: "World") -> "VirtualRuntime":
    """A started runtime on virtual time, which serves what ``holdfast_classes`` says."""
    return holdfast_world.runtime


@pytest.fixture
def llm_server(monkeypatch: pytest.MonkeyPatch) -> "Iterator[LlmServer]":
    """A scripted model with an empty script; ``llm_server.add(say("Hello"))`` fills it.

    OPENAI_BASE_URL and OPENAI_API_KEY lead to it while the test runs, so that a client which is
    made with no arguments calls it and nobody else.
    """
    with kit.LlmServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "scripted")
        yield server
