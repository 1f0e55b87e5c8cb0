"""The leaderboard of a track as a page: a table, and the curves of its best entries.

Decisions:
    * Every choice is a link, so the address describes the view.
    * The chart shows the best few entries and one upper bound, since colours are few. The table lists all
      entries.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from api.deps import AnswersDep, DatabaseDep
from api.http.links import url
from api.http.parameters import LeaderboardParameters
from api.http.strict_requests import StrictRoute
from api.pages import templating
from api.pages.figures import charts
from api.pages.figures.charts import Figure
from api.pages.figures.columns import (
    COLUMNS,
    USUAL,
    Column,
    PageContext,
    cells,
    chosen,
    is_competitor,
    label,
    labels,
)
from api.pages.figures.curves import Series
from api.pages.figures.scatter import ScatterPoint
from api.pages.figures.svg import SeriesStyle, sparkline
from api.pages.proposals import proposed_job
from api.schemas.leaderboards import CLASSIFIERS, beside_reported, track_named
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.weights import OVERLAPS
from cil_core.spec.weights_cards import overlap_of
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
"""Competitors whose curves are drawn."""

SHOWN_FOR_SECONDS = 10
"""A page is reused for this long while its track does not change; its relative times may be that old."""

EXPORTS = (
    ("csv", "CSV"),
    ("json", "JSON"),
    ("latex", "LaTeX"),
    ("markdown", "Markdown"),
    ("bibtex", "BibTeX"),
)
"""Formats of the leaderboard's API route, with their titles."""

ZOOM = Field(default=True, description="Start the accuracy axis of the chart just below its lowest point.")


class FigureParameters(LeaderboardParameters):
    """What the figures of a leaderboard show."""

    zoom: bool = ZOOM


class TrackParameters(FigureParameters):
    """What the page of a leaderboard shows."""

    columns: list[str] = Field(
        default_factory=list, description="Columns to show; the default columns if omitted."
    )


@router.get("/tracks/{slug}")
def show(
    request: Request,
    slug: str,
    database: DatabaseDep,
    answers: AnswersDep,
    query: Annotated[TrackParameters, Query()],
) -> Response:
    """The leaderboard of a track."""
    shown = chosen(query.columns)
    with database.reading() as session:
        key = f"page {request.url} {revision(session, slug)} {time.monotonic() // SHOWN_FOR_SECONDS:.0f}"
        if (kept := answers.get(key)) is not None:
            return templating.page(request, kept)
        board = _read(session, slug, query)
    view = {
        "sort": query.sort if query.sort != "average_accuracy" else None,
        "classifier": query.classifier,
        "exemplar_free": "true" if query.exemplar_free else None,
        "best_per_method": "true" if query.best_per_method else None,
        "zoom": None if query.zoom else "false",
        "columns": None if [one.key for one in shown] == USUAL else [one.key for one in shown],
    }
    text = templating.text_of(
        request,
        "track.html",
        slug=slug,
        overlap=overlap_of(board["track"].weights_key, board["track"].dataset),
        overlaps=OVERLAPS,
        columns=shown,
        sort=query.sort,
        classifier=query.classifier,
        exemplar_free=query.exemplar_free,
        view=view,
        query=[(name, value) for name, value in view.items() if isinstance(value, str)],
        **board,
        **_shown_entries(request, slug, board["entries"], shown, query.zoom),
    )
    answers.keep(key, text)
    return templating.page(request, text)


@router.get("/tracks/{slug}/{file}")
def picture(
    slug: str, file: str, database: DatabaseDep, query: Annotated[FigureParameters, Query()]
) -> Response:
    """A figure of the page alone: its picture or its numbers."""
    with database.reading() as session:
        track_named(session, slug)
        found = _entries(session, slug, query)
    return charts.download((curves(slug, found, query.zoom), pareto(slug, found)), file)


def _entries(session: Session, slug: str, query: LeaderboardParameters) -> list[Entry]:
    return entries(
        session,
        slug,
        query.classifier,
        sort=query.sort,
        exemplar_free=query.exemplar_free,
        best_per_method=query.best_per_method,
    )


def _read(session: Session, slug: str, query: LeaderboardParameters) -> dict[str, Any]:
    """What the page reads from the database."""
    track = track_named(session, slug)
    found = _entries(session, slug, query)
    other = other_budgets(session, slug)
    return {
        "track": track,
        "entries": found,
        "reported": beside_reported(session, slug),
        "orders": order_sensitivity(session, slug),
        "budgets": other,
        "budget_pairs": [("track", each) for each in other],
        "proposal": None if found else proposed_job(track, dataset_cards(session)),
    }


