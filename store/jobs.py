"""Looking at jobs: one with all its runs, or many, page by page.

Decisions:
    * Pages are cut by the last row seen (`created_at`, `id`), not by a count: what is submitted meanwhile neither repeats nor hides a job, and the
      thousandth page costs what the first one does.
    * A cursor says which filters it belongs to; with others it is refused.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select
from sqlalchemy.orm import Session, defer, selectinload

from cil_core.frozen import canonical_json
from store.base import is_in
from store.errors import InvalidCursor, NotFound
from store.models import Job, JobRun, Run
from store.states import JobState

MAX_PAGE = 200

_RUNS = selectinload(Job.links).joinedload(JobRun.run, innerjoin=True)
_WHOLE = select(Job).where(Job.id == bindparam("job")).options(_RUNS.selectinload(Run.attempts), _RUNS.selectinload(Run.summaries))

_IN_A_LIST = (
    Run.id, Run.seed, Run.state, Run.attempt, Run.worker_id, Run.device, Run.failure, Run.message, Run.cancel_requested, Run.created_at, Run.started_at,
    Run.finished_at,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; None leaves a field open."""

    state: JobState | None = None
    method: str | None = None
    track: str | None = None
    user: str | None = None
    created_after: datetime | None = None


EVERY_JOB = JobFilter()


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, the newest first, and where the next page starts; `next_cursor` is None on the last page."""

    items: list[Job]
    next_cursor: str | None


def get_job(session: Session, job_id: str) -> Job:
    """A job with its `links`, their `run`s, and their `attempts` and `summaries`.

    Raises:
        NotFound: there is no such job.
    """
    job = session.scalars(_WHOLE, {"job": job_id}, execution_options={"populate_existing": True}).one_or_none()
    if job is None:
        raise NotFound(f"there is no job {job_id!r}")
    return job


def list_jobs(session: Session, filters: JobFilter = EVERY_JOB, cursor: str | None = None, limit: int = 50) -> JobPage:
    """A page of jobs with their `links` and `run`s, of which only what a list shows is loaded.

    Args:
        session: any session.
        filters: which jobs.
        cursor: `next_cursor` of the page before; None for the first.
        limit: jobs a page, 1 … 200.

    Raises:
        InvalidCursor: the cursor was not made by this function for these filters.
        ValueError: for a limit out of range.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"a page holds 1 … {MAX_PAGE} jobs, not {limit}")
    links = selectinload(Job.links)
    query = _filtered(filters).options(defer(Job.spec, raiseload=True), links.joinedload(JobRun.run, innerjoin=True).load_only(*_IN_A_LIST, raiseload=True))
    if cursor is not None:
        query = query.where(_before(*_read_cursor(cursor, filters)))
    found = list(session.scalars(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit + 1)))
    items = found[:limit]
    return JobPage(items, _write_cursor(items[-1], filters) if len(found) > limit else None)


def _filtered(filters: JobFilter) -> Select[Job]:
    conditions: list[ColumnElement[bool]] = []
    if filters.state is not None:
        conditions.append(is_in(Job.state, filters.state))
    for column, value in ((Job.method, filters.method), (Job.track_slug, filters.track), (Job.user_id, filters.user)):
        if value is not None:
            conditions.append(column == value)
    if filters.created_after is not None:
        conditions.append(Job.created_at > filters.created_after)
    return select(Job).where(*conditions)


def _before(created_at: datetime, job_id: str) -> ColumnElement[bool]:
    return and_(Job.created_at <= created_at, or_(Job.created_at < created_at, Job.id < job_id))


def _write_cursor(last: Job, filters: JobFilter) -> str:
    return base64.urlsafe_b64encode(canonical_json([last.created_at.isoformat(), last.id, _fingerprint(filters)]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, filters: JobFilter) -> tuple[datetime, str]:
    try:
        created_at, job_id, fingerprint = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        moment = datetime.fromisoformat(created_at)
    except (ValueError, TypeError) as error:
        raise InvalidCursor(f"{cursor!r} is not a cursor of this list; take `next_cursor` of the page before") from error
    if fingerprint != _fingerprint(filters) or not isinstance(job_id, str) or moment.tzinfo is None:
        raise InvalidCursor("the cursor belongs to a list with other filters; start from its first page")
    return moment, job_id


def _fingerprint(filters: JobFilter) -> list[str | None]:
    return [None if value is None else str(value) for value in asdict(filters).values()]
