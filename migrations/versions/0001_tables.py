"""The tables of the beginning."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def where(condition: str) -> dict[str, Any]:
    """A partial index, on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("card", JSON, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_datasets")),
    )
    op.create_table(
        "published_results",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("track_slug", sa.String(200), nullable=False),
        sa.Column("method", sa.String(80), nullable=False),
        sa.Column("citation", JSON, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("average_accuracy", sa.Double(), nullable=True),
        sa.Column("last_accuracy", sa.Double(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_results")),
    )
    op.create_index(op.f("ix_published_results_track_slug"), "published_results", ["track_slug"])
    op.create_table(
        "tracks",
        sa.Column("slug", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("dataset", sa.String(80), nullable=False),
        sa.Column("backbone", sa.String(40), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_tracks")),
        sa.UniqueConstraint("digest", name=op.f("uq_tracks_digest")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(120), nullable=False),
        sa.Column("queue", sa.String(80), nullable=False),
        sa.Column("device", sa.String(120), nullable=False),
        sa.Column("datasets", JSON, nullable=True),
        sa.Column("info", JSON, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("stopped_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index(op.f("ix_workers_seen_at"), "workers", ["seen_at"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=True),
        sa.Column("track_slug", sa.String(200), nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("recipe_digest", sa.String(64), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("name", sa.String(120), nullable=True),
        sa.Column("engine_version", sa.String(40), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("last_sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("cancel_requested_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_ended"),
        ),
        sa.ForeignKeyConstraint(["track_slug"], ["tracks.slug"], name=op.f("fk_jobs_track_slug")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_jobs_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_created_at_id"), "jobs", ["created_at", "id"])
    op.create_index(op.f("ix_jobs_method_created_at_id"), "jobs", ["method", "created_at", "id"])
    op.create_index(op.f("ix_jobs_state_created_at_id"), "jobs", ["state", "created_at", "id"])
    op.create_index(op.f("ix_jobs_track_slug_created_at_id"), "jobs", ["track_slug", "created_at", "id"])
    op.create_index(op.f("ix_jobs_user_id_created_at_id"), "jobs", ["user_id", "created_at", "id"])
    op.create_table(
        "runs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("entry_id", sa.String(40), nullable=False),
        sa.Column("track_slug", sa.String(200), nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("recipe_digest", sa.String(64), nullable=False),
        sa.Column("recipe", JSON, nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("engine_version", sa.String(40), nullable=False),
        sa.Column("dataset", sa.String(80), nullable=False),
        sa.Column("dataset_fingerprint", sa.String(64), nullable=True),
        sa.Column("queue", sa.String(80), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                "dead",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("charged", sa.Integer(), nullable=False),
        sa.Column("not_before", MOMENT, nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("worker_id", sa.String(120), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column(
            "failure",
            sa.Enum(
                "invalid_spec",
                "out_of_memory",
                "diverged",
                "infrastructure",
                "hung",
                "cancelled",
                "timed_out",
                "internal",
                name="failure",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=True,
        ),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("evidence", JSON, nullable=True),
        sa.Column("task_sizes", JSON, nullable=True),
        sa.Column("class_order", JSON, nullable=True),
        sa.Column("device", sa.String(120), nullable=True),
        sa.Column("environment", JSON, nullable=True),
        sa.Column("matrix_digest", sa.String(64), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL AND worker_id IS NOT NULL)",
            name=op.f("ck_runs_leased"),
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled', 'dead')) = (finished_at IS NOT NULL)",
            name=op.f("ck_runs_ended"),
        ),
        sa.CheckConstraint(
            "NOT (state = 'queued' AND cancel_requested)", name=op.f("ck_runs_cancelled_runs_do_not_wait")
        ),
        sa.CheckConstraint("0 <= charged AND charged <= attempt", name=op.f("ck_runs_charged")),
        sa.ForeignKeyConstraint(["track_slug"], ["tracks.slug"], name=op.f("fk_runs_track_slug")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_key"), "runs", ["key"])
    op.create_index("ix_runs_lease", "runs", ["lease_until"], **where("state = 'running'"))
    op.create_index("ix_runs_waiting", "runs", ["queue", "not_before"], **where("state = 'queued'"))
    op.create_index(
        "uq_runs_live_key",
        "runs",
        ["key"],
        unique=True,
        **where("state IN ('queued', 'running') AND NOT cancel_requested AND NOT forced"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_tokens_sha256")),
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"])
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(120), nullable=False),
        sa.Column("device", sa.String(120), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "running",
                "succeeded",
                "failed",
                "lost",
                "released",
                "cancelled",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column(
            "failure",
            sa.Enum(
                "invalid_spec",
                "out_of_memory",
                "diverged",
                "infrastructure",
                "hung",
                "cancelled",
                "timed_out",
                "internal",
                name="failure",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=True,
        ),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("evidence", JSON, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_attempts_run_id")),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "events",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=True),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_events_run_id")),
        sa.PrimaryKeyConstraint("job_id", "sequence", name=op.f("pk_events")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_idempotency_keys_job_id")),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])
    op.create_table(
        "job_runs",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_runs_job_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_job_runs_run_id")),
        sa.PrimaryKeyConstraint("job_id", "run_id", name=op.f("pk_job_runs")),
    )
    op.create_index(op.f("ix_job_runs_run_id"), "job_runs", ["run_id"])
    op.create_table(
        "summaries",
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("classifier", sa.String(40), nullable=False),
        sa.Column("track_slug", sa.String(200), nullable=False),
        sa.Column("entry_id", sa.String(40), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("ranking", sa.Boolean(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("average_accuracy", sa.Double(), nullable=False),
        sa.Column("last_accuracy", sa.Double(), nullable=False),
        sa.Column("forgetting", sa.Double(), nullable=True),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("exemplars", sa.Integer(), nullable=False),
        sa.Column("counted_bytes", sa.BigInteger(), nullable=False),
        sa.Column("kept_bytes", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("train_seconds", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_summaries_run_id")),
        sa.ForeignKeyConstraint(["track_slug"], ["tracks.slug"], name=op.f("fk_summaries_track_slug")),
        sa.PrimaryKeyConstraint("run_id", "classifier", name=op.f("pk_summaries")),
    )
    op.create_index(
        "ix_summaries_classifier",
        "summaries",
        ["track_slug", "classifier", "entry_id", "average_accuracy"],
        **where("counted"),
    )
    op.create_index(
        "ix_summaries_ranking",
        "summaries",
        ["track_slug", "entry_id", "average_accuracy"],
        **where("counted AND ranking"),
    )
    op.create_index(
        "uq_summaries_counted",
        "summaries",
        ["entry_id", "seed", "classifier"],
        unique=True,
        **where("counted"),
    )
    op.create_table(
        "task_results",
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("task", sa.Integer(), nullable=False),
        sa.Column("classifier", sa.String(40), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("test_images", JSON, nullable=False),
        sa.Column("correct", JSON, nullable=False),
        sa.Column("correct_top5", JSON, nullable=False),
        sa.Column("footprint", JSON, nullable=False),
        sa.Column("diagnostics", JSON, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_task_results_run_id")),
        sa.PrimaryKeyConstraint("run_id", "task", "classifier", name=op.f("pk_task_results")),
    )
    op.create_index(
        "ix_runs_claim",
        "runs",
        ["queue", sa.text("priority DESC"), "created_at", "id"],
        **where("state = 'queued'"),
    )
