"""The grammar of ``?delay=``."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ingress.durations import DELAY_MS_MAX, parse_delay
from holdfast.objects.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "delay_ms"),
    [
        ("0", 0),
        ("1500", 1_500),
        ("500ms", 500),
        ("10s", 10_000),
        ("1.5s", 1_500),
        ("10 seconds", 10_000),
        ("5m", 300_000),
        ("5 min", 300_000),
        ("1h", 3_600_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("1 hour 30 minutes", 5_400_000),
        ("1H30M", 5_400_000),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        (" 10s ", 10_000),
        ("PT10S", 10_000),
        ("pt10s", 10_000),
        ("PT1H30M", 5_400_000),
        ("PT0.5S", 500),
        ("P1D", 86_400_000),
        ("P1DT12H", 129_600_000),
        ("P2W", 1_209_600_000),
        ("0.0001ms", 1),
        ("PT0S", 0),
    ],
)
def test_a_duration_is_its_milliseconds(text: str, delay_ms: int) -> None:
    assert parse_delay(text) == delay_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "\u0661\u0660",  # Arabic-Indic digits
        "-1s",
        "+1s",
        "1.s",
        ".5s",
        "1,5s",
        "1e3",
        "1.5",
        "1s1s",
        "1m1h",
        "1mo",
        "1y",
        "10s!",
        "ten seconds",
        "P",
        "PT",
        "P1DT",
        "P1Y",
        "P1M",
        "PT1S1M",
        "P-1D",
        "-PT1S",
        "PT1H30",
        "9" * 5_000,
        "1" * 5_000 + "s",
        "nan",
        "inf",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="delay"):
        parse_delay(text)


def test_a_delay_of_more_than_a_hundred_years_is_refused() -> None:
    assert parse_delay(str(DELAY_MS_MAX)) == DELAY_MS_MAX
    with pytest.raises(InvalidArgumentError, match="hundred years"):
        parse_delay(str(DELAY_MS_MAX + 1))
    with pytest.raises(InvalidArgumentError, match="hundred years"):
        parse_delay("99999999w")


@given(st.text(max_size=40) | st.from_regex(r"[PpTt0-9. dhmswy-]{0,20}", fullmatch=True))
def test_any_text_is_a_bounded_delay_or_refused(text: str) -> None:
    with suppress(InvalidArgumentError):
        assert 0 <= parse_delay(text) <= DELAY_MS_MAX
