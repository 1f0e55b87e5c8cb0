"""Tracks, registered datasets, and results that users report."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.database.base import Base
from store.database.clock import now

if TYPE_CHECKING:
    from store.database.models.users import User


class TrackRow(Base):
    """A track with at least one job."""

    __tablename__ = "tracks"

    slug: Mapped[str] = mapped_column(String(200), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    dataset: Mapped[str] = mapped_column(String(80))
    backbone: Mapped[str] = mapped_column(String(40))
    spec: Mapped[dict[str, Any]]
    revision: Mapped[int] = mapped_column(default=0, server_default="0")  # +1 per finished run
    created_at: Mapped[datetime] = mapped_column(default=now())


class Dataset(Base):
    """A folder dataset that the operator registered."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    card: Mapped[dict[str, Any]]  # cil_core.spec.catalog.DatasetCard
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now())


class ReportedResult(Base):
    """A result that a user reports: shown below the leaderboard, never ranked. Accuracies are fractions."""

    __tablename__ = "reported_results"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    track_slug: Mapped[str] = mapped_column(String(200))
    method: Mapped[str | None] = mapped_column(String(40))  # this project's implementation of it
    title: Mapped[str] = mapped_column(String(80))
    citation: Mapped[str]
    link: Mapped[str | None]
    note: Mapped[str | None]
    seeds: Mapped[int | None]
    curve: Mapped[list[float]]
    matrix: Mapped[list[list[float]] | None]
    average_accuracy: Mapped[float]
    last_accuracy: Mapped[float]
    forgetting: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now())

    user: Mapped[User] = relationship(lazy="raise")

    __table_args__ = (Index(None, "track_slug", "id"),)
