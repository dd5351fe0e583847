from pathlib import Path

import pytest

from tests.processes import holdfast, post
from tests.shim.shim import Counts, Fault, build, find_obstacle
from tests.shim.sweep import SERVED, Point, Sweep

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
        run = sweep._run  # noqa: SLF001  # it is what is lied about

        def lie(*arguments: object) -> dict[str, int]:
            return run(*arguments) | {"new 0": 7}  # type: ignore[arg-type]

        monkeypatch.setattr(sweep, "_run", lie)
        found = sweep.run_one(Point(base="new", fault=Fault(kind="sync", first=20, how="kill")))

    assert any("was answered 7 and is" in each for each in found.violations)


@needs_compiler
def test_nothing_is_acknowledged_while_the_disk_is_late(tmp_path: Path) -> None:
    library = build(tmp_path)
    data = tmp_path / "data"
    seconds = 0.3
    with Counts(tmp_path / "counts") as counts:
        late = Fault(kind="sync", first=1, times=1 << 62, how=f"late:{round(seconds * 1e6)}")
        env = {"LD_PRELOAD": str(library), **counts.environment(data.resolve(), late)}
        options = ("--port", "0", "--admin-port", "none", "--data", str(data))
        with holdfast("serve", str(SERVED), *options, cwd=tmp_path, env=env) as server:
            port = server.wait_port()
            before = counts.of("sync")
            status, answer = post(port, "/Account/a/put", "first", {"idempotency-key": "first"})

            assert (status, answer) == (200, 2)
            # The intent of the step before its action, and the outcome before the answer.
            assert counts.of("sync") - before >= 2
