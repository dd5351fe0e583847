"""What no runtime can be made of, or stopped with, is refused where it is given."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import Context, InvalidArgumentError, MemoryStore, Runtime, Service, handler


class Echo(Service):
    @handler
    async def say(self, ctx: Context, text: str) -> str:
        return text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"classes": Echo}, r"Runtime\(\[Echo\], ...\)"),
        ({"data_dir": None}, "needs a directory"),
        ({"data_dir": 5}, 'a path, as in data_dir="data", but this is 5'),
        ({"durability": ["fsync"]}, 'is "fsync" or "process", not'),
        ({"config": {"stop_grace": 5}}, "config is a RuntimeConfig.* but this is dict"),
    ],
)
def test_what_no_runtime_can_be_made_of_is_named(given: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"classes": [Echo], "data_dir": "data", **given}
    with pytest.raises(InvalidArgumentError, match=sentence):
        Runtime(options.pop("classes"), **options)
    assert not Path("data").exists()


async def test_a_grace_is_a_duration_or_seconds() -> None:
    runtime = Runtime([Echo], store=MemoryStore())
    await runtime.start()
    odd: Any = "5s"
    with pytest.raises(InvalidArgumentError, match="the grace of stop is a timedelta or a number"):
        await runtime.stop(odd)
    assert await runtime.service(Echo).say("still here") == "still here"
    await runtime.stop(0.5)
    await runtime.stop(timedelta(0))
    assert runtime.health == "stopped"


@pytest.mark.parametrize("port", ["8080", 8080.0, 65_536, -1])
async def test_a_port_is_a_whole_number(port: Any) -> None:
    async with Runtime([Echo], store=MemoryStore()) as runtime:
        with pytest.raises(InvalidArgumentError, match=r"port .* is out of range.*a whole number"):
            await runtime.serve(port=port)
