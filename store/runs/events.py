"""The events of a job: an append-only journal, its audit trail and the source of its live stream.

Decisions:
    * The transaction that writes an event increments the sequence under the job's row lock: there are no
      gaps, and a reader that has read up to n never sees a number below n appear later.
    * Every job that wants a run gets its events. A terminal job gets no more events; its last one is
      `job_finished`.
    * The payload of an engine event is the event itself, its `attempt` and, for a task's results, the
      `seconds` it took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from store.database.models import Event, Job, JobRun

_RAISE = (
    update(Job)
    .where(Job.id == bindparam("job"))
    .values(last_sequence=Job.last_sequence + 1)
    .returning(Job.last_sequence)
)
_EVENT = insert(Event)


def append(
    session: Session, job_ids: Sequence[str], kind: str, payload: dict[str, Any], run_id: str | None = None
) -> None:
    """Write an event to each of these jobs, in ascending order of id."""
    for job_id in job_ids:
        sequence = session.scalars(
            _RAISE, {"job": job_id}, execution_options={"synchronize_session": False}
        ).one()
        session.execute(
            _EVENT,
            {"job_id": job_id, "sequence": sequence, "kind": kind, "run_id": run_id, "payload": payload},
        )


def job_events(session: Session, job_id: str, after: int = 0, limit: int = 500) -> list[Event]:
    """The events of a job with a sequence above `after`, in order, at most `limit`."""
    query = (
        select(Event)
        .where(Event.job_id == job_id, Event.sequence > after)
        .order_by(Event.sequence)
        .limit(limit)
    )
    return list(session.scalars(query))


def losses(session: Session, run_id: str, limit: int = 1000) -> list[dict[str, Any]]:
    """The recorded epochs of a run, in order; the last `limit` of them.

    Every job that wants the run has its events; the query reads them from the job with the most.
    """
    mine = (
        Event.run_id == run_id,
        Event.kind == "epoch_finished",
        Event.job_id.in_(select(JobRun.job_id).where(JobRun.run_id == run_id)),
    )
    most = (
        select(Event.job_id)
        .where(*mine)
        .group_by(Event.job_id)
        .order_by(func.count().desc(), Event.job_id)
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(Event.payload).where(*mine, Event.job_id == most).order_by(Event.sequence.desc()).limit(limit)
    )
    return list(session.scalars(query))[::-1]
