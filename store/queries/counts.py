"""Counting the service for its operators: what runs, what was lost, how attempts ended lately."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.database.base import is_in
from store.database.clock import now
from store.database.models import Attempt, Run, Worker
from store.database.states import RunState

HEARD_OF_WITHIN = timedelta(minutes=2)
LATELY = timedelta(hours=1)


def running(session: Session) -> tuple[int, int]:
    """Runs that are being executed, and how many of them have a lease that ran out."""
    expired = func.count().filter(Run.lease_until < now())
    count, lost = session.execute(
        select(func.count(), expired).where(is_in(Run.state, RunState.running))
    ).one()
    return count, lost


def workers_heard_of(session: Session) -> int:
    """Workers that were heard of within two minutes and have not said goodbye."""
    query = (
        select(func.count())
        .select_from(Worker)
        .where(Worker.seen_at > now(-HEARD_OF_WITHIN), Worker.stopped_at.is_(None))
    )
    return session.scalars(query).one()


def ended_lately(session: Session) -> dict[str, int]:
    """Runs that ended within the last hour, by state."""
    query = select(Run.state, func.count()).where(Run.finished_at > now(-LATELY)).group_by(Run.state)
    return {state.value: count for state, count in session.execute(query)}


def attempts_lately(session: Session) -> dict[str, int]:
    """Attempts that ended within the last hour, by outcome: `lost` are those whose workers fell silent."""
    query = (
        select(Attempt.outcome, func.count()).where(Attempt.ended_at > now(-LATELY)).group_by(Attempt.outcome)
    )
    return {outcome.value: count for outcome, count in session.execute(query)}


def peaks_lately(session: Session) -> list[tuple[str, str, float]]:
    """Device, `host` or `device`, and the most bytes a run that succeeded there within the last hour held."""
    kinds = ("host", "device")
    largest = [func.max(Run.environment[f"peak_{kind}_bytes"].as_float()) for kind in kinds]
    query = (
        select(Run.device, *largest)
        .where(Run.finished_at > now(-LATELY), is_in(Run.state, RunState.succeeded))
        .group_by(Run.device)
    )
    return [
        (device or "unknown", kind, value)
        for device, *values in session.execute(query)
        for kind, value in zip(kinds, values, strict=True)
        if value
    ]


def seconds_of_a_run(session: Session, most: int = 200) -> float | None:
    """How long the runs that succeeded within the last hour took on average; None if there was none.

    Args:
        session: any session.
        most: of the latest, how many are looked at.
    """
    ended = (Run.finished_at > now(-LATELY), is_in(Run.state, RunState.succeeded))
    found = session.execute(
        select(Run.started_at, Run.finished_at).where(*ended).order_by(Run.finished_at.desc()).limit(most)
    )
    taken = [(finished - started).total_seconds() for started, finished in found if started and finished]
    return sum(taken) / len(taken) if taken else None
