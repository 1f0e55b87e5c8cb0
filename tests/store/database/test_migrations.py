"""The schema grows by migrations alone, and what the models say is what the migrations make."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy.orm import Session

import migrations
from store.database.base import Base
from store.database.session import Database


def test_an_empty_database_is_brought_to_the_newest_revision(empty_database_url: str) -> None:
    assert migrations.current(empty_database_url) is None
    migrations.upgrade(empty_database_url)
    assert migrations.current(empty_database_url) == migrations.HEAD


def test_head_names_the_last_file() -> None:
    names = sorted(path.stem for path in (Path(migrations.__file__).parent / "versions").glob("0*.py"))
    assert names[-1].startswith(f"{migrations.HEAD}_")


def test_upgrading_again_changes_nothing(database_url: str) -> None:
    migrations.upgrade(database_url)
    assert migrations.current(database_url) == migrations.HEAD


def test_several_processes_may_upgrade_at_once(empty_database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=migrations.upgrade, args=(empty_database_url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert migrations.current(empty_database_url) == migrations.HEAD


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_migrations_make_what_the_models_say(database: Database) -> None:
    def comparable(_object: object, name: str | None, *_rest: object) -> bool:
        return not (
            database.engine.dialect.name == "sqlite" and name in ("ix_runs_claim", "ix_runs_turns")
        )  # SQLite does not name descending columns

    with database.reading() as session:
        options = {"compare_type": True, "target_metadata": Base.metadata, "include_object": comparable}
        assert (
            compare_metadata(MigrationContext.configure(session.connection(), opts=options), Base.metadata)
            == []
        )


def test_an_older_database_learns_new_failure_classes_and_keeps_its_triggers(empty_database_url: str) -> None:
    older = Database(empty_database_url)
    with older.transaction() as session:
        config = migrations._config()
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0003")
        before = _triggers(session)
    migrations.upgrade(empty_database_url)
    with older.transaction() as session:  # on a connection from before the upgrade
        assert _triggers(session) == before != set()
        allowed = " ".join(
            text for table in ("runs", "attempts") for text in _checks(session, table) if "timed_out" in text
        )
        for added in ("invalid_data", "method_error", "rule_broken"):
            assert allowed.count(added) == 2
        if older.engine.dialect.name == "sqlite":
            assert session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
    older.dispose()


def _triggers(session: Session) -> set[str]:
    source = (
        "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        if session.get_bind().dialect.name == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    return set(session.scalars(sa.text(source)))


def _checks(session: Session, table: str) -> list[str]:
    return [str(check["sqltext"]) for check in sa.inspect(session.connection()).get_check_constraints(table)]


def test_a_database_from_the_future_is_refused(database: Database, database_url: str) -> None:
    with database.transaction() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CommandError, match="9999"):
        migrations.upgrade(database_url)
