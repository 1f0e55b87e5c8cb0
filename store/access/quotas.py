"""The share of the queue that one user may take.

A submission calls `serialise_submissions`, then compares `pending_runs` with the limit, in one transaction.
"""

from __future__ import annotations

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.models import Job, JobRun, Run, User
from store.database.states import JobState, RunState

_USER = select(User.id).where(User.id == bindparam("user")).with_for_update(key_share=True)
_PENDING = (
    select(func.count(JobRun.run_id.distinct()))
    .join(Job, Job.id == JobRun.job_id)
    .join(Run, Run.id == JobRun.run_id)
    .where(
        Job.user_id == bindparam("user"),
        is_in(Job.state, JobState.queued, JobState.running),
        ~JobRun.withdrawn,
    )
    .where(is_in(Run.state, RunState.queued, RunState.running))
)


def serialise_submissions(session: Session, user_id: str) -> None:
    """Make this user's other submissions wait until the transaction ends.

    A count in this transaction then includes all earlier submissions.
    """
    session.execute(_USER, {"user": user_id})


def pending_runs(session: Session, user_id: str) -> int:
    """The number of queued or running runs of this user's jobs; a shared run counts once."""
    return session.scalars(_PENDING, {"user": user_id}).one()
