from pathlib import Path
from xml.etree import ElementTree as ET

from bench.harness import Figure, Series
from bench.page import page
from bench.plot import plot
from bench.results import Measured, drawn, read_results, write_results

MEASURED = Measured(
    name="counter",
    title="Counter call",
    is_short=True,
    machine={"processor": "one", "load after": "0.10"},
    figures=(
        Figure(what="ours", value=100.0, unit="/s", chart="calls <per> second", bar="holdfast"),
        Figure(what="theirs", value=None, unit="/s", note="npm is missing", chart="b", bar="peer"),
        Figure(what="ours by limit", value=0.4, unit="", at_least=0.45),
    ),
    series=(
        Series(
            chart="memory", line="memory", x_unit="min", y_unit="MiB", points=((1.0, 2.0), (2.0, 2))
        ),
    ),
)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_results(tmp_path / "run.json", [MEASURED])

    assert read_results(tmp_path / "run.json") == [MEASURED]


def test_a_plot_is_a_document_that_shows_all_bars_and_lines() -> None:
    picture = ET.fromstring(plot(drawn([MEASURED])))  # noqa: S314  # we wrote it

    texts = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"calls <per> second", "holdfast", "could not be measured", "memory"} <= texts
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}polyline"))) == 1


def test_a_page_names_what_falls_short_and_what_could_not_be_measured() -> None:
    text = page([MEASURED])

    assert "* counter: ours by limit is 0.4, the target >= 0.45." in text
    assert "| theirs | - |  | - | npm is missing |" in text
    assert text.count("processor: one") == 1
