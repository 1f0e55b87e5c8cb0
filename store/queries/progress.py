"""What whoever follows many jobs at once asks: how far has each come?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database.models import Job


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come.

    Attributes:
        last_sequence: of its latest event.
        ended: whether there will be no other.
    """

    last_sequence: int
    ended: bool


def progress(session: Session, job_ids: Collection[str]) -> dict[str, Progress]:
    """How far each of these jobs has come; one that does not exist is left out."""
    query = select(Job.id, Job.last_sequence, Job.state).where(Job.id.in_(sorted(job_ids)))
    return {
        job_id: Progress(sequence, state.is_terminal) for job_id, sequence, state in session.execute(query)
    }
