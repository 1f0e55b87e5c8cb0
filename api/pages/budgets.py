"""Accuracy over memory: methods on tracks that differ in their budget, as a chart and a table with AUC-A and AUC-L."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.deps import DatabaseDep
from api.pages import svg, templating
from api.routes.comparisons import Slugs
from api.strict import StrictRoute
from store.budgets import budgets

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get("/budgets")
def show(request: Request, track: Slugs, database: DatabaseDep) -> HTMLResponse:
    """Methods over the budgets of these tracks."""
    with database.reading() as session:
        found = budgets(session, track)
    series = [svg.Series(label=curve.title, points=[(point.megabytes, point.average_accuracy) for point in curve.points]) for curve in found.curves]
    return templating.render(
        request, "budgets.html", found=found, chart=svg.curves(series[: svg.COLOURS], "Average accuracy over memory", "megabytes (2^20)", zoom=True),
        query=[("track", slug) for slug in track],
    )  # fmt: skip
