"""Methods over several tracks as a page: average ranks, and which of them differ significantly."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.deps import DatabaseDep
from api.http.parameters import Slugs
from api.http.strict_requests import StrictRoute
from api.pages import templating
from api.pages.figures import charts
from api.pages.figures.charts import Figure
from store.leaderboard.comparison import TracksComparison, compare_tracks

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get("/ranks")
def show(request: Request, track: Slugs, database: DatabaseDep) -> Response:
    """Methods over several tracks: average ranks, and which of them differ significantly."""
    with database.reading() as session:
        found = compare_tracks(session, track)
    return templating.render(
        request,
        "ranks.html",
        found=found,
        diagram=diagram_of(found),
        query=[("track", slug) for slug in track],
    )


@router.get("/ranks/{file}")
def picture(file: str, track: Slugs, database: DatabaseDep) -> Response:
    """The figure of the page alone."""
    with database.reading() as session:
        return charts.download([diagram_of(compare_tracks(session, track))], file)


def diagram_of(found: TracksComparison) -> Figure:
    """Average ranks with the critical difference."""
    ranking = found.ranking
    title = f"Average ranks of {len(ranking.names)} methods over {len(found.tracks)} tracks"
    return charts.critical_difference(
        "ranks", ranking.names, ranking.average_ranks, ranking.critical_difference, title
    )
