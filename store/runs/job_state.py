"""A job's state follows from those of its runs: locking the jobs of a run, and updating their states.

Decisions:
    * Jobs are locked after runs and in ascending order of id, always, so that two transactions cannot
      deadlock.
    * The states are read under the job's lock: two runs that end at the same moment cannot overlook each
      other.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.models import Job, JobRun, Run
from store.database.states import JobState, RunState
from store.runs.events import append


def lock_jobs(session: Session, run_ids: Sequence[str]) -> list[str]:
    """Lock the unfinished jobs that want any of these runs.

    Returns:
        Their ids, ascending.
    """
    wanting = select(JobRun.job_id).where(JobRun.run_id.in_(run_ids), ~JobRun.withdrawn)
    query = (
        select(Job.id)
        .where(Job.id.in_(wanting), is_in(Job.state, JobState.queued, JobState.running))
        .order_by(Job.id)
        .with_for_update()
    )
    return list(session.scalars(query))


def update_job_states(session: Session, job_ids: Sequence[str]) -> None:
    """Update the states of these locked jobs; a job whose runs have all ended gets its last event."""
    for job_id in job_ids:
        links = session.execute(
            select(Run.state, JobRun.withdrawn)
            .join(JobRun, JobRun.run_id == Run.id)
            .where(JobRun.job_id == job_id)
        )
        state = job_state_of([RunState.cancelled if withdrawn else state for state, withdrawn in links])
        if state.is_terminal:
            append(session, [job_id], "job_finished", {"state": state})
        session.execute(
            update(Job)
            .where(Job.id == job_id, Job.state != state, is_in(Job.state, JobState.queued, JobState.running))
            .values(state=state, finished_at=now() if state.is_terminal else None),
            execution_options={"synchronize_session": False},
        )


def job_state_of(runs: Sequence[RunState]) -> JobState:
    """The state of a job whose runs have these states."""
    seen = set(runs)
    if all(state.is_terminal for state in seen):
        if seen & {RunState.failed, RunState.dead}:
            return JobState.failed
        return JobState.cancelled if RunState.cancelled in seen else JobState.succeeded
    return JobState.queued if seen == {RunState.queued} else JobState.running
