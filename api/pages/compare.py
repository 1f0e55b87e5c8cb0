"""Entries side by side as a page: curves, whether differences are real, how each forgets, and what differs in recipe and environment.

Decisions:
    * The address names the entries and the baseline: a comparison is a link. Entries are chosen with a form on the leaderboard, without scripts.
    * Heat-maps are tables whose cells carry a class for their shade: the number is always there to read.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.deps import DatabaseDep
from api.http.parameters import Baseline, Classifier, Entries
from api.http.strict_requests import StrictRoute
from api.pages import formats, templating
from api.pages.figures import charts
from api.pages.figures.charts import Figure
from api.pages.figures.columns import labels
from api.pages.figures.diagrams import Bars, Interval
from api.pages.track import Zoom, looks_of, series_of
from store.leaderboard.comparison import METRICS, Comparison, compare

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

SHADES = 10
NAMES = {"average_accuracy": "Average accuracy", "last_accuracy": "Last accuracy"}


@router.get("/compare")
def show(
    request: Request,
    entry: Entries,
    database: DatabaseDep,
    baseline: Baseline = None,
    classifier: Classifier = None,
    zoom: Zoom = True,
) -> Response:
    """Two to eight entries side by side."""
    with database.reading() as session:
        comparison = compare(session, entry, baseline=baseline, classifier=classifier)
    query = request.query_params.multi_items()
    return templating.render(
        request,
        "compare.html",
        comparison=comparison,
        names=labels(comparison.items),
        metrics=[(metric, NAMES[metric]) for metric in METRICS],
        shade=shade,
        links={item.id: _link(request, comparison, baseline=item.id) for item in comparison.items},
        figures={figure.name: figure for figure in figures_of(comparison, zoom)},
        query=query,
        zoom=zoom,
        unzoomed=[pair for pair in query if pair[0] != "zoom"],
    )


@router.get("/compare/{file}")
def picture(
    file: str,
    entry: Entries,
    database: DatabaseDep,
    baseline: Baseline = None,
    classifier: Classifier = None,
    zoom: Zoom = True,
) -> Response:
    """A figure of the page alone."""
    with database.reading() as session:
        comparison = compare(session, entry, baseline=baseline, classifier=classifier)
    return charts.download(figures_of(comparison, zoom), file)


def figures_of(comparison: Comparison, zoom: bool) -> list[Figure]:
    """Curves, differences to the baseline, what was forgotten of each task, and accuracy on old and new classes."""
    names, looks = labels(comparison.items), looks_of(comparison.items)
    where = f"on {comparison.track_slug}"
    found = [
        charts.curves("curves", series_of(comparison.items), f"Accuracy after each task {where}", zoom=zoom)
    ]
    for metric in METRICS:
        tests = [(one.entry, one.tests[metric]) for one in comparison.differences]
        rows = [
            Interval(names[entry], looks[entry], test.mean, *(test.interval or (None, None)))
            for entry, test in tests
        ]
        found.append(
            charts.intervals(metric, rows, f"{NAMES[metric]} against {names[comparison.baseline]} {where}")
        )
    tasks = len(comparison.matrices[0].forgetting)
    if tasks:
        lost = [
            Bars(names[matrix.entry], looks[matrix.entry], matrix.forgetting)
            for matrix in comparison.matrices
        ]
        found.append(
            charts.bars(
                "forgetting",
                [f"task {task + 1}" for task in range(tasks)],
                lost,
                f"Accuracy lost on each task by the end {where}",
            )
        )
        parts = ("old_accuracy", "new_accuracy")
        kept = [
            Bars(names[item.id], looks[item.id], [item.metrics[part].mean for part in parts])
            for item in comparison.items
        ]
        found.append(
            charts.bars(
                "old_and_new",
                ["old classes", "new classes"],
                kept,
                f"Accuracy on old and on new classes after the last task {where}",
            )
        )
    return found


def shade(value: float) -> int:
    """Which of the eleven shades, 0 … 10, a fraction gets."""
    return round(min(max(value, 0.0), 1.0) * SHADES)


def _link(request: Request, comparison: Comparison, *, baseline: str) -> str:
    pairs = [*(("entry", item.id) for item in comparison.items), ("baseline", baseline)]
    return formats.with_pairs(request.url.path, pairs)
