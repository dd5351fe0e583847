"""The plot of a run: an SVG of bars and lines, written by hand because that is all there is to it.

Charts stand one under another. Bars begin at zero and share one scale, so that their lengths can be
compared by eye; so do the lines of a chart.
"""

from collections.abc import Iterable, Sequence
from html import escape

from .harness import Figure, Series, show

_WIDTH = 760
_MARGIN = 20
_LABEL = 200
_VALUE = 80
_BAR = 18
_GAP = 6
_HEAD = 34
_LINES_HEIGHT = 160
_COLORS = ("#1f6feb", "#8250df", "#bf3989", "#9a6700", "#1a7f37")
_OURS = "#1f6feb"
_THEIRS = "#9aa4b2"


def plot(results: Iterable[Figure | Series]) -> str:
    """An SVG document of all charts that the results name."""
    bars: dict[str, list[Figure]] = {}
    lines: dict[str, list[Series]] = {}
    for each in results:
        if isinstance(each, Series):
            lines.setdefault(each.chart, []).append(each)
        elif each.chart:
            bars.setdefault(each.chart, []).append(each)
    parts: list[str] = []
    top = _MARGIN
    for title, figures in bars.items():
        parts.append(_bars(title, figures, top))
        top += _HEAD + len(figures) * (_BAR + _GAP) + _MARGIN
    for title, series in lines.items():
        parts.append(_lines(title, series, top))
        top += _HEAD + _LINES_HEIGHT + 2 * _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" '
        f'viewBox="0 0 {_WIDTH} {top}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>\n'
    )
    return head + "".join(parts) + "</svg>\n"


def _bars(title: str, figures: Sequence[Figure], top: int) -> str:
    longest = max((each.value or 0 for each in figures), default=0) or 1
    room = _WIDTH - 2 * _MARGIN - _LABEL - _VALUE
    text = _title(title, top)
    for number, each in enumerate(figures):
        y = top + _HEAD + number * (_BAR + _GAP)
        width = room * (each.value or 0) / longest
        color = _OURS if each.bar.startswith("holdfast") else _THEIRS
        text += _text(_MARGIN + _LABEL - 8, y + 13, each.bar, anchor="end")
        text += f'<rect x="{_MARGIN + _LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" '
        text += f'fill="{color}"/>\n'
        said = "could not be measured" if each.value is None else show(each.value)
        text += _text(_MARGIN + _LABEL + width + 6, y + 13, said)
    return text


def _lines(title: str, series: Sequence[Series], top: int) -> str:
    points = [point for each in series for point in each.points]
    x_max = max((x for x, _ in points), default=0) or 1
    y_max = max((y for _, y in points), default=0) or 1
    left, right, bottom = _MARGIN + 70, _WIDTH - _MARGIN - 130, top + _HEAD + _LINES_HEIGHT
    text = _title(title, top)
    text += f'<path d="M{left} {top + _HEAD}V{bottom}H{right}" stroke="#57606a" fill="none"/>\n'
    text += _text(left - 6, top + _HEAD + 10, f"{show(y_max)} {series[0].y_unit}", anchor="end")
    text += _text(left - 6, bottom, "0", anchor="end")
    text += _text(right, bottom + 16, f"{show(x_max)} {series[0].x_unit}", anchor="end")
    for number, each in enumerate(series):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(
            f"{left + (right - left) * x / x_max:.1f},{bottom - _LINES_HEIGHT * y / y_max:.1f}"
            for x, y in each.points
        )
        text += f'<polyline points="{path}" stroke="{color}" stroke-width="1.5" fill="none"/>\n'
        text += _text(right + 8, top + _HEAD + 14 + 18 * number, each.line, color=color)
    return text


def _title(title: str, top: int) -> str:
    return f'<g font-weight="bold">{_text(_MARGIN, top + 16, title)}</g>\n'


def _text(x: float, y: float, text: str, *, anchor: str = "start", color: str = "#1f2328") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"'
    return f"<text {place}>{escape(text)}</text>\n"
