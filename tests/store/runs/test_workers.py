"""Workers and queues, as an operator sees them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from store import runs
from store.database.clock import now
from store.database.errors import NotFound
from store.database.models import Worker
from store.queries.queues import queues
from store.runs.workers import WorkerStatus

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def register(scenario: Scenario, offer: runs.WorkerOffer) -> None:
    with scenario.database.transaction() as session:
        runs.register_worker(session, offer, {"host": "here"})


def listed(scenario: Scenario) -> list[WorkerStatus]:
    with scenario.database.reading() as session:
        return runs.list_workers(session)


def let_fall_silent(scenario: Scenario, silence: timedelta) -> None:
    with scenario.database.transaction() as session:
        session.execute(update(Worker).values(seen_at=now(-silence)))


def test_a_worker_is_listed_with_what_it_holds(scenario: Scenario) -> None:
    offer = replace(scenario.worker, datasets=frozenset({"digits"}))
    register(scenario, offer)
    scenario.submit(scenario.spec(seeds=(5,)))
    claim = scenario.claim(offer)
    (status,) = listed(scenario)
    assert (status.offer, status.info, status.stopped_at) == (offer, {"host": "here"}, None)
    assert 0 <= status.silent_seconds < 5
    (lease,) = status.leases
    assert (lease.run_id, lease.attempt, lease.method, lease.seed, lease.cancel_requested) == (
        claim.run_id,
        1,
        "icarl",
        5,
        False,
    )
    assert 50 < lease.seconds_left <= 60


def test_a_silent_worker_leaves_the_list_unless_it_holds_a_lease(scenario: Scenario) -> None:
    register(scenario, scenario.worker)
    let_fall_silent(scenario, timedelta(hours=2))
    assert listed(scenario) == []
    scenario.submit()
    claim = scenario.claim()
    scenario.expire(claim.run_id)
    (status,) = listed(scenario)
    assert 7100 < status.silent_seconds < 7300
    assert status.leases[0].seconds_left < 0


def test_a_heartbeat_brings_a_worker_back(scenario: Scenario) -> None:
    register(scenario, scenario.worker)
    let_fall_silent(scenario, timedelta(hours=2))
    with scenario.database.transaction() as session:
        runs.worker_heartbeat(session, scenario.worker.id)
    assert [status.offer.id for status in listed(scenario)] == [scenario.worker.id]


def test_a_worker_says_goodbye_and_may_come_back_with_another_offer(scenario: Scenario) -> None:
    register(scenario, scenario.worker)
    with scenario.database.transaction() as session:
        runs.worker_stopped(session, scenario.worker.id)
    assert listed(scenario)[0].stopped_at is not None
    register(scenario, replace(scenario.worker, device="cuda:1"))
    (status,) = listed(scenario)
    assert (status.stopped_at, status.offer.device) == (None, "cuda:1")


def test_an_unregistered_worker_has_no_heart(scenario: Scenario) -> None:
    with pytest.raises(NotFound, match="worker-7"), scenario.database.transaction() as session:
        runs.worker_heartbeat(session, "worker-7")


def test_queues_tell_their_length_and_the_age_of_their_oldest_run(scenario: Scenario) -> None:
    with scenario.database.reading() as session:
        assert queues(session) == []
    scenario.submit(scenario.spec(seeds=(1, 2, 3)))
    scenario.submit(scenario.spec(seeds=(9,)), queue="gpu")
    scenario.lose(scenario.claim())
    with scenario.database.reading() as session:
        cil, gpu = queues(session)
    assert (cil.name, cil.length, cil.ready) == ("cil", 3, 2)
    assert (gpu.name, gpu.length, gpu.ready) == ("gpu", 1, 1)
    assert gpu.oldest_seconds is not None
    assert 0 <= gpu.oldest_seconds < 10
    scenario.lose(scenario.claim(replace(scenario.worker, queue="gpu")))
    with scenario.database.reading() as session:
        waiting = queues(session)[1]
    assert (waiting.length, waiting.ready, waiting.oldest, waiting.oldest_seconds) == (1, 0, None, None)
