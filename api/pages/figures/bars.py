"""Bars in groups: fractions, negative ones downwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.figures.intervals import round_up
from api.pages.figures.svg import (
    Element,
    SeriesStyle,
    add,
    add_mark,
    add_series,
    add_text,
    root,
    shortened,
    significant,
    text,
)

WIDTH, HEIGHT = 800, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 14, 46
LEGEND_COLUMNS, LEGEND_ROW = 3, 24
KEY_RISE = 18
"""How far the drawn legend reaches above `HEIGHT`; a page with its own legend cuts the picture there."""
MAX_MARKED = 60
"""Bars up to which each one has its series' marker, for readers without colour vision."""


@dataclass(frozen=True)
class BarSeries:
    """One bar in every group: fractions."""

    label: str
    style: SeriesStyle
    values: Sequence[float]


def bars(groups: Sequence[str], series: Sequence[BarSeries], title: str, standalone: bool = False) -> str:
    """Bars of several series side by side.

    Args:
        groups: names of the groups, at least one.
        series: each with one value per group.
        title: describes the figure for readers who cannot see it.
        standalone: whether the picture is a file of its own.
    """
    legend = LEGEND_ROW * math.ceil(len(series) / LEGEND_COLUMNS)
    plot = _Plot(groups, series)
    picture = root(WIDTH, HEIGHT + legend, title, standalone)
    picture.set("data-plot-height", str(HEIGHT - KEY_RISE))
    _draw_axes(picture, plot, groups)
    for index, one in enumerate(series):
        group = add_series(picture, one.label, one.style)
        for place, name in enumerate(groups):
            _draw_bar(group, plot, one, index, place, name)
        _draw_key(group, one, index)
    return text(picture, standalone)


class _Plot:
    """Maps values to places on the canvas."""

    def __init__(self, groups: Sequence[str], series: Sequence[BarSeries]) -> None:
        values = [value for one in series for value in one.values]
        self.high = round_up(max(*values, 0.01))
        self.low = -round_up(-min(values)) if min(values) < 0 else 0.0
        self.bottom = HEIGHT - BOTTOM
        self.room = (WIDTH - LEFT - RIGHT) / len(groups)
        self.count = len(series)
        self.width = min(40.0, 0.8 * self.room / len(series))
        self.marked = len(groups) * len(series) <= MAX_MARKED

    def y(self, value: float) -> float:
        return TOP + (self.bottom - TOP) * (self.high - value) / (self.high - self.low)

    def centre(self, place: int) -> float:
        return LEFT + self.room * (place + 0.5)

    def start(self, index: int, place: int) -> float:
        return self.centre(place) + self.width * (index - self.count / 2)


def _draw_axes(picture: Element, plot: _Plot, groups: Sequence[str]) -> None:
    axes = add(picture, "g", {"class": "axes"})
    for tick in sorted({plot.low, 0.0, plot.high / 2, plot.high}):
        line = f"M{LEFT} {plot.y(tick):.1f}H{WIDTH - RIGHT}"
        add(axes, "path", {"class": "grid" if tick else "zero", "d": line})
        add_text(axes, LEFT - 8, plot.y(tick) + 4, f"{significant(100 * tick)} %", "end")
    every = -(-len(groups) // 20)
    for place in range(0, len(groups), every):
        add_text(axes, plot.centre(place), plot.bottom + 20, groups[place], "middle")


def _draw_bar(group: Element, plot: _Plot, one: BarSeries, index: int, place: int, name: str) -> None:
    start, value = plot.start(index, place), one.values[place]
    upper, lower = sorted((plot.y(value), plot.y(0)))
    box = {
        "x": f"{start:.1f}",
        "y": f"{upper:.1f}",
        "width": f"{plot.width - 1:.1f}",
        "height": f"{max(lower - upper, 0.5):.1f}",
    }
    bar = add(group, "rect", {"class": "bar", **box})
    add(bar, "title", {}, f"{one.label}, {name}: {significant(100 * value)} %")
    if plot.marked:
        add_mark(group, one.style.marker, start + plot.width / 2, upper - 7)


def _draw_key(group: Element, one: BarSeries, index: int) -> None:
    x = LEFT + (index % LEGEND_COLUMNS) * (WIDTH - LEFT) / LEGEND_COLUMNS
    y = HEIGHT - 4 + LEGEND_ROW * (index // LEGEND_COLUMNS)
    add_mark(group, one.style.marker, x, y)
    add_text(group, x + 12, y + 4, shortened(one.label, 32))
