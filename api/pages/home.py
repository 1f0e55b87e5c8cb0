"""The first page: every track with its leader, the latest jobs, and how to submit."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from api.deps import DatabaseDep
from api.http.strict_requests import StrictRoute
from api.pages import templating
from api.pages.jobs import TITLES
from api.pages.proposals import first_job
from api.schemas.jobs import job_brief
from api.schemas.leaderboards import track_answer
from store.access.accounts import user_names
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import entries
from store.leaderboard.tracks import list_tracks
from store.queries.jobs import list_jobs

LATEST = 8
"""Jobs to show."""

FIRST_LOOK = 4
"""Entries to read in search of a track's leader; if all are upper bounds, the whole board is read."""

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get("/")
def home(request: Request, database: DatabaseDep) -> Response:
    """The tracks as cards."""
    with database.reading() as session:
        tracks = [track for status in list_tracks(session) if not (track := track_answer(status)).for_tuning]
        leaders = {track.slug: _leader(session, track.slug) for track in tracks}
        jobs = [job_brief(job) for job in list_jobs(session, limit=LATEST).items]
        users = user_names(session, {job.user_id for job in jobs if job.user_id})
    tracks.sort(key=lambda track: -track.entries)
    return templating.render(
        request,
        "home.html",
        tracks=tracks,
        leaders=leaders,
        jobs=jobs,
        users=users,
        titles=TITLES,
        proposal=first_job(),
    )


def _leader(session: Session, slug: str) -> Entry | None:
    """The first ranked entry; any number of upper bounds may precede it."""
    found = entries(session, slug, limit=FIRST_LOOK)
    leader = next((entry for entry in found if entry.rank == 1), None)
    if leader is None and len(found) == FIRST_LOOK:
        leader = next((entry for entry in entries(session, slug) if entry.rank == 1), None)
    return leader
