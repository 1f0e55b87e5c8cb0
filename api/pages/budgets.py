"""Accuracy over memory: methods on tracks that differ in their budget, with AUC-A and AUC-L."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.deps import DatabaseDep
from api.http.parameters import TracksParameters
from api.http.strict_requests import StrictRoute
from api.pages import templating
from api.pages.choices import ChosenTracks, choose_tracks
from api.pages.figures import charts
from api.pages.figures.charts import Figure
from api.pages.figures.curves import Series
from api.pages.figures.svg import COLOURS, SeriesStyle
from cil_core.spec.recipes import BY_NAME
from store.leaderboard.budgets import Budgets, budgets

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

EXPLANATION = (
    "Tracks that differ only in their memory budget show"
    " how much accuracy each method gains from more memory."
)


@router.get("/budgets")
def show(request: Request, database: DatabaseDep, query: Annotated[ChosenTracks, Query()]) -> Response:
    """Methods over the budgets of these tracks."""
    with database.reading() as session:
        if not query.track:
            return choose_tracks(request, session, "Accuracy over memory", EXPLANATION)
        found = budgets(session, query.track)
    return templating.render(
        request,
        "budgets.html",
        found=found,
        curves=curves_of(found),
        left_out=[BY_NAME[name].title for name in found.left_out],
        query=[("track", slug) for slug in query.track],
    )


@router.get("/budgets/{file}")
def picture(file: str, database: DatabaseDep, query: Annotated[TracksParameters, Query()]) -> Response:
    """The figure of the page alone."""
    with database.reading() as session:
        return charts.download([curves_of(budgets(session, query.track))], file)


def curves_of(found: Budgets) -> Figure:
    """Average accuracy over memory, one curve per method."""
    series = [
        Series(
            curve.title,
            [(point.megabytes, point.average_accuracy) for point in curve.points],
            style=SeriesStyle(place),
        )
        for place, curve in enumerate(found.curves)
    ]
    return charts.curves("budgets", series[:COLOURS], "Average accuracy over memory", "megabytes (2²⁰ bytes)")
