"""Methods over several tracks as a page: average ranks, and which of them differ significantly."""

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
from store.leaderboard.comparison import TracksComparison, compare_tracks

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

EXPLANATION = (
    "Average ranks show which methods do well on several tracks, and whether they differ significantly."
)


@router.get("/ranks")
def show(request: Request, database: DatabaseDep, query: Annotated[ChosenTracks, Query()]) -> Response:
    """Methods over several tracks: average ranks, and which of them differ significantly."""
    with database.reading() as session:
        if not query.track:
            return choose_tracks(request, session, "Ranks over tracks", EXPLANATION)
        found = compare_tracks(session, query.track)
    return templating.render(
        request,
        "ranks.html",
        found=found,
        diagram=diagram_of(found),
        query=[("track", slug) for slug in query.track],
    )


@router.get("/ranks/{file}")
def picture(file: str, database: DatabaseDep, query: Annotated[TracksParameters, Query()]) -> Response:
    """The figure of the page alone."""
    with database.reading() as session:
        return charts.download([diagram_of(compare_tracks(session, query.track))], file)


def diagram_of(found: TracksComparison) -> Figure:
    """Average ranks with the critical difference."""
    ranking = found.ranking
    title = f"Average ranks of {len(ranking.names)} methods over {len(found.tracks)} tracks"
    return charts.critical_difference(
        "ranks", ranking.names, ranking.average_ranks, ranking.critical_difference, title
    )
