"""`Figure`: a chart with everything it needs on a page: a picture, its numbers, a picture and a table to download, and what the browser needs to make it move.

Decisions:
    * The picture is SVG from the server, so every chart is there without scripts, in print and in a file. Where scripts run, `static/charts.js` puts an
      interactive chart (Apache ECharts) in its place once it comes into view, from the same numbers.
    * What the browser is given is data in a `<script type="application/json">`: no code, which the content security policy would refuse.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fastapi.responses import Response

from api.http import problems
from api.http.problems import Problem
from api.pages.figures import diagrams, svg
from api.pages.figures.diagrams import Bars, Interval, Point
from api.shared.csv import safe_cell

Cell = str | float | None


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        name: of its files, e.g. `curves` for `curves.svg` and `curves.csv`.
        title: what it shows, for readers who cannot see it.
        draw: makes the picture; takes whether it is a file of its own.
        columns: of its table.
        rows: of its table, numbers in full.
        spec: what the browser draws; see `static/charts.js`.
    """

    name: str
    title: str
    draw: Callable[[bool], str]
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    spec: dict[str, Any]

    @property
    def kind(self) -> str:
        """Which diagram it is."""
        return str(self.spec["kind"])

    @property
    def floor(self) -> int:
        """Per cent at which its accuracy axis begins."""
        return int(self.spec.get("floor", 0))

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
    name: str, series: Sequence[svg.Series], title: str, x_label: str = "classes seen", zoom: bool = True
) -> Figure:
    """Accuracy curves."""
    rows: list[tuple[Cell, ...]] = []
    for one in series:
        bands: Sequence[tuple[float, float] | tuple[None, None]] = one.band or [(None, None)] * len(
            one.points
        )
        rows += [(one.label, x, y, low, high) for (x, y), (low, high) in zip(one.points, bands, strict=True)]
    drawn = [
        {
            "name": one.label,
            "points": [list(point) for point in one.points],
            "band": one.band and [list(pair) for pair in one.band],
            **asdict(one.look),
        }
        for one in series
    ]
    floor = svg.floor_of(series, zoom)
    return Figure(
        name, title, lambda standalone: svg.curves(series, title, x_label, standalone, zoom), ("series", x_label, "accuracy", "low", "high"), rows,
        {"kind": "curves", "x": x_label, "floor": floor, "series": drawn},
    )  # fmt: skip


def intervals(name: str, rows: Sequence[Interval], title: str) -> Figure:
    """Differences with their intervals."""
    drawn = [
        {"name": row.label, "mean": row.mean, "low": row.low, "high": row.high, **asdict(row.look)}
        for row in rows
    ]
    return Figure(
        name, title, lambda standalone: diagrams.intervals(rows, title, standalone), ("entry", "difference", "low", "high"),
        [(row.label, row.mean, row.low, row.high) for row in rows], {"kind": "intervals", "rows": drawn},
    )  # fmt: skip


def bars(name: str, groups: Sequence[str], series: Sequence[Bars], title: str) -> Figure:
    """Bars in groups."""
    rows = [
        (one.label, group, value) for one in series for group, value in zip(groups, one.values, strict=True)
    ]
    drawn = [{"name": one.label, "values": list(one.values), **asdict(one.look)} for one in series]
    return Figure(
        name, title, lambda standalone: diagrams.bars(groups, series, title, standalone), ("series", "group", "value"), rows,
        {"kind": "bars", "groups": list(groups), "series": drawn},
    )  # fmt: skip


def scatter(name: str, points: Sequence[Point], title: str, x_label: str) -> Figure:
    """Accuracy over a cost."""
    drawn = [
        {"name": point.label, "x": point.x, "y": point.y, "frontier": point.frontier} for point in points
    ]
    return Figure(
        name, title, lambda standalone: diagrams.scatter(points, title, x_label, standalone), ("entry", x_label, "accuracy", "on the frontier"),
        [(point.label, point.x, point.y, "yes" if point.frontier else "no") for point in points], {"kind": "scatter", "x": x_label, "points": drawn},
    )  # fmt: skip


def critical_difference(
    name: str, names: Sequence[str], ranks: Sequence[float], critical: float, title: str
) -> Figure:
    """Average ranks; a drawing that has nothing to move."""
    return Figure(
        name, title, lambda standalone: diagrams.critical_difference(names, ranks, critical, title, standalone), ("method", "average rank"),
        list(zip(names, ranks, strict=True)), {"kind": "picture"},
    )  # fmt: skip


def trace(
    name: str,
    points: Sequence[tuple[float, float]],
    title: str,
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, str]] = (),
) -> Figure:
    """A number as it developed."""
    return Figure(
        name, title, lambda standalone: diagrams.trace(points, title, x_label, marks, standalone), (x_label, y_label), list(points),
        {"kind": "trace", "x": x_label, "y": y_label, "points": [list(point) for point in points]},
    )  # fmt: skip


def download(found: Sequence[Figure | None], file: str) -> Response:
    """One of a page's figures as `NAME.svg` or `NAME.csv`.

    Raises:
        Problem: there is no such file.
    """
    name, _, ending = file.rpartition(".")
    figure = next((figure for figure in found if figure is not None and figure.name == name), None)
    if figure is None or ending not in {"svg", "csv"}:
        known = (
            ", ".join(
                f"{figure.name}.{kind}" for figure in found if figure is not None for kind in ("svg", "csv")
            )
            or "none yet"
        )
        raise Problem(problems.NOT_FOUND, f"there is no figure {file[:80]!r} here; there are: {known}")
    if ending == "csv":
        return Response(
            figure.csv(),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'inline; filename="{name}.csv"'},
        )
    return Response(
        figure.draw(True), media_type="image/svg+xml", headers={"Content-Security-Policy": _PICTURE_POLICY}
    )


_STYLE_HASH = base64.b64encode(hashlib.sha256(svg.chart_style().encode()).digest()).decode()
_PICTURE_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
"""A picture on its own carries its style."""
