"""The leaderboard of a track as a page: a table, and the curves of its best entries.

Decisions:
    * Everything that can be chosen is a link: what is seen is what the address says.
    * The chart shows the best few entries and the upper bounds; more curves than colours cannot be told apart. The table has all of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from api import problems
from api.answers.leaderboards import CLASSIFIERS, beside_reported, track_named
from api.deps import DatabaseDep
from api.pages import svg, templating
from api.problems import Problem
from api.routes.tracks import Classifier, ExemplarFree, Sort
from api.strict import StrictRoute
from cil_core.recipes import BY_NAME
from store.budgets import other_budgets
from store.leaderboard import Entry, entries
from store.orders import order_sensitivity

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

DRAWN = 8

Zoom = Annotated[bool, Query(description="Whether the chart's accuracy axis begins just below the lowest point.")]

COLUMNS = (
    ("average_accuracy", "Average acc.", "higher is better"),
    ("last_accuracy", "Last acc.", "higher is better"),
    ("forgetting", "Forgetting", "lower is better"),
    ("counted_bytes", "Memory, MB", "lower is better"),
    ("parameters", "Params, M", "lower is better"),
    ("train_seconds", "Time", "lower is better"),
)
"""The sortable columns: sort, header, direction."""


@router.get("/tracks/{slug}")
def show(
    request: Request, slug: str, database: DatabaseDep, sort: Sort = "average_accuracy", classifier: Classifier = None, exemplar_free: ExemplarFree = False,
    zoom: Zoom = False,
) -> HTMLResponse:  # fmt: skip
    """The leaderboard of a track."""
    with database.reading() as session:
        track = track_named(session, slug)
        found = entries(session, slug, classifier, sort=sort, exemplar_free=exemplar_free)
        reported = beside_reported(session, slug, found)
        orders, budgets_of_it = order_sensitivity(session, slug), other_budgets(session, slug)
    drawn = _drawn(found)
    return templating.render(
        request, "track.html", track=track, slug=slug, entries=found, drawn=drawn, columns=COLUMNS, classifiers=CLASSIFIERS,
        view={"sort": sort if sort != "average_accuracy" else None, "classifier": classifier, "exemplar_free": "true" if exemplar_free else None, "zoom": "true" if zoom else None},
        sort=sort, classifier=classifier, exemplar_free=exemplar_free, citations={name: recipe.citation for name, recipe in BY_NAME.items()},
        reported=reported, best=best(found), orders=orders, budgets=budgets_of_it,
        budget_pairs=[("track", each) for each in budgets_of_it],
        chart=svg.curves(series_of(drawn), f"Accuracy after each task on {slug}", zoom=zoom) if drawn else None,
        sparkline=lambda row: svg.sparkline(row.curve, f"Accuracy of {row.title} after each task, as reported"),
        sparklines={entry.id: svg.sparkline([point.mean for point in entry.curve], f"Accuracy of {label(entry)} after each task") for entry in found},
    )  # fmt: skip


@router.get("/tracks/{slug}/curves.svg")
def picture(
    slug: str, database: DatabaseDep, sort: Sort = "average_accuracy", classifier: Classifier = None, exemplar_free: ExemplarFree = False, zoom: Zoom = False
) -> Response:
    """The chart alone, as a picture that carries its style."""
    with database.reading() as session:
        track_named(session, slug)
        drawn = _drawn(entries(session, slug, classifier, sort=sort, exemplar_free=exemplar_free))
    if not drawn:
        raise Problem(problems.NOT_FOUND, f"nothing has finished on {slug!r} that this picture could show")
    text = svg.curves(series_of(drawn), f"Accuracy after each task on {slug}", standalone=True, zoom=zoom)
    return Response(text, media_type="image/svg+xml", headers={"Content-Security-Policy": _PICTURE_POLICY})


def best(found: Sequence[Entry]) -> dict[str, set[str]]:
    """By sortable column, the ranked entries that are best in it."""
    ranked = [entry for entry in found if entry.rank is not None]
    marked = {}
    for key, _, direction in COLUMNS:
        values = {entry.id: value for entry in ranked if (value := _value(entry, key)) is not None}
        first = (max if direction.startswith("higher") else min)(values.values(), default=None)
        marked[key] = {entry_id for entry_id, value in values.items() if value == first} if len(values) > 1 else set()
    return marked


def _value(entry: Entry, key: str) -> float | None:
    """What an entry is sorted by."""
    if key in entry.metrics:
        return entry.metrics[key].mean
    if key == "train_seconds":
        return entry.train_seconds.mean if entry.train_seconds else None
    found: float | None = getattr(entry, key, None)
    return found


def label(entry: Entry) -> str:
    """An entry's name: its method, and what tells it from the default."""
    return entry.title if entry.variant == "default" else f"{entry.title}, {entry.variant}"


def _drawn(found: Sequence[Entry]) -> list[Entry]:
    competitors = [entry for entry in found if entry.rank is not None][:DRAWN]
    return competitors + [entry for entry in found if entry.rank is None][:1]


def series_of(drawn: Sequence[Entry]) -> list[svg.Series]:
    """Their curves, for a chart."""
    return [
        svg.Series(
            label=label(entry),
            points=[(seen, point.mean) for seen, point in zip(entry.seen_classes, entry.curve, strict=True)],
            band=[point.interval for point in entry.curve if point.interval] or None,
            bound=not BY_NAME[entry.method].ranked,
        )
        for entry in sorted(drawn, key=lambda entry: (not BY_NAME[entry.method].ranked, label(entry)))  # a colour stays with its entry, however it is ranked
    ]


_STYLE_HASH = base64.b64encode(hashlib.sha256(svg.chart_style().encode()).digest()).decode()
_PICTURE_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
