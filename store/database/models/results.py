"""Results of runs: accuracy matrices, their summaries, and verdicts of replays."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.database.base import Base, partial_index
from store.database.clock import now

if TYPE_CHECKING:
    from store.database.models.runs import Run


class TaskResult(Base):
    """A row of the accuracy matrix of a run under one classifier, and the memory after the task."""

    __tablename__ = "task_results"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    task: Mapped[int] = mapped_column(primary_key=True)
    classifier: Mapped[str] = mapped_column(String(40), primary_key=True)
    attempt: Mapped[int]  # the attempt that recorded it
    known: Mapped[int]
    seen: Mapped[int]
    test_images: Mapped[list[int]]  # of each task seen so far
    correct: Mapped[list[int]]
    correct_top5: Mapped[list[int]]
    footprint: Mapped[dict[str, Any]]
    diagnostics: Mapped[dict[str, Any]]
    seconds: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Summary(Base):
    """The reported numbers of a finished run under one classifier: recomputable from `task_results`."""

    __tablename__ = "summaries"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    classifier: Mapped[str] = mapped_column(String(40), primary_key=True)
    track_slug: Mapped[str] = mapped_column(ForeignKey("tracks.slug"))
    entry_id: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    ranking: Mapped[bool]  # whether the method is ranked by this classifier
    counted: Mapped[bool]  # False once a later run of the same seed and entry has finished
    average_accuracy: Mapped[float]
    last_accuracy: Mapped[float]
    forgetting: Mapped[float | None]
    metrics: Mapped[dict[str, Any]]  # every number of `cil_core.spec.metrics.Summary`, curves included
    exemplars: Mapped[int]
    counted_bytes: Mapped[int] = mapped_column(BigInteger)
    kept_bytes: Mapped[int] = mapped_column(BigInteger)
    parameters: Mapped[int] = mapped_column(BigInteger)
    train_seconds: Mapped[float | None]

    run: Mapped[Run] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        partial_index("uq_summaries_counted", "entry_id", "seed", "classifier", where="counted", unique=True),
        partial_index(
            "ix_summaries_ranking", "track_slug", "entry_id", "average_accuracy", where="counted AND ranking"
        ),
        partial_index(
            "ix_summaries_classifier",
            "track_slug",
            "classifier",
            "entry_id",
            "average_accuracy",
            where="counted",
        ),
    )


class Replay(Base):
    """A run that repeats another one, to check that the results are reproducible."""

    __tablename__ = "replays"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    original_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now())
    agrees: Mapped[bool | None]  # None until it finishes
    bitwise: Mapped[bool | None]  # whether all counts are equal
    largest_difference: Mapped[float | None]  # of any point of an accuracy curve
