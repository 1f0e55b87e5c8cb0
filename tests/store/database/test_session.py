"""Transactions: what writes may write, what reads may not, and whose clock counts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import exc, select, text

from store.database.clock import now
from store.database.ids import new_id, new_ids
from store.database.models import User
from store.database.session import Database


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://x/y", "'mysql' databases are not supported"),
        ("postgresql://x/y", "postgresql[+]psycopg"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_other_databases_are_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Database(url)


def test_a_transaction_commits_at_its_end_and_its_objects_stay_readable(database: Database) -> None:
    with database.transaction() as session:
        user = User(id=new_id("usr"), name="ada")
        session.add(user)
    assert user.name == "ada"
    assert user.created_at.tzinfo is UTC
    with database.reading() as session:
        assert session.scalars(select(User.name)).all() == ["ada"]


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def add_then_stumble() -> None:
        with database.transaction() as session:
            session.add(User(id=new_id("usr"), name="ada"))
            session.flush()
            raise KeyError("stumbled")

    with pytest.raises(KeyError, match="stumbled"):
        add_then_stumble()
    with database.reading() as session:
        assert session.scalars(select(User)).all() == []


def test_reading_cannot_write(database: Database) -> None:
    with (
        pytest.raises((exc.OperationalError, exc.InternalError), match=r"readonly|read-only"),
        database.reading() as session,
    ):
        session.execute(text("DELETE FROM users"))
    with database.transaction() as session:
        session.execute(text("DELETE FROM users"))  # and the connection is not spoilt for those who may


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.reading() as reader:
        assert reader.scalars(select(User.name)).all() == []
        with database.transaction() as writer:
            writer.add(User(id=new_id("usr"), name="ada"))
        assert reader.scalars(select(User.name)).all() == []
    with database.reading() as reader:
        assert reader.scalars(select(User.name)).all() == ["ada"]


def test_forty_threads_have_a_connection_each(database: Database) -> None:
    everybody = threading.Barrier(40)

    def read(_: int) -> int:
        with database.reading() as session:
            everybody.wait(60)
            return len(session.scalars(select(User)).all())

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(read, range(40))) == {0}


def test_the_databases_clock_counts_in_utc_and_can_be_shifted(database: Database) -> None:
    with database.reading() as session:
        present, later, earlier = session.execute(
            select(now(), now(timedelta(minutes=90)), now(timedelta(milliseconds=-1500)))
        ).one()
    assert abs(datetime.now(UTC) - present) < timedelta(seconds=5)
    assert later - present == timedelta(minutes=90)
    assert present - earlier == timedelta(milliseconds=1500)


def test_a_moment_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(exc.StatementError, match="needs a time zone"), database.reading() as session:
        session.execute(select(User).where(User.created_at > datetime(2026, 1, 1)))


def test_sqlite_writers_take_turns_rather_than_fail(tmp_path: Path, sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def write(number: int) -> None:
        for turn in range(10):
            with database.transaction() as session:
                session.scalars(
                    select(User)
                ).all()  # a read before the write: the case in which a deferred transaction would fail
                session.add(User(id=new_id("usr"), name=f"{number}-{turn}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert len(session.scalars(select(User)).all()) == 60
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
    database.dispose()


def test_identifiers_are_distinct_and_sort_by_time() -> None:
    ids = [new_id("run") for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(identifier) == 30 and identifier.startswith("run_") for identifier in ids)
    assert [identifier[:14] for identifier in ids] == sorted(identifier[:14] for identifier in ids)
    several = new_ids("run", 50)
    assert several == sorted(several)


def test_postgresql_ends_a_transaction_whose_process_stalls_and_is_not_waited_for_for_ever(
    postgresql_url: str,
) -> None:
    database = Database(postgresql_url)
    with database.reading() as session:
        assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    assert database.engine.url.query["connect_timeout"] == "10"
    database.dispose()


def test_a_url_may_set_its_own_patience() -> None:
    database = Database("postgresql+psycopg://nobody@nowhere/none?connect_timeout=3")
    assert database.engine.url.query["connect_timeout"] == "3"
    assert database.engine.url.query["keepalives_idle"] == "30"
    database.dispose()
