"""Plots as SVG, by hand: what a report needs, and no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Series", "line_plot"]

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 40, 52
_COLOURS = ("#0b6e99", "#c4541a", "#3a7d34", "#7d3c98", "#8a6d00", "#b03060")
"""Dark enough to be read on white, and apart for those who see red and green alike by their markers as well."""
_MARKERS = ("circle", "square", "triangle", "diamond")
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Series:
    """A line: points in their order, each with a label or an empty one."""

    name: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str] = ()


def line_plot(title: str, x_label: str, y_label: str, series: Sequence[Series], *, y_percent: bool = False) -> str:
    """An SVG document. Axes begin at 0.

    Args:
        y_percent: y values are shares, shown as per cent.
    """
    top_x = _nice(max((x for one in series for x, _ in one.points), default=1.0))
    top_y = _nice(max((y for one in series for _, y in one.points), default=1.0))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + wide * x / top_x, _TOP + high * (1 - y / top_y)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#222" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 22, title, "start", size=14),
        _text(_LEFT + wide / 2, _HEIGHT - 12, x_label, "middle"),
        f'<g transform="translate(16 {_TOP + high / 2}) rotate(-90)">{_text(0, 0, y_label, "middle")}</g>',
    ]
    for tick in range(_TICKS + 1):
        x, y = top_x * tick / _TICKS, top_y * tick / _TICKS
        (at_x, foot), (left, at_y) = place(x, 0), place(0, y)
        parts.append(f'<line x1="{left}" y1="{at_y:.1f}" x2="{_LEFT + wide}" y2="{at_y:.1f}" stroke="#ddd"/>')
        parts.append(_text(at_x, foot + 18, f"{x:g}", "middle"))
        parts.append(_text(left - 8, at_y + 4, f"{y * 100:.0f} %" if y_percent else f"{y:g}", "end"))
    for number, one in enumerate(series):
        parts += _line(one, [place(x, y) for x, y in one.points], number)
    return "\n".join([*parts, "</svg>\n"])


def _line(series: Series, places: Sequence[tuple[float, float]], number: int) -> list[str]:
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for index, (x, y) in enumerate(places):
        parts.append(_marker(marker, x, y, colour))
        if index < len(series.labels) and series.labels[index]:
            parts.append(_text(x + 7, y - 6, series.labels[index], "start", size=10, colour=colour))
    legend_y = _TOP + 10 + 20 * number
    parts.append(_marker(marker, _WIDTH - _RIGHT + 18, legend_y - 4, colour))
    parts.append(_text(_WIDTH - _RIGHT + 30, legend_y, series.name, "start"))
    return parts


def _marker(kind: str, x: float, y: float, colour: str) -> str:
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    corners = {
        "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        "triangle": ((0, -5), (5, 4), (-5, 4)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
    }[kind]
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{path}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, *, size: int = 12, colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )


def _nice(value: float) -> float:
    """The least of 1, 1.5, 2, 2.5, 3, 4, 5, 7.5 and 10 times a power of ten that is not below it."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power * 10 < value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if power * step >= value * (1 - 1e-9))
