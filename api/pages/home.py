"""The first page: every track with its leader, and how to submit."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.answers.leaderboards import track_answer
from api.deps import DatabaseDep
from api.pages import templating
from api.strict import StrictRoute
from store.leaderboard import Entry, entries
from store.tracks import list_tracks

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get("/")
def home(request: Request, database: DatabaseDep) -> HTMLResponse:
    """The tracks as cards."""
    with database.reading() as session:
        tracks = [track for status in list_tracks(session) if not (track := track_answer(status)).for_tuning]
        leaders = {track.slug: _leader(entries(session, track.slug)) for track in tracks}
    return templating.render(request, "home.html", tracks=tracks, leaders=leaders, example_track="digits-b0-inc2-m50-convnet")


def _leader(found: list[Entry]) -> Entry | None:
    return next((entry for entry in found if entry.rank == 1), None)
