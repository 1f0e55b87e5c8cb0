"""Counting the service for its operators: what runs, what was lost, how attempts ended lately."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.base import is_in
from store.clock import now
from store.models import Run, Worker
from store.states import RunState

HEARD_OF_WITHIN = timedelta(minutes=2)


def running(session: Session) -> tuple[int, int]:
    """Runs that are being executed, and how many of them have a lease that ran out."""
    expired = func.count().filter(Run.lease_until < now())
    count, lost = session.execute(select(func.count(), expired).where(is_in(Run.state, RunState.running))).one()
    return count, lost


def workers_heard_of(session: Session) -> int:
    """Workers that were heard of within two minutes and have not said goodbye."""
    query = select(func.count()).select_from(Worker).where(Worker.seen_at > now(-HEARD_OF_WITHIN), Worker.stopped_at.is_(None))
    return session.scalars(query).one()
