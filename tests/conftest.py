"""What every test gets: nothing of the machine it runs on."""

import gc
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what goes to the background so, and the programs that tests start would
    # inherit it: Ctrl-C could not end them.
    signal.signal(signal.SIGINT, signal.default_int_handler)


HERE = Path(__file__).parent
LONGEST = [
    HERE / "sim/test_worlds.py",  # a fifth of all
    HERE / "power/test_power.py",
    HERE / "crash/test_crash.py",
    HERE / "laws/test_crash_at_every_commit.py",
    HERE / "cli/test_dev.py",
    HERE / "crash/test_crowds.py",
    HERE / "corruption/test_killed_repairs.py",
    HERE / "test_testing_page.py",
]
"""Files that take long. Begun last, one of them would be waited for, with a core idle."""
assert all(path.is_file() for path in LONGEST)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's telemetry or reload settings must not decide how a test ends."""
    for name in (
        *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "HOLDFAST_RELOADED"),
        *("HOLDFAST_URL", "HOLDFAST_ADMIN_URL", "HOLDFAST_TOKEN", "HOLDFAST_ADMIN_TOKEN"),
    ):
        monkeypatch.delenv(name, raising=False)


def pytest_collection() -> None:
    """Collecting makes little garbage and much that stays: looking through it takes longer."""
    gc.disable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several workers, let the first begin with the longest file, and so on."""
    if hasattr(config, "workerinput"):
        place = {path: number for number, path in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish() -> None:
    """All that collecting made stays: no collection of garbage has to look at it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged may hold lone surrogates, which cannot be sent between processes."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report
