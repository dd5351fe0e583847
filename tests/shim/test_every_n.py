from pathlib import Path

import pytest

from tests.shim.shim import Fault, find_obstacle
from tests.shim.slow_disk import watch_slow_disk
from tests.shim.sweep import Point, Sweep

OBSTACLE = find_obstacle()
needs_compiler = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)
EACH = 61
"""One point in so many; a prime, so that all kinds are met. All of them are run by the proof."""


@needs_compiler
def test_wherever_the_disk_fails_or_the_process_dies_what_was_acknowledged_is_there(
    tmp_path: Path,
) -> None:
    with Sweep(tmp_path) as sweep:
        points = list(sweep.points())
        found = sweep.run(points[::EACH], workers=2)

    assert found.violations == []
    assert found.acknowledged > 0
    assert found.endings["ended, 75"] > 0, "no fault was met while it served"
    assert found.endings["ended, -9"] > 0


@needs_compiler
def test_a_lost_acknowledgement_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep itself: a server that forgets what it answered must not pass."""
    with Sweep(tmp_path) as sweep:
        run = sweep.run_script

        def lie(*arguments: object) -> dict[str, int]:
            return run(*arguments) | {"new 0": 7}  # type: ignore[arg-type]

        monkeypatch.setattr(sweep, "run_script", lie)
        found = sweep.run_one(Point(base="new", fault=Fault(kind="sync", first=20, how="kill")))

    assert any("was answered 7 and is" in each for each in found.violations)


@needs_compiler
def test_on_a_slow_disk_nothing_is_acknowledged_early_and_the_health_says_so(
    tmp_path: Path,
) -> None:
    seen = watch_slow_disk(tmp_path, seconds=1.5)

    assert seen.violations == []
    assert seen.calls > 0
