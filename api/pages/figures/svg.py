"""Accuracy curves as SVG text: the chart of the leaderboard page, its stand-alone picture, and sparklines.

Decisions:
    * Drawn on the server, so it is there without JavaScript. Built as an element tree, so no label can break out of it.
    * A series is told by colour, dash and marker together, and named at its end; nobody needs the colour alone, or a legend.
    * Colours live in `static/chart.css`, for light and dark; a stand-alone picture carries that file inside.
    * The accuracy axis begins just below the lowest point, since curves that lie on each other tell nothing; the page says where, and shows it from 0 on demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

WIDTH, HEIGHT = 800, 420
LEFT, RIGHT, TOP, BOTTOM = 52, 210, 14, 46
LABEL_GAP = 17
COLOURS = 8
DASHES = ("", "7 3", "2 3", "9 3 2 3")
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",  # circle
    "M-3.6 -3.6h7.2v7.2h-7.2z",  # square
    "M0 -4.8L4.6 3.4h-9.2z",  # triangle
    "M0 -5L5 0L0 5L-5 0z",  # diamond
    "M-4.6 -3.4h9.2L0 4.8z",  # triangle, point down
)

Element = ET.Element


@dataclass(frozen=True)
class Look:
    """How a series is told from the others: alike in every figure of a page.

    Args:
        place: among the series of the page; decides colour, dash and marker.
        bound: an upper bound rather than a competitor: thin and grey.
    """

    place: int = 0
    bound: bool = False

    @property
    def colour(self) -> str:
        """The class of `static/chart.css`."""
        return "bound" if self.bound else f"c{self.place % COLOURS}"

    @property
    def marker(self) -> str:
        """The `d` of its marks."""
        return MARKERS[self.place % len(MARKERS)]

    @property
    def dash(self) -> dict[str, str]:
        """The attribute of its line that makes it dashed, if it is."""
        dash = "1 4" if self.bound else DASHES[self.place % len(DASHES)]
        return {"stroke-dasharray": dash} if dash else {}


@dataclass(frozen=True)
class Series:
    """One curve.

    Args:
        label: its name, printed at its end.
        points: (classes seen, accuracy as a fraction), in order.
        band: (low, high) accuracy for each point, if there is an interval.
        look: its own where several are drawn.
    """

    label: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] | None = None
    look: Look = Look()


def curves(
    series: Sequence[Series],
    title: str,
    x_label: str = "classes seen",
    standalone: bool = False,
    zoom: bool = True,
) -> str:
    """The curves of several series over the classes seen.

    Args:
        series: what to draw; each has at least one point.
        title: says what the chart shows, for readers who cannot see it.
        x_label: name of the horizontal axis.
        standalone: whether the picture is a file of its own and carries its style sheet.
        zoom: whether the accuracy axis begins just below the lowest point.

    Returns:
        An `<svg>` element.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not series or not all(one.points for one in series):
        raise ValueError("a chart needs at least one series, and each series at least one point")
    picture = root(WIDTH, HEIGHT, title, standalone)
    plot = _Plot(series, zoom)
    _draw_axes(picture, plot, x_label)
    for one in series:
        _draw_band(picture, plot, one)
    for one in series:
        _draw_line(picture, plot, one, x_label)
    _draw_labels(picture, plot, series)
    return text(picture, standalone)


@lru_cache(maxsize=2_000)  # a page is drawn anew when one of its entries changes
def sparkline(values: tuple[float, ...], title: str) -> str:
    """A curve without axes, the size of a word: fractions from 0 to 1."""
    picture = root(90, 24, title, standalone=False, css_class="sparkline")
    step = 84 / max(1, len(values) - 1)
    places = [(3 + step * index, 21 - 18 * value) for index, value in enumerate(values)]
    add(picture, "path", {"class": "line", "d": path(places)})
    add(
        picture,
        "path",
        {"class": "mark", "d": "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z", "transform": at(*places[-1])},
    )
    return text(picture, standalone=False)


@cache
def chart_style() -> str:
    """The chart's style sheet."""
    return (Path(__file__).parents[1] / "static" / "chart.css").read_text()


