"""What whoever follows many jobs at once asks: how far has each come?"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.models import Job


def last_sequences(session: Session, job_ids: Collection[str]) -> dict[str, int]:
    """The sequence of the latest event of each of these jobs; a job that does not exist is left out."""
    return {job.id: job.last_sequence for job in session.execute(select(Job.id, Job.last_sequence).where(Job.id.in_(sorted(job_ids))))}
