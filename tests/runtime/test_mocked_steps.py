"""Steps whose function a test has replaced by a mock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec, patch

import pytest

from holdfast import Context, RetryPolicy, VirtualObject, handler

from .worlds import World


async def call_model(prompt: str) -> str:
    raise NotImplementedError


def look_up(prompt: str) -> str:
    raise NotImplementedError


class Assistant(VirtualObject, retry=RetryPolicy(max_attempts=1, on_max_attempts="fail")):
    @handler
    async def ask(self, ctx: Context, prompt: str) -> str:
        return await ctx.run("llm", call_model, prompt)


MOCKS: dict[str, Callable[[], Any]] = {
    "async": lambda: AsyncMock(return_value="mocked"),
    "plain": lambda: Mock(return_value="mocked"),
    "magic": lambda: MagicMock(return_value="mocked"),
    "async like": lambda: create_autospec(call_model, return_value="mocked"),
    "plain like": lambda: create_autospec(look_up, return_value="mocked"),
    "async spec": lambda: AsyncMock(spec=call_model, return_value="mocked"),
}


@pytest.mark.parametrize("name", MOCKS)
async def test_a_step_runs_the_mock_that_stands_for_its_function(name: str) -> None:
    mock = MOCKS[name]()
    world = World([Assistant])
    runtime = await world.start()
    with patch(f"{__name__}.call_model", mock):
        assert await runtime.object(Assistant, "sam").ask("hello") == "mocked"
    mock.assert_called_once_with("hello")
    world.close()
