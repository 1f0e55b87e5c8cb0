"""`Database`: an engine and the two kinds of transaction, on SQLite and PostgreSQL.

Decisions:
    * A transaction says at its beginning whether it writes. On SQLite a writer takes the write lock at once (BEGIN IMMEDIATE): upgrading a read
      later can fail, waiting at the start cannot. A reader is held to reading by the database.
    * Objects stay readable after the commit (`expire_on_commit=False`), and nothing is loaded lazily.
    * A reader sees one moment: what is committed while it reads belongs to its next transaction. Whoever waits for news opens a new one.
    * On PostgreSQL writers run at READ COMMITTED: every statement sees what was committed before it. Where two writers could miss each other, a row lock
      decides; locks are taken in one order: the user, runs by (key, id), then jobs by id.
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
"""How long an SQLite connection waits for another's write."""

STALLED_SECONDS = 60
"""How long PostgreSQL lets a transaction idle before it ends it: a process that was stopped in the middle of one must not hold its locks for ever.
(SQLite's one write lock cannot be taken from a stopped process: continue or kill it.)"""

_POSTGRESQL = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""A host that vanished is noticed within a minute; a URL may say otherwise."""

_THREADS = 40
"""As many connections as the API has threads, made when needed: nobody waits for one."""

_MODE = "transaction_mode"


def sqlite_url(file: Path) -> str:
    """The URL of an SQLite database; `%`, `?` and other special characters in its path are escaped."""
    return URL.create("sqlite", database=str(file.resolve())).render_as_string()


class Database:
    """The one database of a service.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://…`.

    Raises:
        ValueError: for another kind of URL, or for SQLite without a file, which several processes could not share.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
            raise ValueError(
                f"{parsed.drivername!r} databases are not supported; use sqlite:///path or postgresql+psycopg://user@host/name"
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
            json_deserializer=from_json,  # of a leaderboard's time, reading the numbers of its runs is a good part: this takes half as long as Python's own
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
        """A session that only reads, at one moment; writing in it is an error."""
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
