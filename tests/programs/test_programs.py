from pathlib import Path

from tests.processes import free_port
from tests.programs.language import CALLING, COMMANDS_MAX, LAYERS, PLAIN, Author, Drawn
from tests.programs.storm import Foretold, Plan, run_storm


def test_random_programs_leave_exactly_what_was_foretold_although_the_server_is_killed(
    tmp_path: Path,
) -> None:
    plan = Plan(
        seed="short", programs=80, keys=12, fault_seconds=1.0, directory=tmp_path, port=free_port()
    )
    report = run_storm(plan)

    assert report.violations == []
    assert report.programs == 80
    assert report.kills >= 2


def test_one_seed_draws_one_sequence_of_programs_and_every_kind_of_command() -> None:
    first, second = (Author("seed", keys=9).write() for _ in range(2))
    drawn = [next(first) for _ in range(200)]
    assert drawn == [next(second) for _ in range(200)]

    text = repr([each.program for each in drawn])
    for kind in (*PLAIN, *CALLING, "await"):
        assert f"'{kind}'" in text
    numbers = [number for each in drawn for left in each.left.values() for number in left]
    assert len(numbers) == len(set(numbers))
    assert {layer for each in drawn for layer, _ in each.left} == set(range(LAYERS))
    assert max(len(each.program) for each in drawn) <= 2 * COMMANDS_MAX[0]


def test_what_was_foretold_tells_what_is_wrong() -> None:
    place = (0, 4)
    foretold = Foretold()
    foretold.add(
        Drawn(place, [["add", 1], ["indirect", 0, 4, 2, 0], ["step", 3]], 2, {place: [1, 2, 3]})
    )

    assert foretold.differences(place, [2, 1, 3]) == []
    assert foretold.differences(place, [1, 3]) == ["lost [2]"]
    assert foretold.differences(place, [1, 2, 3, 1]) == ["twice [1]"]
    assert foretold.differences(place, [1, 2, 3, 4]) == ["from nowhere [4]"]
    assert foretold.differences(place, [3, 2, 1]) == ["in another order [1, 3]"]
