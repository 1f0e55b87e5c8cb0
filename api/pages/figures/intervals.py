"""Differences to a baseline with their intervals, one per row around zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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

WIDTH = 800
ROW = 34
LEFT, RIGHT, TOP = 250, 90, 16


@dataclass(frozen=True)
class DifferenceRow:
    """A difference with its interval, as fractions; None where there is none."""

    label: str
    style: SeriesStyle
    mean: float | None
    low: float | None = None
    high: float | None = None


def intervals(rows: Sequence[DifferenceRow], title: str, standalone: bool = False) -> str:
    """Differences in percentage points around zero.

    Args:
        rows: at least one.
        title: describes the figure for readers who cannot see it.
        standalone: whether the picture is a file of its own.

    Returns:
        An `<svg>` element.
    """
    values = [abs(value) for row in rows for value in (row.mean, row.low, row.high) if value is not None]
    reach = round_up(max(values, default=0.01))
    height = TOP + ROW * len(rows) + 44
    picture = root(WIDTH, height, title, standalone)
    _draw_axes(picture, reach, TOP + ROW * len(rows))
    for index, row in enumerate(rows):
        _draw_row(picture, row, TOP + ROW * (index + 0.5), reach)
    return text(picture, standalone)


def signed(value: float, digits: int | None = None) -> str:
    """A fraction in percentage points with its sign: 0.012 is +1.2, -0.01 is −1; zero has none."""
    points = 100 * value
    shown = f"{abs(points):.{digits}f}" if digits is not None else significant(abs(points))
    return shown if points == 0 else f"{'+' if points > 0 else '−'}{shown}"


def round_up(largest: float) -> float:
    """The smallest of 0.01, 0.02, 0.05, 0.1, … that is at least `largest`."""
    power = 10.0 ** math.floor(math.log10(max(largest, 1e-3)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest - 1e-12)


def _x(value: float, reach: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value + reach) / (2 * reach)


def _draw_axes(picture: Element, reach: float, bottom: float) -> None:
    axes = add(picture, "g", {"class": "axes"})
    for tick in (-reach, -reach / 2, 0.0, reach / 2, reach):
        line = f"M{_x(tick, reach):.1f} {TOP}V{bottom}"
        add(axes, "path", {"class": "grid" if tick else "zero", "d": line})
        add_text(axes, _x(tick, reach), bottom + 18, signed(tick), "middle")
    note = "percentage points; right of 0 is better than the baseline"
    add_text(axes, _x(0, reach), bottom + 36, note, "middle")


def _draw_row(picture: Element, row: DifferenceRow, y: float, reach: float) -> None:
    group = add_series(picture, row.label, row.style)
    add_text(group, LEFT - 12, y + 4, shortened(row.label, 34), "end")
    if row.mean is None:
        add_text(group, _x(0, reach) + 8, y + 4, "no seed in common")
        return
    value = f"{row.label}: {signed(row.mean, 2)}"
    if row.low is not None and row.high is not None:
        low, high = _x(row.low, reach), _x(row.high, reach)
        caps = "".join(f"M{x:.1f} {y - 6:.1f}v12" for x in (low, high))
        add(group, "path", {"class": "line", "d": f"M{low:.1f} {y:.1f}H{high:.1f}{caps}"})
        value += f", 95 % interval {signed(row.low, 2)} … {signed(row.high, 2)}"
    add_mark(group, row.style.marker, _x(row.mean, reach), y, value)
    add_text(group, WIDTH - RIGHT + 12, y + 4, signed(row.mean, 2))
