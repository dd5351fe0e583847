"""What a process has loaded, which whoever starts it again after a crash waits for."""

from pathlib import Path

from tests.processes import holdfast, post

LOADED = """
import gc
import sys
from holdfast import Context, Service, handler

class Process(Service):
    @handler
    async def loaded(self, ctx: Context) -> list[str]:
        return sorted(sys.modules)

    @handler
    async def collects(self, ctx: Context) -> bool:
        return gc.get_threshold()[0] > 0 and gc.get_freeze_count() > 10_000
"""

NOT_BEFORE_IT_IS_USED = (
    "holdfast.checking_command",
    "holdfast.client",
    "holdfast.commands",
    "holdfast.demo",
    "holdfast.dev_command",
    "holdfast.testing",
    "jsonschema",
    "opentelemetry.sdk",
)

MODULES_MAX = 710
"""All of them, Python's own and those of aiohttp too; a few more or less by release."""


def test_a_server_that_answers_has_loaded_only_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "process.py").write_text(LOADED)
    with holdfast("serve", "process.py", "--port", "0", cwd=tmp_path) as server:
        port = server.wait_port()
        loaded: list[str] = post(port, "/Process/loaded")[1]
        assert [name for name in NOT_BEFORE_IT_IS_USED if name in loaded] == []
        assert len(loaded) <= MODULES_MAX
        # What was loaded is never looked at again, and what comes is.
        assert post(port, "/Process/collects") == (200, True)
