"""How many runs start before a job's first queued one, at most.

Decisions:
    * Owners take turns (`store.runs.turns`), so the runs of an owner who waits with thousands of them count
      only as far as they start first.
    * The count supposes that no running run ends and that equal owners go first. It is an upper bound until
      another job arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.models import JobRun, Run, User
from store.database.states import RunState

_WAITING = is_in(Run.state, RunState.queued)
_FIRST = (
    select(Run.queue, Run.owner, Run.priority, Run.created_at, Run.id)
    .join(JobRun, JobRun.run_id == Run.id)
    .where(JobRun.job_id == bindparam("job"), ~JobRun.withdrawn, _WAITING)
    .order_by(Run.priority.desc(), Run.created_at, Run.id)
    .limit(1)
)
_EARLIER = or_(
    Run.created_at < bindparam("created_at"),
    and_(Run.created_at == bindparam("created_at"), Run.id < bindparam("id")),
)
_BEFORE = select(func.count()).where(
    _WAITING,
    Run.queue == bindparam("queue"),
    Run.owner == bindparam("owner"),
    or_(Run.priority > bindparam("priority"), and_(Run.priority == bindparam("priority"), _EARLIER)),
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an owner has in a queue.

    Attributes:
        queued: runs that wait.
        running: runs that workers hold.
        share: of the user; runs without a user have share 1.
    """

    queued: int
    running: int = 0
    share: int = 1


def queue_position(session: Session, job_id: str) -> int | None:
    """Queued runs that start before the first queued one of this job; None if none of its runs is queued."""
    first = session.execute(_FIRST, {"job": job_id}).mappings().one_or_none()
    if first is None:
        return None
    before = session.scalars(_BEFORE, dict(first)).one()
    backlogs = _backlogs(session, first["queue"])
    own = backlogs.pop(first["owner"])
    return before + runs_before(own, before, list(backlogs.values()))


def runs_before(own: Backlog, before: int, others: list[Backlog]) -> int:
    """Runs of other owners that start before an owner's next run but `before`.

    Args:
        own: of the owner.
        before: runs of the owner itself that start earlier.
        others: of every other owner with queued runs.
    """
    load = own.running + before  # when the turn comes
    return sum(
        min(other.queued, max(0, load * other.share // own.share - other.running + 1)) for other in others
    )


def _backlogs(session: Session, queue: str) -> dict[str, Backlog]:
    def counts(state: RunState) -> dict[str, int]:
        query = select(Run.owner, func.count()).where(is_in(Run.state, state), Run.queue == queue)
        return dict(session.execute(query.group_by(Run.owner)).all())

    queued, running = counts(RunState.queued), counts(RunState.running)
    shares = dict(session.execute(select(User.id, User.share).where(User.id.in_(queued))).all())
    return {
        owner: Backlog(runs, running.get(owner, 0), shares.get(owner, 1)) for owner, runs in queued.items()
    }
