"""Failure classes of submitted methods.

SQLite changes the text of its CHECK constraints in place, as in revision 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = ("runs", "attempts")
_BEFORE = "'timed_out', 'internal'"
_AFTER = "'timed_out', 'internal', 'method_error', 'rule_broken'"
_CLASSES = (
    "invalid_spec",
    "invalid_data",
    "out_of_memory",
    "diverged",
    "infrastructure",
    "hung",
    "cancelled",
    "timed_out",
    "internal",
    "method_error",
    "rule_broken",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
        return
    for table in _TABLES:
        name = op.f(f"ck_{table}_failure")
        op.drop_constraint(name, table, type_="check")
        op.create_check_constraint(name, table, sa.column("failure", sa.String).in_(_CLASSES))


def _sqlite() -> None:
    connection = op.get_bind()
    version = connection.scalar(sa.text("PRAGMA schema_version"))
    connection.execute(sa.text("PRAGMA writable_schema = ON"))
    statement = sa.text(
        "UPDATE sqlite_schema SET sql = replace(sql, :before, :after)"
        " WHERE type = 'table' AND name IN ('runs', 'attempts') AND instr(sql, :before) > 0"
    )
    changed = connection.execute(statement, {"before": _BEFORE, "after": _AFTER}).rowcount
    if changed != len(_TABLES):
        raise RuntimeError(f"{changed} of {len(_TABLES)} tables list the failure classes as expected")
    connection.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema = RESET"))
