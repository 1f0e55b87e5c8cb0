"""A repeated request creates nothing and gets the first answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from store import runs
from store.access import idempotency
from store.database.clock import now
from store.database.errors import KeyInFlight, KeyReused
from store.database.models import IdempotencyKey, Job
from store.database.session import Database

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def post(scenario: Scenario, key: str = "k", body: str = "a" * 64, owner: str = "usr_ada") -> str:
    """What a POST does: reserve, submit, keep; or answer with the existing job."""
    with scenario.database.transaction() as session:
        existing = idempotency.reserve(session, owner, key, body)
        if existing is not None:
            return existing
        job = runs.submit(session, scenario.spec(seeds=(1,)), user_id=None, engine_version="1", force=True)
        idempotency.keep(session, owner, key, job.id)
        return job.id


def test_the_same_request_gets_the_same_job(scenario: Scenario) -> None:
    assert post(scenario) == post(scenario)
    assert scenario.count(Job) == 1


def test_another_body_under_the_same_key_is_refused(scenario: Scenario) -> None:
    post(scenario)
    with pytest.raises(KeyReused, match="'k' was used for another request"):
        post(scenario, body="b" * 64)
    assert scenario.count(Job) == 1


def test_a_key_belongs_to_its_owner(scenario: Scenario) -> None:
    assert post(scenario, owner="usr_ada") != post(scenario, owner="usr_bob")


def test_a_request_that_failed_leaves_its_key_free(scenario: Scenario) -> None:
    def stumble() -> None:
        with scenario.database.transaction() as session:
            idempotency.reserve(session, "usr_ada", "k", "b" * 64)
            raise KeyError("stumbled")

    with pytest.raises(KeyError, match="stumbled"):
        stumble()
    assert post(scenario, body="a" * 64).startswith("job_")


def test_a_key_expires_after_a_day(scenario: Scenario) -> None:
    first = post(scenario)
    age(scenario, timedelta(hours=23))
    assert post(scenario) == first
    age(scenario, timedelta(hours=25))
    assert post(scenario, body="b" * 64) != first


def test_expired_keys_are_deleted(scenario: Scenario) -> None:
    post(scenario, "old")
    age(scenario, timedelta(hours=25))
    post(scenario, "young")
    with scenario.database.transaction() as session:
        assert idempotency.delete_expired(session) == 1
    assert scenario.count(IdempotencyKey) == 1


def age(scenario: Scenario, age: timedelta) -> None:
    with scenario.database.transaction() as session:
        session.execute(update(IdempotencyKey).values(created_at=now(-age)))


def test_a_hundred_concurrent_requests_with_one_key_make_one_job(scenario: Scenario) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(scenario), range(100)))
    assert len(set(answers)) == 1
    assert scenario.count(Job) == 1


def test_a_request_that_waits_too_long_for_the_first_answer_is_refused(
    postgresql_url: str, scenario_of: type[Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_PATIENCE", "50ms")
    database = Database(postgresql_url)
    scenario = scenario_of(database)
    reserved, answered = threading.Event(), threading.Event()

    def dawdle() -> None:
        with database.transaction() as session:
            idempotency.reserve(session, "usr_ada", "k", "a" * 64)
            reserved.set()
            answered.wait(30)

    thread = threading.Thread(target=dawdle)
    thread.start()
    assert reserved.wait(30)
    try:
        with pytest.raises(KeyInFlight, match="is still in progress"):
            post(scenario)
    finally:
        answered.set()
        thread.join()
        database.dispose()
