"""`Database`: an engine and its two kinds of transaction, on SQLite and PostgreSQL.

Decisions:
    * A transaction declares at its beginning whether it writes. On SQLite a writer takes the write lock at
      once (BEGIN IMMEDIATE): upgrading a read later can fail, waiting at the start cannot. The database
      enforces read-
          only readers.
    * Objects stay readable after the commit (`expire_on_commit=False`), and nothing is loaded lazily.
    * A reader sees one snapshot. To see later commits, it opens a new transaction.
    * On PostgreSQL writers run at READ COMMITTED: every statement sees what was committed before it. Where
      two writers could miss each other, a row lock decides. Locks are taken in one order: the user, runs by
      (key, id), jobs by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

BUSY_TIMEOUT_SECONDS = 30
"""How long an SQLite connection waits for another connection's write."""

STALLED_SECONDS = 60
"""How long PostgreSQL lets a transaction idle before it ends it.

A process that is stopped within a transaction must not hold its locks forever. SQLite cannot take its write
lock from a stopped process: continue or kill that process.
"""

_POSTGRESQL = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""An unreachable host is noticed within a minute; a URL may override these."""

_THREADS = 40
"""One connection per thread of the API, opened on demand: no thread waits for a connection."""

_MODE = "transaction_mode"


def sqlite_url(file: Path) -> str:
    """The URL of an SQLite database; `%`, `?` and other special characters in its path are escaped."""
    return URL.create("sqlite", database=str(file.resolve())).render_as_string()


class Database:
    """The database of a service.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://…`.

    Raises:
        ValueError: for another kind of URL, or for SQLite without a file, which processes could not share.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
            raise ValueError(
                f"{parsed.drivername!r} databases are not supported;"
                " use sqlite:///path or postgresql+psycopg://user@host/name"
            )
        if parsed.drivername == "sqlite" and parsed.database in {None, "", ":memory:"}:
            raise ValueError(
                "an SQLite database needs a file that several processes can open: sqlite:///path"
            )
        if parsed.drivername != "sqlite":
            parsed = parsed.update_query_dict(
                {name: str(value) for name, value in _POSTGRESQL.items() if name not in parsed.query}
            )
        self.engine: Engine = create_engine(
            parsed,
            pool_pre_ping=parsed.drivername != "sqlite",
            pool_size=_THREADS // 2,
            max_overflow=_THREADS // 2,
            json_deserializer=from_json,  # twice as fast as json.loads, which leaderboards would feel
        )
        if parsed.drivername == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", _prepare_postgresql)
        self._writer = self.engine.execution_options(**{_MODE: "write"})
        snapshot = (
            {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            if parsed.drivername != "sqlite"
            else {}
        )
        self._reader = self.engine.execution_options(**{_MODE: "read"}, **snapshot)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that writes: committed at the end, rolled back on an error."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only session with one snapshot; a write in it is an error."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{STALLED_SECONDS}s'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_MODE) == "read"
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
