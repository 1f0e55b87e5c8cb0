"""The history of the schema, and the only package that changes it.

Decisions:
    * Every process may call `upgrade` when it starts: a lock serialises the calls, and later ones find
      nothing to do.
    * The whole upgrade is one transaction on both databases: a half-migrated schema does not exist.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from store.database.session import Database

HEAD = "0006"
"""The newest revision: the one that this version of the software needs."""

_LOCK = 0x_C11_1EAD
"""Key of PostgreSQL's advisory lock; SQLite has a single write lock anyway."""


def upgrade(url: str) -> None:
    """Upgrade the schema of the database at `url` to `HEAD`. Idempotent.

    Raises:
        alembic.util.CommandError: the database has a revision that this software does not know, e.g. of a
        newer version.
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
