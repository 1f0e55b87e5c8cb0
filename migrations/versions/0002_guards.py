"""The database itself refuses what must never happen, from every client.

A terminal run or job never changes; the fencing number never falls; events are append-only. Only the attempt
that holds a run inserts a task's result, which never changes, and stays once the run has ended.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_ENDED = "('succeeded', 'failed', 'cancelled', 'dead')"
_HOLDER = (
    "EXISTS (SELECT 1 FROM runs WHERE runs.id = NEW.run_id AND runs.state = 'running'"
    " AND runs.attempt = NEW.attempt)"
)
_KEPT = f"EXISTS (SELECT 1 FROM runs WHERE runs.id = OLD.run_id AND runs.state IN {_ENDED})"  # noqa: S608 - constants only

GUARDS = (
    ("runs_final", "UPDATE", "runs", f"OLD.state IN {_ENDED}", "a terminal run never changes"),
    (
        "runs_fencing",
        "UPDATE",
        "runs",
        "NEW.attempt < OLD.attempt",
        "the fencing number of a run never falls",
    ),
    ("jobs_final", "UPDATE", "jobs", f"OLD.state IN {_ENDED}", "a terminal job never changes"),
    ("events_unchanged", "UPDATE", "events", "TRUE", "events are append-only"),
    ("events_kept", "DELETE", "events", "TRUE", "events are append-only"),
    (
        "task_results_fenced",
        "INSERT",
        "task_results",
        f"NOT {_HOLDER}",
        "only the attempt that holds a run records results",
    ),
    ("task_results_unchanged", "UPDATE", "task_results", "TRUE", "a recorded result never changes"),
    ("task_results_kept", "DELETE", "task_results", _KEPT, "the results of a terminal run are kept"),
)
"""Trigger, what it watches, its table, when it refuses, and what it says."""


def upgrade() -> None:
    for guard in GUARDS:
        (_postgresql if op.get_bind().dialect.name == "postgresql" else _sqlite)(*guard)


def _sqlite(name: str, operation: str, table: str, condition: str, reason: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {operation} ON {table} WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{reason}'); END"
    )


def _postgresql(name: str, operation: str, table: str, condition: str, reason: str) -> None:
    # The function checks the condition: the WHEN clause of a PostgreSQL trigger cannot query another table.
    row = "OLD" if operation == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {condition} THEN RAISE EXCEPTION '{reason}' USING ERRCODE = 'integrity_constraint_violation'; "
        f"END IF; RETURN {row}; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {operation} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
