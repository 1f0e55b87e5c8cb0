"""Diagrams beside the curves, as SVG text: differences with intervals, bars, a scatter plot with its frontier, critical differences, and traces.

They follow the rules of `api.pages.figures.svg`: drawn on the server, told by more than colour, styled by `static/chart.css`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.figures.svg import MARKERS, Look, add, at, number, path, root, text

WIDTH = 800
ROW = 34


@dataclass(frozen=True)
class Interval:
    """A difference with its interval, as fractions; None where there is none."""

    label: str
    look: Look
    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bars:
    """One bar in every group: fractions."""

    label: str
    look: Look
    values: Sequence[float]


@dataclass(frozen=True)
class Point:
    """A place on a scatter plot; `frontier` where nobody is better in both."""

    label: str
    x: float
    y: float
    frontier: bool = False


def intervals(rows: Sequence[Interval], title: str, standalone: bool = False) -> str:
    """Differences in percentage points around zero, one a row.

    Args:
        rows: what to draw, at least one.
        title: says what it shows, for readers who cannot see it.
        standalone: whether the picture is a file of its own.

    Returns:
        An `<svg>` element.
    """
    left, right, top = 250, 90, 16
    height = top + ROW * len(rows) + 44
    values = [abs(value) for row in rows for value in (row.mean, row.low, row.high) if value is not None]
    reach = _reach(max(values, default=0.01))
    picture = root(WIDTH, height, title, standalone)

    def x(value: float) -> float:
        return left + (WIDTH - left - right) * (value + reach) / (2 * reach)

    axes, bottom = add(picture, "g", {"class": "axes"}), top + ROW * len(rows)
    for tick in (-reach, -reach / 2, 0.0, reach / 2, reach):
        add(axes, "path", {"class": "grid" if tick else "zero", "d": f"M{x(tick):.1f} {top}V{bottom}"})
        add(
            axes,
            "text",
            {"x": f"{x(tick):.1f}", "y": f"{bottom + 18}", "text-anchor": "middle"},
            signed(tick),
        )
    add(
        axes,
        "text",
        {"x": f"{x(0):.1f}", "y": f"{height - 8}", "text-anchor": "middle"},
        "percentage points; right of 0 is better than the baseline",
    )
    for index, row in enumerate(rows):
        y = top + ROW * (index + 0.5)
        add(
            picture,
            "text",
            {"x": f"{left - 12}", "y": f"{y + 4:.1f}", "text-anchor": "end"},
            _cut(row.label, 34),
        )
        if row.mean is None:
            add(picture, "text", {"x": f"{x(0) + 8:.1f}", "y": f"{y + 4:.1f}"}, "no seed in common")
            continue
        group = add(picture, "g", {"class": row.look.colour})
        if row.low is not None and row.high is not None:
            add(
                group,
                "path",
                {
                    "class": "line",
                    "d": f"M{x(row.low):.1f} {y:.1f}H{x(row.high):.1f}M{x(row.low):.1f} {y - 6:.1f}v12M{x(row.high):.1f} {y - 6:.1f}v12",
                },
            )
        add(group, "path", {"class": "mark", "d": row.look.marker, "transform": at(x(row.mean), y)})
        add(picture, "text", {"x": f"{WIDTH - right + 12}", "y": f"{y + 4:.1f}"}, signed(row.mean, 2))
    return text(picture, standalone)


def bars(groups: Sequence[str], series: Sequence[Bars], title: str, standalone: bool = False) -> str:
    """Bars in groups: fractions, negative ones downwards.

    Args:
        groups: names of the groups, at least one.
        series: one value a group, for each bar of a group.
        title: says what it shows.
        standalone: whether the picture is a file of its own.
    """
    left, top, height, legend = 52, 14, 300, 24 * math.ceil(len(series) / 3)
    values = [value for one in series for value in one.values]
    high, low = _reach(max(*values, 0.01)), -_reach(-min(*values, 0.0)) if min(values) < 0 else 0.0
    picture = root(WIDTH, height + legend, title, standalone)
    bottom = height - 46

    def y(value: float) -> float:
        return top + (bottom - top) * (high - value) / (high - low)

    axes = add(picture, "g", {"class": "axes"})
    for tick in sorted({low, 0.0, high / 2, high}):
        add(axes, "path", {"class": "grid" if tick else "zero", "d": f"M{left} {y(tick):.1f}H{WIDTH - 10}"})
        add(
            axes,
            "text",
            {"x": f"{left - 8}", "y": f"{y(tick) + 4:.1f}", "text-anchor": "end"},
            f"{_number(100 * tick)} %",
        )
    room = (WIDTH - left - 10) / len(groups)
    width = min(40.0, 0.8 * room / len(series))
    every = -(-len(groups) // 20)
    for place, group in enumerate(groups):
        centre = left + room * (place + 0.5)
        if place % every == 0:
            add(axes, "text", {"x": f"{centre:.1f}", "y": f"{bottom + 20}", "text-anchor": "middle"}, group)
        for index, one in enumerate(series):
            start = centre + width * (index - len(series) / 2)
            upper, lower = sorted((y(one.values[place]), y(0)))
            bar = add(picture, "g", {"class": one.look.colour})
            shape = add(
                bar,
                "rect",
                {
                    "class": "bar",
                    "x": f"{start:.1f}",
                    "y": f"{upper:.1f}",
                    "width": f"{width - 1:.1f}",
                    "height": f"{max(lower - upper, 0.5):.1f}",
                },
            )
            add(shape, "title", {}, f"{one.label}, {group}: {_number(100 * one.values[place])} %")
            if len(groups) * len(series) <= 60:  # a mark tells the bars apart where colour does not
                add(
                    bar,
                    "path",
                    {"class": "mark", "d": one.look.marker, "transform": at(start + width / 2, upper - 7)},
                )
    for index, one in enumerate(series):
        entry = add(picture, "g", {"class": one.look.colour})
        across, down = left + (index % 3) * (WIDTH - left) / 3, height - 4 + 24 * (index // 3)
        add(entry, "path", {"class": "mark", "d": one.look.marker, "transform": at(across, down)})
        add(entry, "text", {"x": f"{across + 12:.1f}", "y": f"{down + 4}"}, _cut(one.label, 32))
    return text(picture, standalone)


def scatter(points: Sequence[Point], title: str, x_label: str, standalone: bool = False) -> str:
    """Accuracy over a cost on a logarithmic axis; the frontier is a line, and what stands on it is named.

    Args:
        points: at least one; `x` above 0, `y` a fraction.
        title: says what it shows.
        x_label: name of the cost.
        standalone: whether the picture is a file of its own.
    """
    left, right, top, height = 52, 150, 14, 400
    bottom = height - 46
    low, high = _log_range([point.x for point in points])
    floor = min(0.9, math.floor(min(point.y for point in points) * 20) / 20)
    picture = root(WIDTH, height, title, standalone)

    def x(value: float) -> float:
        return left + (WIDTH - left - right) * (math.log10(value) - low) / (high - low)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - floor) / (1 - floor)

    axes = add(picture, "g", {"class": "axes"})
    for step in range(6):
        value = floor + (1 - floor) * step / 5
        add(axes, "path", {"class": "grid", "d": f"M{left} {y(value):.1f}H{WIDTH - right}"})
        add(
            axes,
            "text",
            {"x": f"{left - 8}", "y": f"{y(value) + 4:.1f}", "text-anchor": "end"},
            f"{_number(100 * value)} %",
        )
    for tick in _log_ticks(low, high):
        add(axes, "path", {"class": "tick", "d": f"M{x(tick):.1f} {bottom}v5"})
        add(
            axes,
            "text",
            {"x": f"{x(tick):.1f}", "y": f"{bottom + 19}", "text-anchor": "middle"},
            number(tick),
        )
    add(
        axes,
        "text",
        {"x": f"{(left + WIDTH - right) / 2:.1f}", "y": f"{height - 8}", "text-anchor": "middle"},
        x_label,
    )
    frontier = sorted((point for point in points if point.frontier), key=lambda point: point.x)
    if len(frontier) > 1:
        line = add(picture, "g", {"class": "c0"})
        add(
            line,
            "path",
            {
                "class": "line",
                "stroke-dasharray": "5 4",
                "d": path([(x(point.x), y(point.y)) for point in frontier]),
            },
        )
    taken: list[tuple[float, float]] = []
    for point in points:
        place = (x(point.x), y(point.y))
        group = add(picture, "g", {"class": "c0" if point.frontier else "bound"})
        mark = add(
            group,
            "path",
            {"class": "mark", "d": MARKERS[3 if point.frontier else 0], "transform": at(*place)},
        )
        add(mark, "title", {}, f"{point.label}: {100 * point.y:.1f} % at {number(point.x)} {x_label}")
    for point in frontier:
        place = (x(point.x), y(point.y))
        while any(abs(place[0] - other[0]) < 110 and abs(place[1] - other[1]) < 15 for other in taken):
            place = (place[0], place[1] + 15)
        taken.append(place)
        add(picture, "text", {"x": f"{place[0] + 9:.1f}", "y": f"{place[1] + 4:.1f}"}, _cut(point.label, 22))
    return text(picture, standalone)


def critical_difference(
    names: Sequence[str], ranks: Sequence[float], critical: float, title: str, standalone: bool = False
) -> str:
    """Average ranks on a line; a bar joins methods that cannot be told apart (Demšar, JMLR 2006).

    Args:
        names: by rank, the best first; at least two.
        ranks: of each, 1 is best.
        critical: how far apart two must be.
        title: says what it shows.
        standalone: whether the picture is a file of its own.
    """
    side, top = 210, 74
    groups = cliques(ranks, critical)
    half = -(-len(names) // 2)
    below = top + 14 + 9 * len(groups)
    height = int(below + 24 * half + 18)
    last = max(2, len(names))
    picture = root(WIDTH, height, title, standalone)

    def x(rank: float) -> float:
        return side + (WIDTH - 2 * side) * (rank - 1) / (last - 1)

    axes = add(picture, "g", {"class": "axes"})
    add(axes, "path", {"class": "zero", "d": f"M{x(1):.1f} {top}H{x(last):.1f}"})
    for tick in range(1, last + 1):
        add(axes, "path", {"class": "tick", "d": f"M{x(tick):.1f} {top}v-6"})
        add(axes, "text", {"x": f"{x(tick):.1f}", "y": f"{top - 11}", "text-anchor": "middle"}, str(tick))
    width = min(x(1 + critical) - x(1), float(WIDTH - x(1) - 10))
    add(
        axes,
        "path",
        {"class": "zero", "d": f"M{x(1):.1f} 24h{width:.1f}M{x(1):.1f} 19v10M{x(1) + width:.1f} 19v10"},
    )
    add(axes, "text", {"x": f"{x(1):.1f}", "y": "13"}, f"critical difference {critical:.2f}")
    for index, (first, end) in enumerate(groups):
        add(
            picture,
            "path",
            {
                "class": "clique",
                "d": f"M{x(ranks[first]) - 4:.1f} {top + 10 + 9 * index}H{x(ranks[end]) + 4:.1f}",
            },
        )
    for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        to_the_left = place < half
        level = int(below) + 24 * (place if to_the_left else len(names) - 1 - place) + 8
        edge = side - 24 if to_the_left else WIDTH - side + 24
        add(picture, "path", {"class": "tick leader", "d": f"M{x(rank):.1f} {top}V{level}H{edge}"})
        label = f"{_cut(name, 20)}  {rank:.2f}"
        add(
            picture,
            "text",
            {
                "x": f"{edge + (-8 if to_the_left else 8)}",
                "y": f"{level + 4}",
                "text-anchor": "end" if to_the_left else "start",
            },
            label,
        )
    return text(picture, standalone)


def cliques(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """First and last place of each largest group of ascending `ranks` that lie within the critical difference."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        end = max(place for place in range(first, len(ranks)) if ranks[place] - ranks[first] <= critical)
        if end > first and not (found and found[-1][1] >= end):
            found.append((first, end))
    return found


