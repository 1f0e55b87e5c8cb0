"""One number over time, e.g. a loss."""

from __future__ import annotations

from collections.abc import Sequence

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
    text,
)

WIDTH, HEIGHT = 800, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 22, 42
MAX_SPOTS = 100
"""Points with a tooltip."""


def trace(
    points: Sequence[tuple[float, float]],
    title: str,
    x_label: str,
    marks: Sequence[tuple[float, str]] = (),
    standalone: bool = False,
) -> str:
    """One number as it developed.

    Args:
        points: in order, at least one.
        title: describes the figure for readers who cannot see it.
        x_label: name of the horizontal axis.
        marks: named places on that axis.
        standalone: whether the picture is a file of its own.
    """
    plot = _Plot(points)
    picture = root(WIDTH, HEIGHT, title, standalone)
    _draw_axes(picture, plot, x_label, marks)
    group = add_series(picture, title, SeriesStyle())
    add(group, "path", {"class": "line", "d": path([plot.place(point) for point in points])})
    for x, y in points[:: -(-len(points) // MAX_SPOTS)]:
        place = {"cx": f"{plot.x(x):.1f}", "cy": f"{plot.y(y):.1f}", "r": "4"}
        spot = add(group, "circle", {"class": "spot", **place})
        add(spot, "title", {}, f"{y:.4g} at {number(x)} {x_label}")
    add_mark(group, MARKERS[0], *plot.place(points[-1]))
    return text(picture, standalone)


class _Plot:
    """Maps values to places on the canvas."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        values = [y for _, y in points]
        self.low, self.high = min(0.0, *values), max(*values, 1e-9)
        self.first, self.last = points[0][0], max(points[-1][0], points[0][0] + 1)
        self.bottom = HEIGHT - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - TOP) * (value - self.low) / (self.high - self.low)

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        return (self.x(point[0]), self.y(point[1]))


def _draw_axes(picture: Element, plot: _Plot, x_label: str, marks: Sequence[tuple[float, str]]) -> None:
    axes = add(picture, "g", {"class": "axes"})
    for step in range(5):
        value = plot.low + (plot.high - plot.low) * step / 4
        add(axes, "path", {"class": "grid", "d": f"M{LEFT} {plot.y(value):.1f}H{WIDTH - RIGHT}"})
        add_text(axes, LEFT - 8, plot.y(value) + 4, number(value), "end")
    for value, name in marks:
        add(axes, "path", {"class": "tick", "d": f"M{plot.x(value):.1f} {TOP - 6}V{plot.bottom}"})
        add_text(axes, plot.x(value) + 3, TOP - 8, name)
    add_text(axes, (LEFT + WIDTH) / 2, HEIGHT - 8, x_label, "middle")
