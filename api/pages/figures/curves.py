"""Accuracy curves: the chart of leaderboards, comparisons and runs.

Decisions:
    * The accuracy axis begins just below the lowest point, since flat curves show nothing. The page names the
      floor.
    * Many bands would hide each other. With more than four curves, whiskers mark the interval at the last
      task, and only a highlighted curve shows its band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from api.pages.figures.svg import (
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
    text,
)

WIDTH, HEIGHT = 800, 420
LEFT, RIGHT, TOP, BOTTOM = 52, 210, 14, 46
LABEL_GAP = 17
WHISKER_GAP = 3
MAX_BANDS = 4
"""Curves up to which every band is shown."""


@dataclass(frozen=True)
class Series:
    """One curve.

    Args:
        label: its name, printed at its end.
        points: (classes seen, accuracy as a fraction), in order.
        band: (low, high) accuracy for each point, if there is an interval.
        style: differs between the series of a chart.
    """

    label: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] | None = None
    style: SeriesStyle = field(default_factory=SeriesStyle)


def curves(
    series: Sequence[Series],
    title: str,
    x_label: str = "classes seen",
    standalone: bool = False,
    zoom: bool = True,
) -> str:
    """The curves of several series over the classes seen.

    Args:
        series: each has at least one point.
        title: describes the chart for readers who cannot see it.
        x_label: name of the horizontal axis.
        standalone: whether the picture is a file of its own with its style sheet.
        zoom: whether the accuracy axis begins just below the lowest point.

    Returns:
        An `<svg>` element.

    Raises:
        ValueError: no series, or a series without points.
    """
    if not series or not all(one.points for one in series):
        raise ValueError("a chart needs at least one series, and each series at least one point")
    picture = root(WIDTH, HEIGHT, title, standalone)
    plot = _Plot(series, zoom)
    _draw_axes(picture, plot, x_label)
    ends = [plot.y(one.points[-1][1]) for one in series]
    labels = _spread(ends, TOP + 6, plot.bottom)
    for index, one in enumerate(series):
        group = add_series(picture, one.label, one.style)
        _draw_band(group, plot, one, folded=len(series) > MAX_BANDS)
        if len(series) > MAX_BANDS:
            _draw_whisker(group, plot, one, WHISKER_GAP * (index - (len(series) - 1) / 2))
        _draw_line(group, plot, one, x_label)
        _draw_label(group, plot, one, labels[index])
    return text(picture, standalone)


def floor_of(series: Sequence[Series], zoom: bool) -> int:
    """Per cent at the bottom of the accuracy axis."""
    lowest = min(y for one in series for _, y in one.points)
    return min(90, int(100 * lowest) // 10 * 10) if zoom else 0


class _Plot:
    """Maps values to places on the canvas."""

    def __init__(self, series: Sequence[Series], zoom: bool) -> None:
        self.floor = floor_of(series, zoom)
        self.ticks = sorted({x for one in series for x, _ in one.points})
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self.right, self.bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return LEFT + (self.right - LEFT) * share

    def y(self, value: float) -> float:
        floor = self.floor / 100
        share = max(0.0, min(1.0, value) - floor) / (1 - floor)
        return self.bottom - (self.bottom - TOP) * share

    def shown_ticks(self) -> list[float]:
        """At most about a dozen ticks, the first and the last among them."""
        every = -(-len(self.ticks) // 12)
        inner = [
            tick
            for index, tick in enumerate(self.ticks[:-1])
            if index % every == 0 and index + every <= len(self.ticks)
        ]
        return [*inner, self.ticks[-1]]

    def levels(self) -> range:
        """Per cents with a grid line."""
        step = 20 if self.floor == 0 else 10 if self.floor < 70 else 5 if self.floor < 90 else 2
        return range(self.floor, 101, step)


def _draw_axes(picture: Element, plot: _Plot, x_label: str) -> None:
    axes = add(picture, "g", {"class": "axes"})
    for level in plot.levels():
        y = plot.y(level / 100)
        add(axes, "path", {"class": "grid", "d": f"M{LEFT} {y:.1f}H{plot.right}"})
        add_text(axes, LEFT - 8, y + 4, f"{level} %", "end")
    for tick in plot.shown_ticks():
        add(axes, "path", {"class": "tick", "d": f"M{plot.x(tick):.1f} {plot.bottom}v5"})
        add_text(axes, plot.x(tick), plot.bottom + 19, number(tick), "middle")
    add_text(axes, (LEFT + plot.right) / 2, HEIGHT - 8, x_label, "middle")


def _draw_band(group: Element, plot: _Plot, one: Series, folded: bool) -> None:
    if not one.band:
        return
    xs = [plot.x(x) for x, _ in one.points]
    upper = [(x, plot.y(high)) for x, (_, high) in zip(xs, one.band, strict=True)]
    lower = [(x, plot.y(low)) for x, (low, _) in zip(xs, one.band, strict=True)]
    css_class = "band folded" if folded else "band"
    add(group, "path", {"class": css_class, "d": path([*upper, *reversed(lower)]) + "z"})


def _draw_whisker(group: Element, plot: _Plot, one: Series, offset: float) -> None:
    """The interval at the last task; the offset keeps whiskers of several curves apart."""
    if not one.band:
        return
    x = plot.x(one.points[-1][0]) + offset
    low, high = map(plot.y, one.band[-1])
    caps = "".join(f"M{x - 2:.1f} {y:.1f}h4" for y in (low, high))
    add(group, "path", {"class": "whisker", "d": f"M{x:.1f} {low:.1f}V{high:.1f}{caps}"})


def _draw_line(group: Element, plot: _Plot, one: Series, x_label: str) -> None:
    places = [(plot.x(x), plot.y(y)) for x, y in one.points]
    add(group, "path", {"class": "line", "d": path(places), **one.style.dash})
    bands: Sequence[tuple[float, float] | None] = one.band or [None] * len(one.points)
    for (x, y), (seen, accuracy), band in zip(places, one.points, bands, strict=True):
        interval = f" ± {50 * (band[1] - band[0]):.1f}" if band else ""
        value = f"{one.label}: {100 * accuracy:.1f}{interval} % at {number(seen)} {x_label}"
        add_mark(group, one.style.marker, x, y, value)


def _draw_label(group: Element, plot: _Plot, one: Series, y: float) -> None:
    start, end = plot.x(one.points[-1][0]) + 7, plot.y(one.points[-1][1])
    add(group, "path", {"class": "leader", "d": f"M{start:.1f} {end:.1f}L{plot.right + 16} {y:.1f}h4"})
    add_mark(group, one.style.marker, plot.right + 26, y)
    add_text(group, plot.right + 39, y + 4, shortened(one.label, 24))


def _spread(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Places near `wanted`, a label's height apart if the canvas has room."""
    gap = min(LABEL_GAP, (bottom - top) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed: list[float] = []
    for index in order:
        placed.append(max(wanted[index], placed[-1] + gap if placed else top))
    placed[-1] = min(placed[-1], bottom)
    for above, below in pairwise(reversed(range(len(placed)))):
        placed[below] = min(placed[below], placed[above] - gap)
    return [place for _, place in sorted(zip(order, placed, strict=True))]
