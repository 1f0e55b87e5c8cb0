"""The schema's history, and the only thing that changes it.

Decisions:
    * `upgrade` may be called by every process at its start: a lock makes them take turns, and the late ones find nothing to do.
    * The whole upgrade is one transaction on both databases: a half-migrated schema does not exist.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from store.database.session import Database

HEAD = "0004"
"""The newest revision: what this version of the software needs."""

_LOCK = 0x_C11_1EAD
"""Key of PostgreSQL's advisory lock; SQLite has only one write lock anyway."""


def upgrade(url: str) -> None:
    """Bring the schema of the database at `url` to `HEAD`; does nothing if it is there.

    Raises:
        alembic.util.CommandError: if the database is at a revision this software does not know, e.g. after a downgrade of the software.
    """
    database = Database(url)
    try:
        with database.transaction() as session:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.dispose()


def current(url: str) -> str | None:
    """The revision of the database at `url`; None if it is empty."""
    database = Database(url)
    try:
        with database.reading() as session:
            return MigrationContext.configure(session.connection()).get_current_revision()
    finally:
        database.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
