"""The lengths of the queues, and which of them need attention.

Decisions:
    * The queries read queued runs only, through partial indexes; finished runs cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.models import Run
from store.database.states import RunState

_WAITING = is_in(Run.state, RunState.queued)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with queued runs.

    Attributes:
        name: of the queue.
        length: queued runs, those in back-off included.
        ready: queued runs that a worker could take now.
        oldest: when the longest-waiting ready run became ready; None if none is ready.
        oldest_seconds: how long ago that was, by the database's clock.
    """

    name: str
    length: int
    ready: int
    oldest: datetime | None
    oldest_seconds: float | None


def queues(session: Session) -> list[Queue]:
    """Every queue with queued runs, by name."""
    is_ready = Run.not_before <= now()
    oldest = func.min(Run.not_before).filter(is_ready)
    query = (
        select(Run.queue, func.count(), func.count().filter(is_ready), oldest, now())
        .where(_WAITING)
        .group_by(Run.queue)
        .order_by(Run.queue)
    )
    return [
        Queue(name, length, ready, since, (present - since).total_seconds() if since else None)
        for name, length, ready, since, present in session.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class RetryingRun:
    """A run that waits for another attempt.

    Attributes:
        run_id: the run.
        method: of the run.
        track_slug: of the run.
        seed: of the run.
        attempts: so far.
        reason: how the last one ended.
        not_before: when it may be claimed again.
        seconds_left: until then, by the database's clock; negative if it may be claimed now.
    """

    run_id: str
    method: str
    track_slug: str
    seed: int
    attempts: int
    reason: str | None
    not_before: datetime
    seconds_left: float


def retrying_runs(session: Session, limit: int = 50) -> list[RetryingRun]:
    """Queued runs with earlier attempts, the longest wait last."""
    query = select(Run, now()).where(_WAITING, Run.attempt > 0).order_by(Run.not_before, Run.id).limit(limit)
    return [
        RetryingRun(
            run.id,
            run.method,
            run.track_slug,
            run.seed,
            run.attempt,
            run.message,
            run.not_before,
            (run.not_before - present).total_seconds(),
        )
        for run, present in session.execute(query)
    ]


def unclaimed_queues(session: Session, longer_than: timedelta) -> frozenset[str]:
    """Queues in which a run has been ready for longer than this."""
    names: list[str] = []
    name = session.scalar(select(func.min(Run.queue)).where(_WAITING))
    while name is not None:  # from name to name in the index, rather than over all that waits
        oldest = select(func.min(Run.not_before)).where(_WAITING, Run.queue == name).scalar_subquery()
        if session.scalar(select(oldest <= now(-longer_than))):
            names.append(name)
        name = session.scalar(select(func.min(Run.queue)).where(_WAITING, Run.queue > name))
    return frozenset(names)
