"""Plots as SVG: bars on a logarithmic scale, and lines on linear ones. They are readable on light and dark pages."""

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from msgspec import Struct

_WIDTH = 720
_COLORS = ("#4477aa", "#ee6677", "#228833", "#aa7700", "#8866aa", "#777777")
_LEFT, _RIGHT, _TOP = 150, 70, 34
_BAR, _BETWEEN = 16, 10
_PLOT_HEIGHT, _BOTTOM = 260, 46


class Bar(Struct, frozen=True):
    """A bar of a group; `limit` is marked on it."""

    group: str
    name: str
    value: float
    limit: float | None = None


class Line(Struct, frozen=True):
    """Points that are joined, with their x in ascending order."""

    name: str
    points: Sequence[tuple[float, float]]


def bars(title: str, data: Sequence[Bar]) -> str:
    """Horizontal bars from 1 on, on a logarithmic scale, each with its value; the limit is a stroke."""
    top = math.ceil(math.log10(max(max(bar.value, bar.limit or 1) for bar in data) + 1e-9)) or 1

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * max(0.0, math.log10(value)) / top

    names = list(dict.fromkeys(bar.name for bar in data))
    parts: list[str] = []
    y, group = float(_TOP), ""
    for bar in data:
        if bar.group != group:
            y += _BETWEEN if group else 0
            group = bar.group
            parts.append(_text(8, y + _BAR - 4, group))
        color = _COLORS[names.index(bar.name) % len(_COLORS)]
        parts.append(
            f'<rect x="{_LEFT}" y="{y:.0f}" width="{x(bar.value) - _LEFT:.1f}" height="{_BAR - 2}" fill="{color}"/>'
        )
        parts.append(_text(_LEFT - 6, y + _BAR - 4, bar.name, anchor="end"))
        parts.append(_text(x(bar.value) + 5, y + _BAR - 4, f"{bar.value:.3g}"))
        if bar.limit is not None:
            parts.append(_stroke(x(bar.limit), y - 1, x(bar.limit), y + _BAR - 1, width=2))
        y += _BAR
    for power in range(top + 1):
        parts.append(_stroke(x(10**power), _TOP - 4, x(10**power), y + 2, faint=True))
        parts.append(_text(x(10**power), y + 16, f"{10**power:,}", anchor="middle"))
    return _document(title, parts, y + 24)


def lines(title: str, x_name: str, y_name: str, data: Sequence[Line]) -> str:
    """Lines with their points, on linear scales from 0."""
    right = max(x for line in data for x, _ in line.points)
    high = max(y for line in data for _, y in line.points)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = _LEFT / 2 + (_WIDTH - _LEFT / 2 - _RIGHT) * point[0] / right
        return across, _TOP + _PLOT_HEIGHT * (1 - point[1] / high)

    parts = list(_axes(x_name, y_name, right, high))
    for number, line in enumerate(data):
        color = _COLORS[number % len(_COLORS)]
        points = [place(point) for point in line.points]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points)
        parts.append(f'<rect x="{_LEFT / 2 + 12}" y="{_TOP + 8 + 16 * number}" width="10" height="10" fill="{color}"/>')
        parts.append(_text(_LEFT / 2 + 28, _TOP + 17 + 16 * number, line.name))
    return _document(title, parts, _TOP + _PLOT_HEIGHT + _BOTTOM)


def _axes(x_name: str, y_name: str, right: float, high: float) -> Iterator[str]:
    left, bottom = _LEFT / 2, _TOP + _PLOT_HEIGHT
    yield _stroke(left, bottom, _WIDTH - _RIGHT, bottom, faint=True)
    yield _stroke(left, _TOP, left, bottom, faint=True)
    for quarter in range(5):
        x = left + (_WIDTH - left - _RIGHT) * quarter / 4
        yield _text(x, bottom + 16, f"{right * quarter / 4:,.0f}", anchor="middle")
        yield _text(left - 6, bottom - _PLOT_HEIGHT * quarter / 4 + 4, f"{high * quarter / 4:,.0f}", anchor="end")
    yield _text((_WIDTH - _RIGHT + left) / 2, bottom + 34, x_name, anchor="middle")
    yield _text(8, _TOP - 8, y_name)


def _document(title: str, parts: Sequence[str], height: float) -> str:
    size = f'width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" fill="#777777">'
    return "\n".join((head, f"<title>{escape(title)}</title>", *parts, "</svg>", ""))


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, *, width: float = 1, faint: bool = False) -> str:
    opacity = 0.3 if faint else 1
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="#777777" stroke-width="{width}" stroke-opacity="{opacity}"/>'
