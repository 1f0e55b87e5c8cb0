"""Entries side by side as a page: curves, significance of differences, forgetting, recipes and environments.

Decisions:
    * The address names the entries and the baseline, so a comparison is a link. A form on the leaderboard
      chooses entries, without scripts.
    * Heat maps are tables whose cells carry a class for their shade, so every number is text.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy.orm import Session

from api.deps import DatabaseDep
from api.http.parameters import ComparisonParameters
from api.http.strict_requests import StrictRoute
from api.pages import formats, templating
from api.pages.choices import tracks_with_results
from api.pages.figures import charts
from api.pages.figures.bars import BarSeries
from api.pages.figures.charts import Figure
from api.pages.figures.columns import labels
from api.pages.figures.intervals import DifferenceRow
from api.pages.figures.svg import SeriesStyle
from api.pages.track import ZOOM, series_of, styles_of
from cil_core.spec.summary import METRIC
from store.leaderboard.comparison import METRICS, Comparison, compare

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

SHADES = 10


class ComparisonPageParameters(ComparisonParameters):
    """What the page and its figures show."""

    entry: list[str] = Field(
        default_factory=list, max_length=100, description="Ids of 2 to 8 entries; none to see how to choose."
    )
    zoom: bool = ZOOM


@router.get("/compare")
def show(
    request: Request,
    database: DatabaseDep,
    query: Annotated[ComparisonPageParameters, Query()],
) -> Response:
    """Two to eight entries side by side; without entries, how to choose them."""
    with database.reading() as session:
        if not query.entry:
            tracks = tracks_with_results(session)
            return templating.render(request, "choose_entries.html", tracks=tracks)
        comparison = _compare(session, query)
    pairs = request.query_params.multi_items()
    return templating.render(
        request,
        "compare.html",
        comparison=comparison,
        names=labels(comparison.items),
        metrics=[(metric, METRIC[metric].title) for metric in METRICS],
        shade=shade,
        links={item.id: _link(request, comparison, baseline=item.id) for item in comparison.items},
        figures={figure.name: figure for figure in figures_of(comparison, query.zoom)},
        query=pairs,
        zoom=query.zoom,
        unzoomed=[pair for pair in pairs if pair[0] != "zoom"],
    )


@router.get("/compare/{file}")
def picture(
    file: str, database: DatabaseDep, query: Annotated[ComparisonPageParameters, Query()]
) -> Response:
    """A figure of the page alone."""
    with database.reading() as session:
        comparison = _compare(session, query)
    return charts.download(figures_of(comparison, query.zoom), file)


def _compare(session: Session, query: ComparisonParameters) -> Comparison:
    return compare(session, query.entry, baseline=query.baseline, classifier=query.classifier)


def figures_of(comparison: Comparison, zoom: bool) -> list[Figure]:
    """Curves, differences to the baseline, forgetting per task, and accuracy on old and new classes."""
    names, styles = labels(comparison.items), styles_of(comparison.items)
    title = f"Accuracy after each task on {comparison.track_slug}"
    found = [charts.curves("curves", series_of(comparison.items), title, zoom=zoom)]
    found += [_differences(comparison, metric, names, styles) for metric in METRICS]
    if comparison.matrices[0].forgetting:
        found += [_forgetting(comparison, names, styles), _old_and_new(comparison, names, styles)]
    return found


def shade(value: float) -> int:
    """Which of the eleven shades, 0 … 10, a fraction gets."""
    return round(min(max(value, 0.0), 1.0) * SHADES)


def _differences(
    comparison: Comparison, metric: str, names: dict[str, str], styles: dict[str, SeriesStyle]
) -> Figure:
    rows = []
    for difference in comparison.differences:
        test, entry = difference.tests[metric], difference.entry
        rows.append(DifferenceRow(names[entry], styles[entry], test.mean, *(test.interval or (None, None))))
    baseline = names[comparison.baseline]
    title = f"{METRIC[metric].title} against {baseline} on {comparison.track_slug}"
    return charts.intervals(metric, rows, title)


def _forgetting(comparison: Comparison, names: dict[str, str], styles: dict[str, SeriesStyle]) -> Figure:
    tasks = [f"task {task + 1}" for task in range(len(comparison.matrices[0].forgetting))]
    series = [
        BarSeries(names[matrix.entry], styles[matrix.entry], matrix.forgetting)
        for matrix in comparison.matrices
    ]
    return charts.bars("forgetting", tasks, series, f"Forgetting of each task on {comparison.track_slug}")


def _old_and_new(comparison: Comparison, names: dict[str, str], styles: dict[str, SeriesStyle]) -> Figure:
    series = [
        BarSeries(
            names[item.id],
            styles[item.id],
            [item.metrics[metric].mean for metric in ("old_accuracy", "new_accuracy")],
        )
        for item in comparison.items
    ]
    title = f"Accuracy on old and on new classes after the last task on {comparison.track_slug}"
    return charts.bars("old_and_new", ["old classes", "new classes"], series, title)


def _link(request: Request, comparison: Comparison, *, baseline: str) -> str:
    pairs = [*(("entry", item.id) for item in comparison.items), ("baseline", baseline)]
    return formats.with_pairs(request.url.path, pairs)
