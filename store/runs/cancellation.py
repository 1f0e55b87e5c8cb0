"""Cancelling a job: its runs end unless another job wants them.

Decisions:
    * A queued run is cancelled at once. A running one gets a flag that its worker reads with the next
      heartbeat. It is cancelled when the worker confirms that, returns the run or loses its lease. The flag
      is in the database and survives restarts.
    * A run that another job wants continues; only this job withdraws from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.errors import AlreadyTerminal, NotFound
from store.database.models import Job, JobRun, Run
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState
from store.runs.events import append
from store.runs.job_state import lock_jobs, update_job_states
from store.runs.transitions import AttemptEnding, end

_MESSAGE = "cancelled on request before a worker took it"


def cancel(session: Session, job_id: str) -> Job:
    """Request the end of a job. Idempotent until the job has ended.

    Returns:
        The job: cancelled if none of its runs was running, else with `cancel_requested_at` set.

    Raises:
        NotFound: no job has this id.
        AlreadyTerminal: the job has ended.
    """
    runs = _locked_runs(session, job_id)
    lock_jobs(session, [run.id for run in runs])
    job = session.get(Job, job_id, populate_existing=True)
    if job is None:
        raise NotFound(f"unknown job {job_id!r}")
    if job.state.is_terminal:
        raise AlreadyTerminal(
            f"{job_id} has already {job.state}"
            if job.state is not JobState.cancelled
            else f"{job_id} is already cancelled"
        )
    if job.cancel_requested_at is None:
        session.execute(
            update(Job).where(Job.id == job_id).values(cancel_requested_at=now()),
            execution_options={"synchronize_session": False},
        )
        append(session, [job_id], "cancel_requested", {})
        _withdraw(session, job_id, [run for run in runs if not run.state.is_terminal])
        session.refresh(job)
    return job


def _locked_runs(session: Session, job_id: str) -> Sequence[Run]:
    mine = select(JobRun.run_id).where(JobRun.job_id == job_id)
    query = select(Run).where(Run.id.in_(mine)).order_by(Run.key, Run.id).with_for_update()
    return session.scalars(query, execution_options={"populate_existing": True}).all()


def _withdraw(session: Session, job_id: str, runs: list[Run]) -> None:
    shared = _shared_runs(session, job_id, [run.id for run in runs])
    session.execute(
        update(JobRun).where(JobRun.job_id == job_id, JobRun.run_id.in_(shared)).values(withdrawn=True),
        execution_options={"synchronize_session": False},
    )
    for run in runs:
        if run.id in shared:
            continue
        if run.state is RunState.queued:
            end(
                session,
                run,
                RunState.cancelled,
                AttemptEnding(AttemptOutcome.cancelled, FailureClass.cancelled, _MESSAGE),
            )
        else:
            session.execute(
                update(Run)
                .where(Run.id == run.id, is_in(Run.state, RunState.running))
                .values(cancel_requested=True)
            )
    if session.scalars(select(Job.state).where(Job.id == job_id)).one() in {
        JobState.queued,
        JobState.running,
    }:
        update_job_states(session, [job_id])


def _shared_runs(session: Session, job_id: str, run_ids: list[str]) -> set[str]:
    query = (
        select(JobRun.run_id)
        .join(Job, Job.id == JobRun.job_id)
        .where(
            JobRun.run_id.in_(run_ids),
            JobRun.job_id != job_id,
            ~JobRun.withdrawn,
            Job.cancel_requested_at.is_(None),
        )
        .where(is_in(Job.state, JobState.queued, JobState.running))
    )
    return set(session.scalars(query))
