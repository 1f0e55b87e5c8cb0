"""Entries side by side as a page: curves, whether differences are real, how each forgets, and what differs in recipe and environment.

Decisions:
    * The address names the entries and the baseline: a comparison is a link. Entries are chosen with a form on the leaderboard, without scripts.
    * Heat-maps are tables whose cells carry a class for their shade: the number is always there to read.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.deps import DatabaseDep
from api.pages import svg, templating
from api.pages.track import label, series_of
from api.routes.comparisons import Baseline, Entries
from api.routes.tracks import Classifier
from api.strict import StrictRoute
from store.comparison import METRICS, Comparison, compare
from store.significance import ALPHA, PairedTest

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

SHADES = 10
NAMES = {"average_accuracy": "Average accuracy", "last_accuracy": "Last accuracy"}


@router.get("/compare")
def show(request: Request, entry: Entries, database: DatabaseDep, baseline: Baseline = None, classifier: Classifier = None) -> HTMLResponse:
    """Two to eight entries side by side."""
    with database.reading() as session:
        comparison = compare(session, entry, baseline=baseline, classifier=classifier)
    names = {item.id: label(item) for item in comparison.items}
    return templating.render(
        request, "compare.html", comparison=comparison, names=names, metrics=[(metric, NAMES[metric]) for metric in METRICS], shade=shade, verdict=verdict,
        chart=svg.curves(series_of(comparison.items), f"Accuracy after each task on {comparison.track_slug}"),
        links={item.id: _link(comparison, baseline=item.id) for item in comparison.items}, classifier=classifier,
    )  # fmt: skip


def shade(value: float) -> int:
    """Which of the eleven shades, 0 … 10, a fraction gets."""
    return round(min(max(value, 0.0), 1.0) * SHADES)


def verdict(test: PairedTest) -> str:
    """What the paired test says, in words."""
    if test.mean is None:
        return "no seed in common"
    if test.t_p_holm is None:
        return f"{len(test.seeds)} seed{'s' if len(test.seeds) > 1 else ''} in common: too few to test"
    if test.t_p_holm < ALPHA:
        return "better" if test.mean > 0 else "worse"
    return "cannot be told apart"


def _link(comparison: Comparison, *, baseline: str) -> str:
    query: Sequence[tuple[str, str]] = [*(("entry", item.id) for item in comparison.items), ("baseline", baseline)]
    return templating.with_pairs("/compare", query)
