"""The schema grows by migrations alone, and what the models say is what the migrations make."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

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
            database.engine.dialect.name == "sqlite" and name == "ix_runs_claim"
        )  # SQLite cannot tell a descending column

    with database.reading() as session:
        options = {"compare_type": True, "target_metadata": Base.metadata, "include_object": comparable}
        assert (
            compare_metadata(MigrationContext.configure(session.connection(), opts=options), Base.metadata)
            == []
        )


def test_a_database_from_the_future_is_refused(database: Database, database_url: str) -> None:
    with database.transaction() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CommandError, match="9999"):
        migrations.upgrade(database_url)
