"""A damaged directory under a real server: right answers, or exit code 78 and the file's name."""

from pathlib import Path

from tests.corruption.damage import Came, Damage
from tests.corruption.images import Image
from tests.corruption.repairs import find_file
from tests.corruption.served import serve_damaged


def serve(image: Image, scratch: Path, kind: str, pattern: str, position: int) -> Came:
    file = find_file(image.path, pattern)
    damage = Damage(kind, f"rocksdb/{file.name}", position)
    judged = serve_damaged(damage, image, scratch)
    assert judged.came is not Came.BROKEN, judged.text
    return judged.came


def test_a_server_that_lacks_a_file_it_does_not_need_answers_right(
    image: Image, scratch: Path
) -> None:
    assert serve(image, scratch, "deletion", "IDENTITY", 0) is Came.RIGHT


def test_a_server_on_a_damaged_log_ends_with_78_and_the_name_of_the_log(
    image: Image, scratch: Path
) -> None:
    assert serve(image, scratch, "bit flip", "*.log", 4_000) is Came.REFUSED


def test_a_server_that_meets_a_damaged_row_ends_with_78_and_is_not_to_be_started_again(
    image: Image, scratch: Path
) -> None:
    assert serve(image, scratch, "zeroed sector", "*.sst", 0) is Came.STOPPED
