"""Accuracy over a cost on a logarithmic axis, with the Pareto frontier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.figures.svg import (
    MARKERS,
    Element,
    SeriesStyle,
    add,
    add_mark,
    add_series,
    add_text,
    number,
    path,
    root,
    shortened,
    significant,
    text,
)

WIDTH, HEIGHT = 800, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 14, 46


@dataclass(frozen=True)
class ScatterPoint:
    """An entry on a scatter plot; `frontier` if no entry beats it in both."""

    label: str
    x: float
    y: float
    frontier: bool = False


def scatter(points: Sequence[ScatterPoint], title: str, x_label: str, standalone: bool = False) -> str:
    """Accuracy over a cost; the frontier is a line, and its points have labels.

    Args:
        points: at least one; `x` above 0, `y` a fraction.
        title: describes the figure for readers who cannot see it.
        x_label: name of the cost.
        standalone: whether the picture is a file of its own.
    """
    plot = _Plot(points)
    picture = root(WIDTH, HEIGHT, title, standalone)
    _draw_axes(picture, plot, x_label)
    frontier = sorted((point for point in points if point.frontier), key=lambda point: point.x)
    if len(frontier) > 1:
        line = path([plot.place(point) for point in frontier])
        group = add(picture, "g", {"class": SeriesStyle().colour})
        add(group, "path", {"class": "line", "stroke-dasharray": "5 4", "d": line})
    for point in points:
        group = add_series(picture, point.label, SeriesStyle(bound=not point.frontier))
        value = f"{point.label}: {100 * point.y:.1f} % at {number(point.x)} {x_label}"
        add_mark(group, MARKERS[3 if point.frontier else 0], *plot.place(point), value)
    _draw_labels(picture, plot, frontier)
    return text(picture, standalone)


class _Plot:
    """Maps values to places on the canvas."""

    def __init__(self, points: Sequence[ScatterPoint]) -> None:
        self.low, self.high = _log_range([point.x for point in points])
        self.floor = min(0.9, math.floor(min(point.y for point in points) * 20) / 20)
        self.right, self.bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + (self.right - LEFT) * (math.log10(value) - self.low) / (self.high - self.low)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - TOP) * (value - self.floor) / (1 - self.floor)

    def place(self, point: ScatterPoint) -> tuple[float, float]:
        return (self.x(point.x), self.y(point.y))


def _draw_axes(picture: Element, plot: _Plot, x_label: str) -> None:
    axes = add(picture, "g", {"class": "axes"})
    for step in range(6):
        value = plot.floor + (1 - plot.floor) * step / 5
        add(axes, "path", {"class": "grid", "d": f"M{LEFT} {plot.y(value):.1f}H{plot.right}"})
        add_text(axes, LEFT - 8, plot.y(value) + 4, f"{significant(100 * value)} %", "end")
    for tick in _log_ticks(plot.low, plot.high):
        add(axes, "path", {"class": "tick", "d": f"M{plot.x(tick):.1f} {plot.bottom}v5"})
        add_text(axes, plot.x(tick), plot.bottom + 19, number(tick), "middle")
    add_text(axes, (LEFT + plot.right) / 2, HEIGHT - 8, x_label, "middle")


def _draw_labels(picture: Element, plot: _Plot, frontier: Sequence[ScatterPoint]) -> None:
    taken: list[tuple[float, float]] = []
    for point in frontier:
        x, y = plot.place(point)
        while any(abs(x - other[0]) < 110 and abs(y - other[1]) < 15 for other in taken):
            y += 15
        taken.append((x, y))
        add_text(picture, x + 9, y + 4, shortened(point.label, 22))


def _log_range(values: Sequence[float]) -> tuple[float, float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    return (low - 0.1, high + 0.1) if high - low > 0.2 else (low - 0.3, high + 0.3)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]
