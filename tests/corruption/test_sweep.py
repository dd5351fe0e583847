"""Every damage to one file is noticed, or does no harm."""

from pathlib import Path

from tests.corruption.damage import Came, Damage, draw, judge
from tests.corruption.images import Image
from tests.corruption.repairs import find_file

DAMAGES = 240
SEED = "sweep"


def test_a_damaged_file_gives_right_rows_or_is_refused_by_name(image: Image, scratch: Path) -> None:
    judged = [
        judge(damage, image.path, image.states, scratch)
        for damage in draw(image.path, SEED, DAMAGES)
    ]

    broken = [f"{each.damage}: {each.text}" for each in judged if each.came is Came.BROKEN]
    assert broken == []
    counts = {came: sum(each.came is came for each in judged) for came in Came}
    assert counts[Came.RIGHT] >= DAMAGES // 10, "the damages spare too little to show anything"
    assert counts[Came.REFUSED] >= DAMAGES // 10
    assert counts[Came.STOPPED] >= 1


def test_the_sweep_sees_rows_that_are_missing(image: Image, scratch: Path) -> None:
    """What is found when a start is told to promise nothing: the check itself is checked."""
    promised = (dict(image.states[-1]) | {b"a row": b"that was acknowledged"},)

    judged = judge(Damage("deletion", "holdfast.lock"), image.path, promised, scratch)

    assert judged.came is Came.BROKEN
    assert judged.text == "opened in silence, 1 acknowledged rows are missing"


def test_the_unacknowledged_tail_may_be_lost_batch_by_batch_and_no_further(
    image: Image, scratch: Path
) -> None:
    assert len(image.states) >= 3, "the author left too little that was not acknowledged"
    log = find_file(image.path, "*.log")
    for cut in range(1, 600, 7):
        damage = Damage("truncation", f"rocksdb/{log.name}", log.stat().st_size - cut)
        judged = judge(damage, image.path, image.states, scratch)
        assert judged.came is Came.RIGHT, f"{damage}: {judged.text}"
