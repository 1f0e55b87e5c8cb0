"""`Figure`: a chart on a page, with its picture and its numbers as files.

Decision: there is one drawing of a figure, the server's SVG: on the page, in print and as a file.
`static/figures.js` adds tooltips and a legend to it where scripts run.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi.responses import Response

from api.http import problems
from api.http.problems import Problem
from api.pages.figures import bars as bar_chart
from api.pages.figures import curves as curve_chart
from api.pages.figures import intervals as interval_chart
from api.pages.figures import ranks, svg
from api.pages.figures import scatter as scatter_plot
from api.pages.figures import trace as trace_chart
from api.pages.figures.bars import BarSeries
from api.pages.figures.curves import Series
from api.pages.figures.intervals import DifferenceRow
from api.pages.figures.scatter import ScatterPoint
from api.shared.csv import safe_cell

Cell = str | float | None


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        kind: which diagram it is, e.g. `curves`.
        name: of its files, e.g. `curves` for `curves.svg` and `curves.csv`.
        title: what it shows, for readers who cannot see it.
        draw: makes the picture; the argument says whether it is a file of its own.
        columns: of its table.
        rows: of its table, numbers in full.
        floor: per cent at which its accuracy axis begins.
    """

    kind: str
    name: str
    title: str
    draw: Callable[[bool], str]
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    floor: int = 0

    @property
    def picture(self) -> str:
        """The SVG for the page."""
        return self.draw(False)

    def csv(self) -> str:
        """The numbers as a table."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(self.columns)
        writer.writerows([safe_cell(cell) for cell in row] for row in self.rows)
        return out.getvalue()


def curves(
    name: str, series: Sequence[Series], title: str, x_label: str = "classes seen", zoom: bool = True
) -> Figure:
    """Accuracy curves."""
    rows: list[tuple[Cell, ...]] = []
    for one in series:
        bands: Sequence[tuple[float | None, float | None]] = one.band or [(None, None)] * len(one.points)
        rows += [(one.label, x, y, low, high) for (x, y), (low, high) in zip(one.points, bands, strict=True)]
    return Figure(
        kind="curves",
        name=name,
        title=title,
        draw=lambda standalone: curve_chart.curves(series, title, x_label, standalone, zoom),
        columns=("series", x_label, "accuracy", "low", "high"),
        rows=rows,
        floor=curve_chart.floor_of(series, zoom),
    )


def intervals(name: str, rows: Sequence[DifferenceRow], title: str) -> Figure:
    """Differences with their intervals."""
    return Figure(
        kind="intervals",
        name=name,
        title=title,
        draw=lambda standalone: interval_chart.intervals(rows, title, standalone),
        columns=("entry", "difference", "low", "high"),
        rows=[(row.label, row.mean, row.low, row.high) for row in rows],
    )


def bars(name: str, groups: Sequence[str], series: Sequence[BarSeries], title: str) -> Figure:
    """Bars in groups."""
    rows = [
        (one.label, group, value) for one in series for group, value in zip(groups, one.values, strict=True)
    ]
    return Figure(
        kind="bars",
        name=name,
        title=title,
        draw=lambda standalone: bar_chart.bars(groups, series, title, standalone),
        columns=("series", "group", "value"),
        rows=rows,
    )


def scatter(name: str, points: Sequence[ScatterPoint], title: str, x_label: str) -> Figure:
    """Accuracy over a cost."""
    rows = [(point.label, point.x, point.y, "yes" if point.frontier else "no") for point in points]
    return Figure(
        kind="scatter",
        name=name,
        title=title,
        draw=lambda standalone: scatter_plot.scatter(points, title, x_label, standalone),
        columns=("entry", x_label, "accuracy", "on the frontier"),
        rows=rows,
    )


def critical_difference(
    name: str, names: Sequence[str], average_ranks: Sequence[float], critical: float, title: str
) -> Figure:
    """Average ranks; the picture holds every number, so nothing is interactive."""
    return Figure(
        kind="ranks",
        name=name,
        title=title,
        draw=lambda alone: ranks.critical_difference(names, average_ranks, critical, title, alone),
        columns=("method", "average rank"),
        rows=list(zip(names, average_ranks, strict=True)),
    )


def trace(
    name: str,
    points: Sequence[tuple[float, float]],
    title: str,
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, str]] = (),
) -> Figure:
    """One number over time."""
    return Figure(
        kind="trace",
        name=name,
        title=title,
        draw=lambda standalone: trace_chart.trace(points, title, x_label, marks, standalone),
        columns=(x_label, y_label),
        rows=list(points),
    )


def download(found: Sequence[Figure | None], file: str) -> Response:
    """The file `NAME.svg` or `NAME.csv` of one of these figures.

    Raises:
        Problem: the page has no such file.
    """
    name, _, ending = file.rpartition(".")
    figures = [figure for figure in found if figure is not None]
    figure = next((figure for figure in figures if figure.name == name), None)
    if figure is None or ending not in {"svg", "csv"}:
        files = [f"{figure.name}.{kind}" for figure in figures for kind in ("svg", "csv")]
        raise Problem(
            problems.NOT_FOUND,
            f"no figure {file[:80]!r} on this page; available: {', '.join(files) or 'none yet'}",
        )
    if ending == "csv":
        headers = {"Content-Disposition": f'inline; filename="{name}.csv"'}
        return Response(figure.csv(), media_type="text/csv; charset=utf-8", headers=headers)
    headers = {"Content-Security-Policy": _PICTURE_POLICY}
    return Response(figure.draw(True), media_type="image/svg+xml", headers=headers)


_STYLE_HASH = base64.b64encode(hashlib.sha256(svg.chart_style().encode()).digest()).decode()
_PICTURE_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
"""A picture on its own embeds its style."""
