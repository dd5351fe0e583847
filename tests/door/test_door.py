from pathlib import Path

from tests.door.storm import run_storm
from tests.processes import free_port


def test_no_odd_request_is_a_server_error_or_keeps_others_waiting(tmp_path: Path) -> None:
    port = free_port()
    report = run_storm("short", 2_000, tmp_path, (port, port + 1))

    assert report.violations == []
    assert report.requests == 2_000
    assert {200, 400, 404, 405} <= report.statuses.keys(), "too weak: it reaches too little"
    assert report.good > 0
