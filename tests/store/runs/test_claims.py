"""Claiming a run and keeping it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from store import runs
from store.database.clock import now
from store.database.models import Run
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def test_a_claimed_run_is_leased_to_its_worker(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    run = scenario.run(claim.run_id)
    assert (claim.job_id, claim.attempt, claim.previous_attempts) == (job_id, 1, ())
    assert claim.spec == scenario.spec(seeds=(1,)).runs()[0]
    assert (run.state, run.attempt, run.charged, run.worker_id) == (
        RunState.running,
        1,
        1,
        scenario.worker.id,
    )
    assert [(attempt.number, attempt.outcome, attempt.device) for attempt in run.attempts] == [
        (1, AttemptOutcome.running, "cpu")
    ]
    assert scenario.job(job_id).state is JobState.running
    assert scenario.kinds(job_id) == ["job_submitted", "run_claimed"]
    with scenario.database.reading() as session:
        left = session.scalars(select(Run.lease_until)).one() - session.scalars(select(now())).one()
    assert timedelta(seconds=50) < left <= scenario.lease


def test_nothing_is_claimed_twice(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1, 2)))
    claimed = {scenario.claim().run_id, scenario.claim().run_id}
    assert len(claimed) == 2
    assert scenario.try_claim() is None


def test_priority_goes_first_and_age_second(scenario: Scenario) -> None:
    for seed, priority in ((1, 0), (2, 5), (3, 0), (4, 5)):
        scenario.submit(scenario.spec(seeds=(seed,)), priority=priority)
    assert [scenario.claim().spec.seed for _ in range(4)] == [2, 4, 1, 3]


def test_a_worker_takes_only_from_its_queue(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)), queue="gpu")
    assert scenario.try_claim() is None
    assert scenario.claim(replace(scenario.worker, queue="gpu")).spec.seed == 1


def test_a_worker_takes_only_runs_on_data_it_has(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,), track="cifar100-b0-inc10-m2000-resnet32"))
    scenario.submit(scenario.spec(seeds=(2,)))
    only_digits = replace(scenario.worker, datasets=frozenset({"digits", "cifar10"}))
    assert scenario.try_claim(replace(scenario.worker, datasets=frozenset())) is None
    assert scenario.claim(only_digits).spec.seed == 2
    assert scenario.try_claim(only_digits) is None
    assert scenario.claim().spec.seed == 1


def test_a_worker_takes_only_runs_whose_weights_it_has(scenario: Scenario) -> None:
    pretrained = "cifar100-b0-inc10-m0-{}"
    scenario.submit(scenario.spec("simplecil", (1,), pretrained.format("vit_b16-augreg_in21k")))
    scenario.submit(scenario.spec("simplecil", (2,), pretrained.format("vit_s16-augreg_in21k-bf16")))
    scenario.submit(scenario.spec(seeds=(3,)))
    none, small = (
        replace(scenario.worker, weights=frozenset(keys)) for keys in ((), ("vit_s16-augreg_in21k",))
    )
    assert scenario.claim(none).spec.seed == 3
    assert scenario.try_claim(none) is None
    assert scenario.claim(small).spec.seed == 2
    assert scenario.try_claim(small) is None
    assert scenario.claim().spec.seed == 1


def test_a_run_in_back_off_waits(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    first = scenario.claim()
    scenario.lose(first)
    assert scenario.try_claim() is None
    scenario.let_back_off_pass(first.run_id)
    second = scenario.claim()
    assert (second.run_id, second.attempt, second.previous_attempts) == (first.run_id, 2, (1,))


def test_an_unreadable_spec_fails_and_stops_no_other_run(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1, 2)))
    with scenario.database.transaction() as session:
        session.execute(
            update(Run).where(Run.seed == 1).values(recipe={"name": "icarl", "a_knob_of_tomorrow": 1})
        )
    assert scenario.claim().spec.seed == 2
    unreadable = scenario.job(job_id).links[0].run
    assert (unreadable.state, unreadable.failure) == (RunState.failed, FailureClass.invalid_spec)
    assert "a_knob_of_tomorrow" in str(unreadable.message)


def test_a_heartbeat_renews_the_lease_by_the_databases_clock(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim(lease=timedelta(seconds=1))
    with scenario.database.transaction() as session:
        assert runs.heartbeat(session, claim, timedelta(hours=1)) == runs.Heartbeat(
            held=True, cancel_requested=False
        )
    with scenario.database.reading() as session:
        assert session.scalars(select(Run.lease_until > now(timedelta(minutes=59)))).one()


def test_a_lease_that_ran_out_unnoticed_can_be_renewed(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    scenario.expire(claim.run_id)
    with scenario.database.transaction() as session:
        assert runs.heartbeat(session, claim, scenario.lease).held
    assert scenario.reap().requeued == ()


@pytest.mark.parametrize("what", ["lost", "released", "finished"])
def test_a_heartbeat_says_when_the_run_is_no_longer_held(scenario: Scenario, what: str) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    {"lost": scenario.lose, "released": scenario.release, "finished": scenario.complete}[what](claim)
    with scenario.database.transaction() as session:
        assert not runs.heartbeat(session, claim, scenario.lease).held


def test_an_old_attempt_does_not_renew_the_lease_of_a_new_one(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    old = scenario.claim()
    scenario.lose(old)
    scenario.let_back_off_pass(old.run_id)
    new = scenario.claim(lease=timedelta(seconds=5))
    with scenario.database.transaction() as session:
        assert not runs.heartbeat(session, old, timedelta(hours=1)).held
        assert runs.heartbeat(session, new, timedelta(seconds=5)).held
    with scenario.database.reading() as session:
        assert session.scalars(select(Run.lease_until < now(timedelta(minutes=1)))).one()