def trace(
    points: Sequence[tuple[float, float]],
    title: str,
    x_label: str,
    marks: Sequence[tuple[float, str]] = (),
    standalone: bool = False,
) -> str:
    """One number as it developed, e.g. a loss.

    Args:
        points: in order, at least one.
        title: says what it shows.
        x_label: name of the horizontal axis.
        marks: places on it that have a name.
        standalone: whether the picture is a file of its own.
    """
    left, top, height = 62, 22, 260
    bottom = height - 42
    low, high = min(0.0, *(y for _, y in points)), max(*(y for _, y in points), 1e-9)
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    picture = root(WIDTH, height, title, standalone)

    def x(value: float) -> float:
        return left + (WIDTH - left - 14) * (value - first) / (last - first)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    axes = add(picture, "g", {"class": "axes"})
    for step in range(5):
        value = low + (high - low) * step / 4
        add(axes, "path", {"class": "grid", "d": f"M{left} {y(value):.1f}H{WIDTH - 14}"})
        add(
            axes,
            "text",
            {"x": f"{left - 8}", "y": f"{y(value) + 4:.1f}", "text-anchor": "end"},
            number(value),
        )
    for value, name in marks:
        add(axes, "path", {"class": "tick", "d": f"M{x(value):.1f} {top - 6}V{bottom}"})
        add(axes, "text", {"x": f"{x(value) + 3:.1f}", "y": f"{top - 8}"}, name)
    add(
        axes,
        "text",
        {"x": f"{(left + WIDTH) / 2:.1f}", "y": f"{height - 8}", "text-anchor": "middle"},
        x_label,
    )
    group = add(picture, "g", {"class": "c0"})
    add(group, "path", {"class": "line", "d": path([(x(a), y(b)) for a, b in points])})
    add(
        group, "path", {"class": "mark", "d": MARKERS[0], "transform": at(x(points[-1][0]), y(points[-1][1]))}
    )
    return text(picture, standalone)


def signed(value: float, digits: int | None = None) -> str:
    """A fraction in percentage points with its sign: 0.012 is +1.2, -0.01 is −1; zero has none."""
    points = 100 * value
    said = f"{abs(points):.{digits}f}" if digits is not None else _number(abs(points))
    return said if points == 0 else f"{'+' if points > 0 else '−'}{said}"


def _reach(largest: float) -> float:
    """The next of 0.01, 0.02, 0.05, 0.1, … that is not below `largest`."""
    power = 10.0 ** math.floor(math.log10(max(largest, 1e-3)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest - 1e-12)


def _log_range(values: Sequence[float]) -> tuple[float, float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    return (low - 0.1, high + 0.1) if high - low > 0.2 else (low - 0.3, high + 0.3)


def _log_ticks(low: float, high: float) -> list[float]:
    steps = (1, 2, 5)
    return [
        step * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for step in steps
        if low <= math.log10(step * 10.0**power) <= high
    ]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _cut(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"
