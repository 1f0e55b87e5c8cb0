"""Reading jobs: one with all its runs, or a list page by page.

Decisions:
    * A page starts after the last row of the page before (`created_at`, `id`), not at a count: new
      submissions neither repeat nor hide a job, and the thousandth page costs as much as the first.
    * A cursor names the filters it belongs to; with others it is refused.
    * A list reads columns: creating objects for hundreds of runs would take most of its time.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, or_, select
from sqlalchemy.orm import Session, selectinload

from cil_core.spec.base import canonical_json
from store.database.base import is_in
from store.database.errors import InvalidCursor, NotFound
from store.database.models import Job, JobRun, Run
from store.database.states import JobState

MAX_PAGE = 200

_RUNS = selectinload(Job.links).joinedload(JobRun.run, innerjoin=True)
_WHOLE = (
    select(Job)
    .where(Job.id == bindparam("job"))
    .options(_RUNS.selectinload(Run.attempts), _RUNS.selectinload(Run.summaries))
)

_JOB_COLUMNS: tuple[Any, ...] = (
    Job.id,
    Job.user_id,
    Job.track_slug,
    Job.method,
    Job.name,
    Job.engine_version,
    Job.priority,
    Job.forced,
    Job.state,
    Job.created_at,
    Job.finished_at,
    Job.cancel_requested_at,
)
_RUN_COLUMNS: tuple[Any, ...] = (
    Run.id,
    Run.seed,
    Run.state,
    Run.attempt,
    Run.worker_id,
    Run.device,
    Run.failure,
    Run.message,
    Run.cancel_requested,
    Run.created_at,
    Run.started_at,
    Run.finished_at,
    JobRun.job_id,
    JobRun.reused,
    JobRun.withdrawn,
)
_LISTED_RUNS = (
    select(*_RUN_COLUMNS)
    .join(Run, Run.id == JobRun.run_id)
    .where(JobRun.job_id.in_(bindparam("jobs", expanding=True)))
    .order_by(JobRun.position)
)


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
class ListedJob:
    """A job as a list shows it.

    Attributes:
        job: columns of `Job`, all but the spec.
        runs: columns of `Run` and of `JobRun`, in the order of its seeds.
    """

    job: Row[Any]
    runs: list[Row[Any]]


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, the newest first, and where the next page starts; `next_cursor` is None on the last page."""

    items: list[ListedJob]
    next_cursor: str | None


def get_job(session: Session, job_id: str) -> Job:
    """A job with its `links`, their `run`s, and their `attempts` and `summaries`.

    Raises:
        NotFound: no job has this id.
    """
    job = session.scalars(
        _WHOLE, {"job": job_id}, execution_options={"populate_existing": True}
    ).one_or_none()
    if job is None:
        raise NotFound(f"unknown job {job_id!r}")
    return job


def list_jobs(
    session: Session, filters: JobFilter = EVERY_JOB, cursor: str | None = None, limit: int = 50
) -> JobPage:
    """A page of jobs with their runs.

    Args:
        session: any session.
        filters: which jobs.
        cursor: `next_cursor` of the page before; None for the first.
        limit: jobs per page, 1 … 200.

    Raises:
        InvalidCursor: this function did not make the cursor for these filters.
        ValueError: the limit is out of range.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"a page holds 1 … {MAX_PAGE} jobs, not {limit}")
    query = _filtered(filters)
    if cursor is not None:
        query = query.where(_before(*_read_cursor(cursor, filters)))
    found = session.execute(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    runs: dict[str, list[Row[Any]]] = {job.id: [] for job in shown}
    for run in session.execute(_LISTED_RUNS, {"jobs": list(runs)}):
        runs[run.job_id].append(run)
    return JobPage(
        [ListedJob(job, runs[job.id]) for job in shown],
        _write_cursor(shown[-1], filters) if len(found) > limit else None,
    )


def _filtered(filters: JobFilter) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = []
    if filters.state is not None:
        conditions.append(is_in(Job.state, filters.state))
    for column, value in (
        (Job.method, filters.method),
        (Job.track_slug, filters.track),
        (Job.user_id, filters.user),
    ):
        if value is not None:
            conditions.append(column == value)
    if filters.created_after is not None:
        conditions.append(Job.created_at > filters.created_after)
    return select(*_JOB_COLUMNS).where(*conditions)


def _before(created_at: datetime, job_id: str) -> ColumnElement[bool]:
    return and_(Job.created_at <= created_at, or_(Job.created_at < created_at, Job.id < job_id))


def _write_cursor(last: Row[Any], filters: JobFilter) -> str:
    return (
        base64.urlsafe_b64encode(
            canonical_json([last.created_at.isoformat(), last.id, _fingerprint(filters)]).encode()
        )
        .decode()
        .rstrip("=")
    )


def _read_cursor(cursor: str, filters: JobFilter) -> tuple[datetime, str]:
    try:
        created_at, job_id, fingerprint = json.loads(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        )
        moment = datetime.fromisoformat(created_at)
    except (ValueError, TypeError) as error:
        raise InvalidCursor(
            f"{cursor!r} is not a cursor of this list; take `next_cursor` of the page before"
        ) from error
    if fingerprint != _fingerprint(filters) or not isinstance(job_id, str) or moment.tzinfo is None:
        raise InvalidCursor("the cursor belongs to a list with other filters; start from its first page")
    return moment, job_id


def _fingerprint(filters: JobFilter) -> list[str | None]:
    return [None if value is None else str(value) for value in asdict(filters).values()]
