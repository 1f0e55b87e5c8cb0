"""Jobs as pages: a list with filters, and one job with its runs.

Decisions:
    * Pages store no token and set no cookie, so the service does not know who reads them. A reader filters by
      a user's name or id instead of by "mine".
    * An empty field of the form means no filter.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy.orm import Session

from api.deps import CursorsDep, DatabaseDep
from api.http.parameters import JobId, Parameters, one_of
from api.http.strict_requests import StrictRoute
from api.pages import formats, templating, wording
from api.schemas.jobs import job_answer, job_brief
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from store.access.accounts import user_named, user_names
from store.database.states import JobState
from store.queries import counts
from store.queries.jobs import JobFilter, JobPage, get_job, list_jobs
from store.queries.positions import queue_position
from store.runs import list_workers

router = APIRouter(include_in_schema=False, route_class=StrictRoute)

REFRESH_SECONDS = 10
OPEN = frozenset({"queued", "running"})
PAGE = 50
"""Jobs per page."""

TITLES = {name: recipe.title for name, recipe in BY_NAME.items()}


class JobsPageParameters(Parameters):
    """The form's fields, empty ones included."""

    state: Annotated[str, one_of("", *JobState)] = ""
    method: Annotated[str, one_of("", *BY_NAME)] = ""
    track: str = Field(default="", max_length=200)
    user: str = Field(default="", max_length=80)
    cursor: str | None = Field(default=None, max_length=1000)

    @property
    def filters(self) -> dict[str, str]:
        """The filters in use, as typed."""
        typed = self.model_dump(exclude={"cursor"})
        return {name: value.strip() for name, value in typed.items() if value.strip()}


@router.get("/jobs")
def show_jobs(
    request: Request,
    database: DatabaseDep,
    cursors: CursorsDep,
    query: Annotated[JobsPageParameters, Query()],
) -> Response:
    """Jobs, the newest first."""
    with database.reading() as session:
        page = _page(session, query, cursors.check(query.cursor))
        jobs = [job_brief(job) for job in page.items]
        users = user_names(session, {job.user_id for job in jobs if job.user_id})
    following = cursors.sign(page.next_cursor)
    address = request.url.path
    return templating.render(
        request,
        "jobs.html",
        jobs=jobs,
        users=users,
        titles=TITLES,
        states=list(JobState),
        given=query,
        filters=query.filters,
        first=formats.with_query(address, query.filters) if query.cursor else None,
        following=formats.with_query(address, {**query.filters, "cursor": following}) if following else None,
    )


@router.get("/jobs/{job_id}")
def show_job(request: Request, job_id: JobId, database: DatabaseDep) -> Response:
    """A job: its runs with their states, and its place in the queue."""
    with database.reading() as session:
        position = queue_position(session, job_id)
        job = job_answer(get_job(session, job_id), position)
        waits = None
        if position is not None:
            workers, seconds = counts.active_workers(session), counts.recent_run_seconds(session)
            waits = wording.outlook(workers, seconds, position) + _lacking(
                session, Track.model_validate(job.spec["track"])
            )
    is_open = job.state in OPEN
    return templating.render(
        request,
        "job.html",
        job=job,
        waits=waits,
        title=TITLES[job.method],
        refresh=REFRESH_SECONDS if is_open else None,
        events=f"/api/v1/jobs/{job.id}/events" if is_open else None,
    )


def _lacking(session: Session, track: Track) -> str:
    """A sentence about weights that no online worker offers; nothing where one does."""
    key = track.weights_key
    online = [status.info for status in list_workers(session) if status.stopped_at is None]
    if key is None or any(key in info.get("weights", [key]) for info in online):
        return ""
    return wording.lacking_weights(key)


def _page(session: Session, query: JobsPageParameters, cursor: str | None) -> JobPage:
    given = query.filters
    user = user_named(session, given["user"]) if "user" in given else None
    filters = JobFilter(
        state=JobState(given["state"]) if "state" in given else None,
        method=given.get("method"),
        track=given.get("track"),
        user=user.id if user else given.get("user"),
    )
    return list_jobs(session, filters, cursor, PAGE)
