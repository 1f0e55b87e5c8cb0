"""Reading one run: its state, attempts, accuracy matrices and reported numbers."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from store.database.errors import NotFound
from store.database.models import Job, JobRun, Run


def submitters(session: Session, run_id: str) -> set[str]:
    """The users whose jobs want a run, by id."""
    return {
        user
        for user in session.scalars(
            select(Job.user_id).join(JobRun, JobRun.job_id == Job.id).where(JobRun.run_id == run_id)
        )
        if user
    }


def wanted_by(session: Session, run_id: str) -> list[str]:
    """The jobs that want a run, the latest first, by id."""
    return list(
        session.scalars(
            select(JobRun.job_id)
            .where(JobRun.run_id == run_id, ~JobRun.withdrawn)
            .order_by(JobRun.job_id.desc())
        )
    )


def get_run(session: Session, run_id: str) -> Run:
    """A run with its `track`, `attempts`, `results` and `summaries`.

    `store.runs.summaries` turns results into matrices and numbers.

    Raises:
        NotFound: no run has this id.
    """
    loaded = (
        selectinload(Run.track),
        selectinload(Run.attempts),
        selectinload(Run.results),
        selectinload(Run.summaries),
    )
    run = session.scalars(
        select(Run).where(Run.id == run_id).options(*loaded), execution_options={"populate_existing": True}
    ).one_or_none()
    if run is None:
        raise NotFound(f"unknown run {run_id!r}")
    return run
