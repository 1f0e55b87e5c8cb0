"""How much of the queue is one user's."""

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


def take_turn(session: Session, user_id: str) -> None:
    """Let what one user submits be counted one after another until the end of the transaction: whoever counts then sees all that came before."""
    session.execute(_USER, {"user": user_id})


def pending_runs(session: Session, user_id: str) -> int:
    """Runs that are queued or running for this user's jobs, each counted once."""
    return session.scalars(_PENDING, {"user": user_id}).one()
