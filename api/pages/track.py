"""The leaderboard of a track as a page: a table, and the curves of its best entries.

Decisions:
    * Everything that can be chosen is a link: what is seen is what the address says.
    * The chart shows the best few entries and the upper bounds; more curves than colours cannot be told apart. The table has all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.deps import AnswersDep, DatabaseDep
from api.http.parameters import BestPerMethod, Classifier, ExemplarFree, Sort
from api.http.strict_requests import StrictRoute
from api.pages import templating
from api.pages.figures import charts, svg
from api.pages.figures.charts import Figure
from api.pages.figures.columns import COLUMNS, USUAL, cells, chosen, label, labels
from api.pages.figures.diagrams import Point
from api.pages.proposals import proposed_job
from api.schemas.leaderboards import CLASSIFIERS, beside_reported, track_named
from cil_core.spec.recipes import BY_NAME
from store.datasets import dataset_cards
from store.leaderboard.budgets import other_budgets
from store.leaderboard.class_orders import order_sensitivity
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import entries
from store.leaderboard.ranking import frontier
from store.leaderboard.statistics import MIN_SEEDS_FOR_INTERVAL
from store.leaderboard.tracks import revision

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

DRAWN = 8
SHOWN_FOR_SECONDS = 10
"""How long a page is shown as it is while its track does not change: what it says of times, of other tracks and of Redis may be so old."""

Zoom = Annotated[
    bool, Query(description="Whether the chart's accuracy axis begins just below the lowest point.")
]

Columns = Annotated[
    list[str],
    Query(default_factory=list, description="The columns that are shown; the usual ones when left out."),
]


@router.get("/tracks/{slug}")
def show(
    request: Request, slug: str, database: DatabaseDep, answers: AnswersDep, sort: Sort = "average_accuracy", classifier: Classifier = None,
    exemplar_free: ExemplarFree = False, best_per_method: BestPerMethod = False, zoom: Zoom = True, *, columns: Columns,
) -> Response:  # fmt: skip
    """The leaderboard of a track."""
    shown = chosen(columns)
    with database.reading() as session:
        key = f"page {request.url} {revision(session, slug)} {time.monotonic() // SHOWN_FOR_SECONDS:.0f}"
        if (kept := answers.get(key)) is not None:
            return templating.page(request, kept)
        track = track_named(session, slug)
        found = entries(
            session, slug, classifier, sort=sort, exemplar_free=exemplar_free, best_per_method=best_per_method
        )
        reported = beside_reported(session, slug, found)
        orders, budgets_of_it = order_sensitivity(session, slug), other_budgets(session, slug)
        proposal = None if found else proposed_job(track, dataset_cards(session))
    drawn = _drawn(found)
    view = {
        "sort": sort if sort != "average_accuracy" else None, "classifier": classifier, "exemplar_free": "true" if exemplar_free else None,
        "best_per_method": "true" if best_per_method else None, "zoom": None if zoom else "false", "columns": None if [one.key for one in shown] == USUAL else [one.key for one in shown],
    }  # fmt: skip
    text = templating.text_of(
        request, "track.html", track=track, slug=slug, entries=found, drawn=drawn, columns=shown, every_column=COLUMNS, classifiers=CLASSIFIERS, view=view,
        query=[(name, value) for name, value in view.items() if isinstance(value, str)],
        sort=sort, classifier=classifier, exemplar_free=exemplar_free, citations={name: recipe.citation for name, recipe in BY_NAME.items()},
        reported=reported, proposal=proposal, cells=cells(found, shown, datetime.now(UTC)), orders=orders, budgets=budgets_of_it, budget_pairs=[("track", each) for each in budgets_of_it],
        curves=curves(slug, found, zoom), pareto=pareto(slug, found), leading=leading(found),
        sparkline=lambda row: svg.sparkline(row.curve, f"Accuracy of {row.title} after each task, as reported"),
    )  # fmt: skip
    answers.keep(key, text)
    return templating.page(request, text)


@router.get("/tracks/{slug}/{file}")
def picture(
    slug: str, file: str, database: DatabaseDep, sort: Sort = "average_accuracy", classifier: Classifier = None, exemplar_free: ExemplarFree = False,
    best_per_method: BestPerMethod = False, zoom: Zoom = True,
) -> Response:  # fmt: skip
    """A figure of the page alone: its picture or its numbers."""
    with database.reading() as session:
        track_named(session, slug)
        found = entries(
            session, slug, classifier, sort=sort, exemplar_free=exemplar_free, best_per_method=best_per_method
        )
    return charts.download((curves(slug, found, zoom), pareto(slug, found)), file)


def curves(slug: str, found: Sequence[Entry], zoom: bool) -> Figure | None:
    """Accuracy after each task of the best entries; None without any."""
    drawn = _drawn(found)
    return (
        charts.curves("curves", series_of(drawn), f"Accuracy after each task on {slug}", zoom=zoom)
        if drawn
        else None
    )


def pareto(slug: str, found: Sequence[Entry]) -> Figure | None:
    """Accuracy over everything that is kept, with the entries that nobody is better than in both; None with fewer than two."""
    shown = [entry for entry in found if entry.rank is not None and entry.kept_bytes]
    if len(shown) < 2:
        return None
    best = frontier(
        {entry.id: (-entry.metrics["average_accuracy"].mean, entry.kept_bytes) for entry in shown}
    )
    names = labels(shown)
    points = [
        Point(
            names[entry.id], entry.kept_bytes / 1e6, entry.metrics["average_accuracy"].mean, entry.id in best
        )
        for entry in shown
    ]
    return charts.scatter(
        "pareto", points, f"Average accuracy over the megabytes kept on {slug}", "megabytes kept"
    )


def leading(found: Sequence[Entry]) -> dict[str, Any] | None:
    """Who leads, by how much, and who cannot be told from them; None unless average accuracy ranks."""
    ranked = [entry for entry in found if entry.band is not None]
    if not ranked:
        return None
    beside = [entry for entry in ranked[1:] if entry.band == 1]
    ahead = (
        ranked[0].metrics["average_accuracy"].mean - ranked[1].metrics["average_accuracy"].mean
        if len(ranked) > 1
        else None
    )
    return {
        "first": ranked[0],
        "second": ranked[1] if len(ranked) > 1 else None,
        "ahead": ahead,
        "beside": beside,
        "tested": len(ranked[0].runs) >= MIN_SEEDS_FOR_INTERVAL,
    }


def _drawn(found: Sequence[Entry]) -> list[Entry]:
    competitors = [entry for entry in found if BY_NAME[entry.method].ranked][:DRAWN]
    return competitors + [entry for entry in found if not BY_NAME[entry.method].ranked][:1]


def series_of(drawn: Sequence[Entry]) -> list[svg.Series]:
    """Their curves, for a chart."""
    looks, names = looks_of(drawn), labels(drawn)
    return [
        svg.Series(
            label=names[entry.id],
            points=[(seen, point.mean) for seen, point in zip(entry.seen_classes, entry.curve, strict=True)],
            band=[point.interval for point in entry.curve if point.interval] or None,
            look=looks[entry.id],
        )
        for entry in sorted(drawn, key=lambda entry: looks[entry.id].place)
    ]


def looks_of(drawn: Sequence[Entry]) -> dict[str, svg.Look]:
    """How each entry is drawn, by its id, upper bounds last: a colour stays with its entry, however it is ranked."""
    bound = {entry.id: not BY_NAME[entry.method].ranked for entry in drawn}
    ordered = sorted(drawn, key=lambda entry: (bound[entry.id], label(entry)))
    return {entry.id: svg.Look(place, bound[entry.id]) for place, entry in enumerate(ordered)}