def floor_of(series: Sequence[Series], zoom: bool) -> int:
    """Per cent at the bottom of the accuracy axis."""
    lowest = min(y for one in series for _, y in one.points)
    return min(90, int(100 * lowest) // 10 * 10) if zoom else 0


class _Plot:
    """Where values lie on the canvas."""

    def __init__(self, series: Sequence[Series], zoom: bool) -> None:
        self.floor = floor_of(series, zoom)
        self.ticks = sorted({x for one in series for x, _ in one.points})
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self.right, self.bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + (self.right - LEFT) * (
            (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        )

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - TOP) * max(0.0, value - self.floor / 100) / (1 - self.floor / 100)

    def shown_ticks(self) -> list[float]:
        """At most about a dozen of the places where there are points, the first and last among them."""
        every = -(-len(self.ticks) // 12)
        return [
            tick
            for index, tick in enumerate(self.ticks[:-1])
            if index % every == 0 and index + every <= len(self.ticks)
        ] + [self.ticks[-1]]


def _draw_axes(picture: Element, plot: _Plot, x_label: str) -> None:
    axes = add(picture, "g", {"class": "axes"})
    for percent in range(
        plot.floor, 101, 20 if plot.floor == 0 else 10 if plot.floor < 70 else 5 if plot.floor < 90 else 2
    ):
        y = plot.y(percent / 100)
        add(axes, "path", {"class": "grid", "d": f"M{LEFT} {y:.1f}H{plot.right}"})
        add(axes, "text", {"x": str(LEFT - 8), "y": f"{y + 4:.1f}", "text-anchor": "end"}, f"{percent} %")
    for tick in plot.shown_ticks():
        add(axes, "path", {"class": "tick", "d": f"M{plot.x(tick):.1f} {plot.bottom}v5"})
        add(
            axes,
            "text",
            {"x": f"{plot.x(tick):.1f}", "y": str(plot.bottom + 19), "text-anchor": "middle"},
            number(tick),
        )
    add(
        axes,
        "text",
        {"x": f"{(LEFT + plot.right) / 2:.1f}", "y": str(HEIGHT - 8), "text-anchor": "middle"},
        x_label,
    )


def _draw_band(picture: Element, plot: _Plot, one: Series) -> None:
    if not one.band:
        return
    xs = [plot.x(x) for x, _ in one.points]
    upper = [(x, plot.y(min(1.0, high))) for x, (_, high) in zip(xs, one.band, strict=True)]
    lower = [(x, plot.y(max(0.0, low))) for x, (low, _) in zip(xs, one.band, strict=True)]
    add(picture, "path", {"class": f"band {one.look.colour}", "d": path([*upper, *reversed(lower)]) + "z"})


def _draw_line(picture: Element, plot: _Plot, one: Series, x_label: str) -> None:
    group = add(picture, "g", {"class": one.look.colour})
    places = [(plot.x(x), plot.y(y)) for x, y in one.points]
    add(group, "path", {"class": "line", "d": path(places), **one.look.dash})
    for (x, y), (seen, accuracy) in zip(places, one.points, strict=True):
        mark = add(group, "path", {"class": "mark", "d": one.look.marker, "transform": at(x, y)})
        add(mark, "title", {}, f"{one.label}: {100 * accuracy:.1f} % at {number(seen)} {x_label}")


def _draw_labels(picture: Element, plot: _Plot, series: Sequence[Series]) -> None:
    ends = [plot.y(one.points[-1][1]) for one in series]
    for one, end, y in zip(series, ends, _spread(ends, TOP + 6, plot.bottom), strict=True):
        group = add(picture, "g", {"class": one.look.colour})
        start = plot.x(one.points[-1][0]) + 7
        add(group, "path", {"class": "leader", "d": f"M{start:.1f} {end:.1f}L{plot.right + 16} {y:.1f}h4"})
        add(group, "path", {"class": "mark", "d": one.look.marker, "transform": at(plot.right + 26, y)})
        add(
            group,
            "text",
            {"x": str(plot.right + 39), "y": f"{y + 4:.1f}"},
            one.label if len(one.label) <= 24 else one.label[:23] + "…",
        )


def _spread(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Places near `wanted`, at least a label's height apart where the canvas has room for that."""
    gap = min(LABEL_GAP, (bottom - top) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed: list[float] = []
    for index in order:
        placed.append(max(wanted[index], placed[-1] + gap if placed else top))
    placed[-1] = min(placed[-1], bottom)
    for above, below in pairwise(reversed(range(len(placed)))):
        placed[below] = min(placed[below], placed[above] - gap)
    return [place for _, place in sorted(zip(order, placed, strict=True))]


def number(value: float) -> str:
    """A tick or a size: whole numbers without decimals, others with three digits."""
    return f"{value:g}" if value == int(value) else f"{value:.3g}"


def path(places: Sequence[tuple[float, float]]) -> str:
    """The `d` of a line through these places."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def at(x: float, y: float) -> str:
    """The `transform` that puts something at a place."""
    return f"translate({x:.1f} {y:.1f})"


def root(width: int, height: int, title: str, standalone: bool, css_class: str = "chart") -> Element:
    """An empty picture; `standalone` with a size, its style and a background."""
    size = {"width": str(width), "height": str(height)} if standalone else {}
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "class": css_class,
            "role": "img",
            "aria-label": title,
            **size,
        },
    )
    if standalone:
        add(picture, "title", {}, title)
        add(picture, "style", {}, chart_style())
        add(picture, "rect", {"class": "paper", "width": str(width), "height": str(height)})
    return picture


def add(parent: Element, tag: str, attributes: dict[str, str], text: str | None = None) -> Element:
    """A new last child."""
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def text(picture: Element, standalone: bool) -> str:
    """A finished picture."""
    written = ET.tostring(picture, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n' if standalone else written
