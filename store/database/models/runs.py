"""Runs, their attempts, and the workers that execute them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.database.base import Base, partial_index
from store.database.clock import now
from store.database.states import AttemptOutcome, FailureClass, RunState

if TYPE_CHECKING:
    from store.database.models.catalog import TrackRow
    from store.database.models.results import Summary, TaskResult


_LIVE = "state IN ('queued', 'running') AND NOT cancel_requested AND NOT forced"


class Run(Base):
    """One seed of a recipe on a track: what a worker executes.

    The lease columns are set while it runs, and only then.
    """

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(64))  # digest of everything its result depends on
    entry_id: Mapped[str] = mapped_column(String(40))  # the same without the seed
    track_slug: Mapped[str] = mapped_column(ForeignKey("tracks.slug"))
    method: Mapped[str] = mapped_column(String(40))
    recipe_digest: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    engine_version: Mapped[str] = mapped_column(String(40))
    dataset: Mapped[str] = mapped_column(String(80))
    dataset_fingerprint: Mapped[str | None] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(80))
    owner: Mapped[str] = mapped_column(  # id of the user who submitted it first; empty without a user
        String(40), default="", server_default=""
    )
    priority: Mapped[int]
    forced: Mapped[bool]

    state: Mapped[RunState] = mapped_column(default=RunState.queued)
    attempt: Mapped[int] = mapped_column(default=0)  # the latest one: the fencing token of every write
    charged: Mapped[int] = mapped_column(
        default=0
    )  # attempts that count towards the limit: all but released ones
    not_before: Mapped[datetime] = mapped_column(default=now())
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    worker_id: Mapped[str | None] = mapped_column(String(120))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    failure: Mapped[FailureClass | None]
    message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None]
    task_sizes: Mapped[list[int] | None]
    class_order: Mapped[list[int] | None]
    device: Mapped[str | None] = mapped_column(String(120))
    environment: Mapped[dict[str, Any] | None]
    matrix_digest: Mapped[str | None] = mapped_column(String(64))

    track: Mapped[TrackRow] = relationship(lazy="raise")
    attempts: Mapped[list[Attempt]] = relationship(order_by="Attempt.number", lazy="raise")
    results: Mapped[list[TaskResult]] = relationship(
        order_by="TaskResult.task, TaskResult.classifier", lazy="raise"
    )
    summaries: Mapped[list[Summary]] = relationship(order_by="Summary.classifier", lazy="raise")

    __table_args__ = (
        Index(None, "key"),
        partial_index("uq_runs_live_key", "key", where=_LIVE, unique=True),
        partial_index(
            "ix_runs_claim", "queue", text("priority DESC"), "created_at", "id", where="state = 'queued'"
        ),
        partial_index(
            "ix_runs_turns",
            "queue",
            "owner",
            text("priority DESC"),
            "created_at",
            "id",
            where="state = 'queued'",
        ),
        partial_index("ix_runs_running", "queue", "owner", where="state = 'running'"),
        Index(None, "owner", "started_at"),
        partial_index("ix_runs_waiting", "queue", "not_before", where="state = 'queued'"),
        partial_index("ix_runs_lease", "lease_until", where="state = 'running'"),
        partial_index("ix_runs_ended", "finished_at", where="finished_at IS NOT NULL"),
        CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL AND worker_id IS NOT NULL)", name="leased"
        ),
        CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled', 'dead')) = (finished_at IS NOT NULL)",
            name="ended",
        ),
        CheckConstraint("NOT (state = 'queued' AND cancel_requested)", name="cancelled_runs_do_not_wait"),
        CheckConstraint("0 <= charged AND charged <= attempt", name="charged"),
    )


class Attempt(Base):
    """One try at a run."""

    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(120))
    device: Mapped[str] = mapped_column(String(120))
    started_at: Mapped[datetime] = mapped_column(default=now())
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[AttemptOutcome] = mapped_column(default=AttemptOutcome.running)
    failure: Mapped[FailureClass | None]
    message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None]


class Worker(Base):
    """A process that claims runs, or used to."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    queue: Mapped[str] = mapped_column(String(80))
    device: Mapped[str] = mapped_column(String(120))
    datasets: Mapped[list[str] | None]  # None: any
    info: Mapped[dict[str, Any]]  # host, versions, slots: as the worker reports them
    registered_at: Mapped[datetime] = mapped_column(default=now())
    seen_at: Mapped[datetime] = mapped_column(default=now(), index=True)
    stopped_at: Mapped[datetime | None]
