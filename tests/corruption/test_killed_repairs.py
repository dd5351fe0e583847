"""A repair that is killed anywhere is finished by the next, and loses nothing."""

from pathlib import Path

import pytest

from tests.corruption.images import Image
from tests.corruption.repairs import REPAIRABLE, kill_repairs

KILLS_MIN = {"torn manifest": 8, "hole in the log": 10, "lost CURRENT": 8, "all of them": 16}


@pytest.mark.parametrize("damage", REPAIRABLE)
def test_a_repair_killed_before_any_of_its_changes_is_done_by_the_next(
    image: Image, scratch: Path, damage: str
) -> None:
    killed = list(kill_repairs(image, REPAIRABLE[damage], scratch))

    assert [each for each in killed if each] == []
    assert len(killed) >= KILLS_MIN[damage], "the kills miss some of its changes"
