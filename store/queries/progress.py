"""Progress of several jobs in one query, for event streams."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database.models import Job


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job has come.

    Attributes:
        last_sequence: of its latest event.
        ended: whether this is its last event.
    """

    last_sequence: int
    ended: bool


def job_progress(session: Session, job_ids: Collection[str]) -> dict[str, JobProgress]:
    """The progress of each of these jobs; unknown ids are left out."""
    query = select(Job.id, Job.last_sequence, Job.state).where(Job.id.in_(sorted(job_ids)))
    return {
        job_id: JobProgress(sequence, state.is_terminal) for job_id, sequence, state in session.execute(query)
    }
