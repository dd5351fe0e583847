"""The fixtures, as a user's own test files use them, each in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from holdfast.testing.worlds import World
from tests.processes import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

LOADED = World
"""Imported before any inner run, which would forget it again at its end."""

OBJECTS = """
import asyncio
from holdfast import Context, VirtualObject, handler, state


class Napper(VirtualObject):
    naps: int = state(0)

    @handler
    async def nap(self, ctx: Context, seconds: float) -> int:
        await asyncio.sleep(seconds)
        self.naps += 1
        return self.naps

    @handler
    async def ask(self, ctx: Context) -> str:
        return await ctx.awakeable(str)
"""

HEAD = """
import pytest
from objects import Napper


@pytest.fixture
def holdfast_classes() -> list[type]:
    return [Napper]

"""


class Project:
    """A user's project: files, and a run of its tests by a plain pytest."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makepyfile(objects=OBJECTS)
        pytester.syspathinsert()
        self.set_up("asyncio_mode = auto")

    def set_up(self, *lines: str, loop_scope: str = "function") -> None:
        scope = f"asyncio_default_fixture_loop_scope = {loop_scope}"
        self.pytester.makeini("\n".join(["[pytest]", scope, *lines]))

    def run(
        self, test: str, *flags: str, head: str = HEAD, apart: bool = False
    ) -> pytest.RunResult:
        """Run one test file, in a process of its own where it must be ``apart``."""
        self.pytester.makepyfile(test_it=head + textwrap.dedent(test))
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest_inprocess
        # By its module, whether or not this environment has the entry point installed.
        plugins = [*flags, "-p", "no:holdfast", "-p", "holdfast.testing.plugin"]
        quick = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        # In this process the plugin may have been imported before.
        warnings = ["-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        return run(*plugins, *quick, *warnings)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return Project(pytester)


def test_a_call_sleeps_an_hour_in_no_time(project: Project) -> None:
    result = project.run("""
        async def test_nap(runtime) -> None:
            before = runtime.clock.now_ms()
            assert await runtime.finish(runtime.object(Napper, "n").nap(3600)) == 1
            assert runtime.clock.now_ms() - before == 3_600_000
    """)
    result.assert_outcomes(passed=1)


def test_the_fixtures_work_where_asyncio_is_strict(project: Project) -> None:
    project.set_up("asyncio_mode = strict")
    result = project.run("""
        @pytest.mark.asyncio
        async def test_nap(runtime) -> None:
            assert await runtime.finish(runtime.object(Napper, "n").nap(1)) == 1

        def test_without_a_loop() -> None:
            pass
    """)
    result.assert_outcomes(passed=2)


def test_the_fixtures_follow_a_wider_loop_scope(project: Project) -> None:
    project.set_up(
        "asyncio_mode = auto",
        "asyncio_default_test_loop_scope = session",
        loop_scope="session",
    )
    result = project.run("""
        @pytest.mark.parametrize("time", [1, 2])
        async def test_nap(runtime, time) -> None:
            assert await runtime.finish(runtime.object(Napper, "n").nap(1)) == 1
    """)
    result.assert_outcomes(passed=2)


def test_two_loops_are_told_apart(project: Project) -> None:
    result = project.run("""
        @pytest.mark.asyncio(loop_scope="module")
        async def test_nap(runtime) -> None:
            await runtime.object(Napper, "n").nap(1)
    """)
    assert "runs on another event loop than the test" in result.stdout.str()


@pytest.mark.parametrize("scope", ["memory", "rocks"])
def test_one_test_runs_on_both_stores(project: Project, scope: str) -> None:
    result = project.run(f"""
        @pytest.mark.parametrize("holdfast_store", ["{scope}"])
        async def test_survives(runtime, holdfast_world, tmp_path) -> None:
            await runtime.object(Napper, "n").nap.send(60)
            runtime = await holdfast_world.restart()
            await runtime.clock.advance(61)
            assert await runtime.finish(runtime.object(Napper, "n").nap(1)) == 2
            assert (tmp_path / "holdfast").exists() == ("{scope}" == "rocks")
    """)
    result.assert_outcomes(passed=1)


def test_the_limits_come_from_a_fixture(project: Project) -> None:
    result = project.run("""
        from holdfast import MailboxFullError, RuntimeConfig

        @pytest.fixture
        def holdfast_config() -> RuntimeConfig:
            return RuntimeConfig(mailbox_invocations_max=1)

        async def test_full(runtime) -> None:
            for _ in range(2):
                await runtime.object(Napper, "n").nap.send(60)
            with pytest.raises(MailboxFullError):
                await runtime.object(Napper, "n").nap.send(60)
    """)
    result.assert_outcomes(passed=1)


def test_a_runtime_that_serves_nothing_says_how_to_say_what(project: Project) -> None:
    result = project.run("async def test_it(runtime) -> None: ...", head="")
    assert "what is the runtime to serve? Define a fixture:" in result.stdout.str()
    result.assert_outcomes(errors=1)


def test_a_store_that_there_is_not_is_refused(project: Project) -> None:
    result = project.run("""
        @pytest.mark.parametrize("holdfast_store", ["disk"])
        async def test_it(runtime) -> None: ...
    """)
    assert "holdfast_store is one of memory, rocks, not 'disk'" in result.stdout.str()


def test_a_fixture_of_the_user_takes_the_place_of_one_of_the_same_name(project: Project) -> None:
    project.pytester.makeconftest(
        "import pytest\n\n@pytest.fixture\ndef runtime() -> str:\n    return 'mine'\n"
    )
    result = project.run("def test_it(runtime) -> None: assert runtime == 'mine'", head="")
    result.assert_outcomes(passed=1)


def test_a_call_that_only_time_could_answer_fails_and_does_not_hang(project: Project) -> None:
    result = project.run("""
        async def test_forgot_to_finish(runtime) -> None:
            await runtime.object(Napper, "n").nap(3600)
    """)
    assert "this does not end while time stands still" in result.stdout.str()
    assert "sleep until 2001-09-09 02:46:40+00:00 (no result yet)" in result.stdout.str()
    result.assert_outcomes(failed=1)


def test_a_call_that_nothing_can_answer_says_what_it_waits_for(project: Project) -> None:
    result = project.run("""
        async def test_nobody_answers(runtime) -> None:
            await runtime.finish(runtime.object(Napper, "n").ask())
    """)
    assert "this never ends: nothing is left that could move it" in result.stdout.str()
    assert "awakeable (no result yet)" in result.stdout.str()


def test_an_invocation_that_is_left_open_does_not_disturb_the_next_test(project: Project) -> None:
    result = project.run("""
        @pytest.mark.parametrize("time", [1, 2])
        async def test_leaves_it(runtime, time) -> None:
            await runtime.object(Napper, "n").nap.send(60)
            assert runtime.statistics().invocations_accepted == 1
    """)
    result.assert_outcomes(passed=2)


def test_a_real_wait_in_a_test_does_not_move_the_time(project: Project) -> None:
    result = project.run("""
        import asyncio

        async def test_it(runtime) -> None:
            napping = asyncio.ensure_future(runtime.object(Napper, "n").nap(1))
            await asyncio.sleep(0.05)
            assert not napping.done()
            assert await runtime.finish(napping) == 1
    """)
    result.assert_outcomes(passed=1)


def test_pytest_loads_no_runtime_for_a_project_that_does_not_ask(project: Project) -> None:
    result = project.run(
        """
        import sys

        def test_it() -> None:
            heavy = {"rocksdict", "aiohttp", "opentelemetry", "holdfast.runtime.engine"}
            assert heavy & set(sys.modules) == set()
        """,
        head="",
        apart=True,
    )
    result.assert_outcomes(passed=1)


def test_the_kit_needs_no_pytest(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pytest'] = sys.modules['pytest_asyncio'] = None; "
        "import holdfast.testing as kit; print([getattr(kit, name) for name in kit.__all__])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "crash_everywhere" in done.stdout, done.stderr


def test_without_pytest_asyncio_a_test_is_told_what_to_install(project: Project) -> None:
    project.pytester.makepyfile(hide="import sys; sys.modules['pytest_asyncio'] = None")
    project.pytester.makeini("[pytest]")
    result = project.run(
        "def test_it(runtime) -> None: ...", "-p", "no:asyncio", "-p", "hide", apart=True
    )
    result.assert_outcomes(errors=1)
    assert "needs pytest-asyncio: pip install 'holdfast[testing]'" in result.stdout.str()
