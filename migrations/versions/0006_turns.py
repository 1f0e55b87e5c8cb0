"""Whose runs wait: the owner of a run, the share of a user, and indexes for fair turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_OWNER = """
UPDATE runs SET owner = COALESCE((
    SELECT jobs.user_id FROM job_runs JOIN jobs ON jobs.id = job_runs.job_id
    WHERE job_runs.run_id = runs.id ORDER BY jobs.created_at, jobs.id LIMIT 1
), '') WHERE state IN ('queued', 'running')
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("owner", sa.String(40), nullable=False, server_default=""))
    op.add_column("users", sa.Column("share", sa.Integer(), nullable=False, server_default="1"))
    op.execute(_OWNER)  # a run that has ended never changes, and needs no owner
    queued, running = sa.text("state = 'queued'"), sa.text("state = 'running'")
    columns: list[str | sa.TextClause] = ["queue", "owner", sa.text("priority DESC"), "created_at", "id"]
    op.create_index("ix_runs_turns", "runs", columns, sqlite_where=queued, postgresql_where=queued)
    op.create_index(
        "ix_runs_running", "runs", ["queue", "owner"], sqlite_where=running, postgresql_where=running
    )
    op.create_index("ix_runs_owner_started_at", "runs", ["owner", "started_at"])
