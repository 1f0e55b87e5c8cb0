"""Counts for operators: running and lost runs, active workers, and how recent attempts ended."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.models import Attempt, Run, Worker
from store.database.states import RunState

ACTIVE_WITHIN = timedelta(minutes=2)
RECENT = timedelta(hours=1)


def running(session: Session) -> tuple[int, int]:
    """Runs under a lease, and how many of these leases have expired."""
    expired = func.count().filter(Run.lease_until < now())
    count, lost = session.execute(
        select(func.count(), expired).where(is_in(Run.state, RunState.running))
    ).one()
    return count, lost


def active_workers(session: Session) -> int:
    """Workers that reported within two minutes and did not stop."""
    query = (
        select(func.count())
        .select_from(Worker)
        .where(Worker.seen_at > now(-ACTIVE_WITHIN), Worker.stopped_at.is_(None))
    )
    return session.scalars(query).one()


def recently_ended_runs(session: Session) -> dict[str, int]:
    """Runs that ended within the last hour, by state."""
    query = select(Run.state, func.count()).where(Run.finished_at > now(-RECENT)).group_by(Run.state)
    return {state.value: count for state, count in session.execute(query)}


def recently_ended_attempts(session: Session) -> dict[str, int]:
    """Attempts that ended within the last hour, by outcome: `lost` are those whose lease expired."""
    query = (
        select(Attempt.outcome, func.count()).where(Attempt.ended_at > now(-RECENT)).group_by(Attempt.outcome)
    )
    return {outcome.value: count for outcome, count in session.execute(query)}


def recent_memory_peaks(session: Session) -> list[tuple[str, str, float]]:
    """Peak memory of the runs that succeeded within the last hour: device, `host` or `device`, and bytes."""
    kinds = ("host", "device")
    largest = [func.max(Run.environment[f"peak_{kind}_bytes"].as_float()) for kind in kinds]
    query = (
        select(Run.device, *largest)
        .where(Run.finished_at > now(-RECENT), is_in(Run.state, RunState.succeeded))
        .group_by(Run.device)
    )
    return [
        (device or "unknown", kind, value)
        for device, *values in session.execute(query)
        for kind, value in zip(kinds, values, strict=True)
        if value
    ]


def recent_run_seconds(session: Session, most: int = 200) -> float | None:
    """Mean duration of the runs that succeeded within the last hour; None without any.

    Args:
        session: any session.
        most: the number of latest runs to average.
    """
    ended = (Run.finished_at > now(-RECENT), is_in(Run.state, RunState.succeeded))
    found = session.execute(
        select(Run.started_at, Run.finished_at).where(*ended).order_by(Run.finished_at.desc()).limit(most)
    )
    taken = [(finished - started).total_seconds() for started, finished in found if started and finished]
    return sum(taken) / len(taken) if taken else None
