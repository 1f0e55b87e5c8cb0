"""Roles of users, reported results, replays, idempotency keys of every request, indexes of recent endings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("tracks", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    _roles()
    _reported_results()
    _replays()
    _idempotency_keys()
    op.create_index(op.f("ix_attempts_ended_at"), "attempts", ["ended_at"])
    ended = sa.text("finished_at IS NOT NULL")
    op.create_index("ix_runs_ended", "runs", ["finished_at"], sqlite_where=ended, postgresql_where=ended)


def _roles() -> None:
    op.add_column("users", sa.Column("role", sa.String(16), nullable=False, server_default="submitter"))
    connection = op.get_bind()
    tokens = sa.table("tokens", sa.column("user_id", sa.String), sa.column("scopes", JSON))
    users = sa.table("users", sa.column("id", sa.String), sa.column("role", sa.String))
    owners: list[Any] = [
        row.user_id
        for row in connection.execute(sa.select(tokens.c.user_id, tokens.c.scopes))
        if "admin" in row.scopes
    ]
    connection.execute(sa.update(users).where(users.c.id.in_(owners)).values(role="admin"))


def _reported_results() -> None:
    op.drop_index(op.f("ix_published_results_track_slug"), "published_results")
    op.drop_table("published_results")
    op.create_table(
        "reported_results",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("track_slug", sa.String(200), nullable=False),
        sa.Column("method", sa.String(40), nullable=True),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("citation", sa.String(), nullable=False),
        sa.Column("link", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("seeds", sa.Integer(), nullable=True),
        sa.Column("curve", JSON, nullable=False),
        sa.Column("matrix", JSON, nullable=True),
        sa.Column("average_accuracy", sa.Double(), nullable=False),
        sa.Column("last_accuracy", sa.Double(), nullable=False),
        sa.Column("forgetting", sa.Double(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reported_results_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reported_results")),
    )
    op.create_index(op.f("ix_reported_results_track_slug_id"), "reported_results", ["track_slug", "id"])


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("original_id", sa.String(40), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("bitwise", sa.Boolean(), nullable=True),
        sa.Column("largest_difference", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_replays_run_id")),
        sa.ForeignKeyConstraint(["original_id"], ["runs.id"], name=op.f("fk_replays_original_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_replays")),
    )
    op.create_index(op.f("ix_replays_original_id"), "replays", ["original_id"])


def _idempotency_keys() -> None:
    # Keys live for a day: those of before the upgrade are forgotten.
    op.drop_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys")
    op.drop_table("idempotency_keys")
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("made", sa.String(40), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])
