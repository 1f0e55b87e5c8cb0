"""A second connection to the database under test, which reads its rows without the store."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row

from store.database.session import Database

TABLES = ("jobs", "runs", "job_runs", "attempts", "task_results", "summaries", "events")

Row = dict[str, Any]


class Observer(Protocol):
    """Looks at the rows and moves their times, without the code under test."""

    now: str  # the time of the database, in its SQL
    past: str

    def empty(self) -> None:
        """No row is left."""

    def rows(self, query: str, *values: Any) -> list[Row]:
        """What a query with `?` for each value gives."""

    def table(self, name: str) -> list[Row]:
        """All rows, in an order that depends on them alone."""

    def execute(self, statement: str) -> None:
        """Commits at once."""

    def close(self) -> None:
        """Ends the connection."""


class SqliteObserver:
    """Begins each history with a copy of the empty file."""

    now, past = "strftime('%Y-%m-%d %H:%M:%f000', 'now')", "datetime('now', '-1 hour')"

    def __init__(self, database: Database, directory: Path) -> None:
        self.database, self.path = database, Path(str(database.engine.url.database))
        self.template = Path(shutil.copy(self.path, directory / "template.sqlite"))
        self.connection = sqlite3.connect(self.path, isolation_level=None)

    def empty(self) -> None:
        self.database.dispose()
        self.connection.close()
        shutil.copy(self.template, self.path)
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.row_factory = lambda cursor, row: {
            column[0]: value for column, value in zip(cursor.description, row, strict=True)
        }

    def rows(self, query: str, *values: Any) -> list[Row]:
        return self.connection.execute(query, values).fetchall()

    def table(self, name: str) -> list[Row]:
        return self.rows(f"SELECT * FROM {name} ORDER BY rowid")

    def execute(self, statement: str) -> None:
        self.connection.execute(statement)

    def close(self) -> None:
        self.connection.close()


class PostgresqlObserver:
    """A connection of its own to the server."""

    now, past = "clock_timestamp()", "clock_timestamp() - interval '1 hour'"

    def __init__(self, database: Database) -> None:
        url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def empty(self) -> None:
        self.connection.execute(f"TRUNCATE {', '.join((*TABLES, 'tracks'))} CASCADE")

    def rows(self, query: str, *values: Any) -> list[Row]:
        return self.connection.execute(query.replace("?", "%s"), values).fetchall()

    def table(self, name: str) -> list[Row]:
        return self.rows(f"SELECT * FROM {name} ORDER BY {name}::text")

    def execute(self, statement: str) -> None:
        self.connection.execute(statement)

    def close(self) -> None:
        self.connection.close()
