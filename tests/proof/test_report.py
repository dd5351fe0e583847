import re
from pathlib import Path

from tests.proof.all_parts import PARTS
from tests.proof.invariants import INVARIANTS
from tests.proof.parts import Line, Part, Size, Table
from tests.proof.report import Ran, as_json, as_markdown

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def nothing(_size: Size, _seed: str, _directory: Path) -> list[Line | Table]:
    return []


PART = Part(name="disk", title="Disks", run=nothing)
GOOD = Line(fault="power cut", invariants=("I1", "I13"), injected=40, checked="9 calls", seed="7")
BAD = Line(fault="kill", invariants=("I1",), injected=2, violations=("call 3 | lost",), seed="8")


def page(*lines: Line) -> str:
    return as_markdown([Ran(part=PART, lines=list(lines))], {"seed": "7"})


def test_the_page_counts_faults_by_invariant_and_says_what_was_not_checked() -> None:
    text = page(GOOD, BAD)

    assert "| power cut | 40 | 9 calls | I1 I13 | 0 | `7` |" in text
    assert "| I1 | 42 | power cut; kill |" in text
    assert "| I13 | 40 | power cut |" in text
    assert "Not checked in this run: I2, I3," in text


def test_a_broken_promise_is_on_the_page_and_makes_the_part_bad() -> None:
    assert "* call 3 | lost" in page(BAD)
    assert not Ran(part=PART, lines=[BAD]).is_good
    assert not Ran(part=PART, error="it ended").is_good
    assert Ran(part=PART, lines=[GOOD]).is_good


def test_what_could_not_be_done_says_why_and_counts_for_nothing() -> None:
    text = page(Line(fault="power cut", invariants=("I1",), skipped="needs root"))

    assert "| power cut | - | not done: needs root | I1 | - |  |" in text
    assert "Not checked in this run: I1," in text


def test_the_json_has_all_that_the_page_has() -> None:
    table = Table(title="Times", columns=("a",), rows=(("1",),))
    document = as_json([Ran(part=PART, lines=[GOOD], tables=[table])], {"seed": "7"})

    (part,) = document["parts"]
    assert part["lines"][0]["injected"] == 40
    assert part["tables"][0]["rows"] == (("1",),)


def test_the_page_on_reliability_lists_every_part_by_its_name() -> None:
    text = (DOCS / "reliability.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)

    assert sorted(listed) == sorted(part.name for part in PARTS)
    assert "--only programs" in text


def test_the_fault_report_in_the_docs_is_of_all_parts_and_good() -> None:
    text = (DOCS / "fault-report.md").read_text("utf-8")

    assert [part.title for part in PARTS if f"## {part.title}\n" not in text] == []
    assert "It could not be run to its end" not in text
    assert all(f"| {name} |" in text for name in INVARIANTS)


def test_names_of_parts_are_their_own() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert {Size.PROVE, Size.LONG} == set(Size)
