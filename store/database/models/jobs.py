"""Jobs, their links to runs, and their events."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.database.base import Base
from store.database.clock import now
from store.database.states import JobState

if TYPE_CHECKING:
    from store.database.models.runs import Run


class Job(Base):
    """A recipe on a track with one run per seed; its state follows from its runs."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    track_slug: Mapped[str] = mapped_column(ForeignKey("tracks.slug"))
    method: Mapped[str] = mapped_column(String(40))
    recipe_digest: Mapped[str] = mapped_column(String(64))
    spec: Mapped[dict[str, Any]]
    name: Mapped[str | None] = mapped_column(String(120))
    engine_version: Mapped[str] = mapped_column(String(40))
    priority: Mapped[int]
    forced: Mapped[bool]
    state: Mapped[JobState]
    last_sequence: Mapped[int] = mapped_column(default=0)  # of its events; raised under this row's lock
    created_at: Mapped[datetime] = mapped_column(default=now())
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]

    links: Mapped[list[JobRun]] = relationship(back_populates="job", order_by="JobRun.position", lazy="raise")

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "state", "created_at", "id"),
        Index(None, "method", "created_at", "id"),
        Index(None, "track_slug", "created_at", "id"),
        Index(None, "user_id", "created_at", "id"),
        CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="ended"
        ),
    )


class JobRun(Base):
    """The link from a job to one of its runs, which other jobs may share."""

    __tablename__ = "job_runs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True, index=True)
    position: Mapped[int]  # of its seed in the job
    reused: Mapped[bool]  # the run existed before the job
    withdrawn: Mapped[bool] = mapped_column(
        default=False
    )  # the job was cancelled; the run continues for others

    job: Mapped[Job] = relationship(back_populates="links", lazy="raise")
    run: Mapped[Run] = relationship(lazy="raise")


class Event(Base):
    """An event of a job. The sequence has no gaps and rises in the order of commits."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now())