def _shown_entries(
    request: Request, slug: str, found: Sequence[Entry], shown: Sequence[Column], zoom: bool
) -> dict[str, Any]:
    """What the template shows of the entries."""
    context = PageContext(datetime.now(UTC), partial(url, request))
    return {
        "drawn": _drawn(found),
        "cells": cells(found, shown, context),
        "competitors": {entry.id for entry in found if is_competitor(entry)},
        "row_classes": row_classes(found),
        "leading": leading(found),
        "curves": curves(slug, found, zoom),
        "pareto": pareto(slug, found),
        "every_column": COLUMNS,
        "classifiers": CLASSIFIERS,
        "exports": EXPORTS,
        "citations": {name: recipe.citation for name, recipe in BY_NAME.items()},
        "sparkline": lambda row: sparkline(row.curve, f"Reported accuracy of {row.title} after each task"),
    }


def curves(slug: str, found: Sequence[Entry], zoom: bool) -> Figure | None:
    """Accuracy after each task of the best entries; None without any."""
    drawn = _drawn(found)
    return (
        charts.curves("curves", series_of(drawn), f"Accuracy after each task on {slug}", zoom=zoom)
        if drawn
        else None
    )


def pareto(slug: str, found: Sequence[Entry]) -> Figure | None:
    """Accuracy over all kept bytes with the Pareto frontier; None with fewer than two ranked entries."""
    shown = [entry for entry in found if entry.rank is not None and entry.kept_bytes]
    if len(shown) < 2:
        return None
    best = frontier(
        {entry.id: (-entry.metrics["average_accuracy"].mean, entry.kept_bytes) for entry in shown}
    )
    names = labels(shown)
    points = [
        ScatterPoint(
            names[entry.id], entry.kept_bytes / 1e6, entry.metrics["average_accuracy"].mean, entry.id in best
        )
        for entry in shown
    ]
    return charts.scatter(
        "pareto", points, f"Average accuracy over the megabytes kept on {slug}", "megabytes kept"
    )


def leading(found: Sequence[Entry]) -> dict[str, Any] | None:
    """The leader, its distance to the second, and its peers: entries that do not differ significantly.

    None if the entries are not ranked by average accuracy.
    """
    ranked = [entry for entry in found if entry.band is not None]
    if not ranked:
        return None
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    ahead = None
    if second is not None:
        ahead = first.metrics["average_accuracy"].mean - second.metrics["average_accuracy"].mean
    return {
        "first": first,
        "second": second,
        "ahead": ahead,
        "peers": [entry for entry in ranked[1:] if entry.band == 1],
        "tested": len(first.runs) >= MIN_SEEDS_FOR_INTERVAL,
    }


def row_classes(found: Sequence[Entry]) -> dict[str, str]:
    """The style classes of each entry's row: the leader, upper bounds, and where a band begins."""
    classes, band = {}, None
    for entry in found:
        names = ["first"] if entry.rank == 1 else [] if is_competitor(entry) else ["bound"]
        if entry.band is not None:
            names += ["band-begins"] if band is not None and entry.band != band else []
            band = entry.band
        classes[entry.id] = " ".join(names)
    return classes


def _drawn(found: Sequence[Entry]) -> list[Entry]:
    competitors = [entry for entry in found if is_competitor(entry)][:DRAWN]
    return competitors + [entry for entry in found if not is_competitor(entry)][:1]


def series_of(drawn: Sequence[Entry]) -> list[Series]:
    """Their curves, for a chart."""
    styles, names = styles_of(drawn), labels(drawn)
    return [
        Series(
            label=names[entry.id],
            points=[(seen, point.mean) for seen, point in zip(entry.seen_classes, entry.curve, strict=True)],
            band=[point.interval for point in entry.curve if point.interval] or None,
            style=styles[entry.id],
        )
        for entry in sorted(drawn, key=lambda entry: styles[entry.id].place)
    ]


def styles_of(drawn: Sequence[Entry]) -> dict[str, SeriesStyle]:
    """The style of each entry by its id, upper bounds last; it does not depend on the sort."""
    bound = {entry.id: not is_competitor(entry) for entry in drawn}
    ordered = sorted(drawn, key=lambda entry: (bound[entry.id], label(entry)))
    return {entry.id: SeriesStyle(place, bound[entry.id]) for place, entry in enumerate(ordered)}
