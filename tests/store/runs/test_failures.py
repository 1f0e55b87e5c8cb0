"""How an attempt ends without a result, and what becomes of its run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from store import runs
from store.database.clock import now
from store.database.models import Run
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState
from store.runs.failures import RETRIED

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


@pytest.fixture
def claim(scenario: Scenario) -> runs.Claim:
    """The only run of a job, claimed."""
    scenario.submit(scenario.spec(seeds=(1,)))
    return scenario.claim()


@pytest.mark.parametrize(
    "failure", [failure for failure in FailureClass if failure not in RETRIED | {FailureClass.cancelled}]
)
def test_what_would_fail_again_is_not_retried(
    scenario: Scenario, claim: runs.Claim, failure: FailureClass
) -> None:
    assert scenario.fail(claim, failure, "the reason", {"peak": 12}) is RunState.failed
    run = scenario.run(claim.run_id)
    assert (run.state, run.failure, run.message, run.evidence) == (
        RunState.failed,
        failure,
        "the reason",
        {"peak": 12},
    )
    assert [(attempt.outcome, attempt.failure, attempt.message) for attempt in run.attempts] == [
        (AttemptOutcome.failed, failure, "the reason")
    ]
    assert scenario.job(claim.job_id).state is JobState.failed
    assert scenario.kinds(claim.job_id)[-2:] == ["run_failed", "job_finished"]


def test_no_log_line_is_too_odd_to_be_kept(scenario: Scenario, claim: runs.Claim) -> None:
    odd: dict[str, object] = {
        "log": ["a\0b", "half a pair: \ud83d", "naïve"],
        "loss": float("nan"),
        "k\0": {"bound": float("inf"), "n": 1},
    }
    assert scenario.fail(claim, FailureClass.diverged, "loss is \0", odd) is RunState.failed
    run = scenario.run(claim.run_id)
    assert run.message == "loss is \ufffd"
    assert run.evidence == {
        "log": ["a\ufffdb", "half a pair: ?", "naïve"],
        "loss": "nan",
        "k\ufffd": {"bound": "inf", "n": 1},
    }


def test_infrastructure_is_retried_after_a_growing_back_off_and_dead_after_three_attempts(
    scenario: Scenario, claim: runs.Claim
) -> None:
    states, waits = [], []
    for number in (1, 2, 3):
        states.append(
            scenario.fail(
                claim, FailureClass.infrastructure, f"loss {number}", {"signal": 9, "log": [f"line {number}"]}
            )
        )
        if states[-1] is RunState.queued:
            waits.append(_wait(scenario, claim))
            assert scenario.run(claim.run_id).message == f"loss {number}"
            scenario.let_back_off_pass(claim.run_id)
            claim = scenario.claim()
    assert states == [RunState.queued, RunState.queued, RunState.dead]
    assert [round(wait.total_seconds()) for wait in waits] == [5, 20]
    run = scenario.run(claim.run_id)
    assert run.message == "given up after 3 attempts: loss 3"
    assert run.evidence == {"signal": 9, "log": ["line 3"]}
    assert [attempt.evidence for attempt in run.attempts] == [
        {"signal": 9, "log": [f"line {number}"]} for number in (1, 2, 3)
    ]
    assert scenario.job(claim.job_id).state is JobState.failed
    assert "run_dead" in scenario.kinds(claim.job_id)


def test_a_run_whose_workers_die_without_a_word_is_dead_after_three_attempts(
    scenario: Scenario, claim: runs.Claim
) -> None:
    states = [scenario.lose(claim)]
    for _ in range(2):
        scenario.let_back_off_pass(claim.run_id)
        states.append(scenario.lose(scenario.claim()))
    assert states == [RunState.queued, RunState.queued, RunState.dead]
    run = scenario.run(claim.run_id)
    assert run.message is not None
    assert run.message.startswith("given up after 3 attempts: the lease of worker worker-1 expired at 20")
    assert [attempt.outcome for attempt in run.attempts] == [AttemptOutcome.lost] * 3
    assert all(attempt.evidence and attempt.evidence["worker"] == "worker-1" for attempt in run.attempts)


def test_a_hang_is_retried_once(scenario: Scenario, claim: runs.Claim) -> None:
    assert scenario.fail(claim, FailureClass.hung) is RunState.queued
    scenario.let_back_off_pass(claim.run_id)
    assert scenario.fail(scenario.claim(), FailureClass.hung) is RunState.dead


def test_a_loss_between_does_not_give_a_hanging_run_another_chance(
    scenario: Scenario, claim: runs.Claim
) -> None:
    assert scenario.fail(claim, FailureClass.hung) is RunState.queued
    scenario.let_back_off_pass(claim.run_id)
    assert scenario.lose(scenario.claim()) is RunState.queued
    scenario.let_back_off_pass(claim.run_id)
    assert scenario.fail(scenario.claim(), FailureClass.hung) is RunState.dead


def test_the_policy_can_be_given(scenario: Scenario, claim: runs.Claim) -> None:
    with scenario.database.transaction() as session:
        policy = runs.RetryPolicy(max_attempts=1)
        assert (
            runs.fail(session, claim, FailureClass.infrastructure, "lost", {}, policy=policy) is RunState.dead
        )


def test_the_back_off_has_an_upper_bound() -> None:
    assert runs.RetryPolicy(back_off=timedelta(minutes=10)).delay(50) == timedelta(hours=1)


def test_a_drained_run_keeps_its_attempts_and_is_claimable_at_once(
    scenario: Scenario, claim: runs.Claim
) -> None:
    for number in range(1, 6):
        assert claim.attempt == number
        assert scenario.release(claim) is RunState.queued
        claim = scenario.claim()
    run = scenario.run(claim.run_id)
    assert (run.attempt, run.charged) == (6, 1)
    assert [attempt.outcome for attempt in run.attempts] == [AttemptOutcome.released] * 5 + [
        AttemptOutcome.running
    ]
    assert scenario.lose(claim) is RunState.queued


def test_a_worker_cannot_cancel_a_run_without_a_request(scenario: Scenario, claim: runs.Claim) -> None:
    with pytest.raises(ValueError, match="no cancellation of run_"):
        scenario.fail(claim, FailureClass.cancelled)
    assert scenario.run(claim.run_id).state is RunState.running


def test_reaping_takes_only_what_is_lost(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1, 2, 3)))
    lost, kept = scenario.claim(), scenario.claim()
    scenario.expire(lost.run_id)
    reaped = scenario.reap()
    assert (reaped.requeued, reaped.dead, reaped.cancelled) == ((lost.run_id,), (), ())
    assert scenario.run(kept.run_id).state is RunState.running
    assert scenario.reap().requeued == ()


def test_a_reaper_names_the_queues_where_work_waits(scenario: Scenario) -> None:
    slow = {}
    for queue, seed in (("a", 1), ("b", 2), ("c", 3)):
        slow[queue] = scenario.job(scenario.submit(scenario.spec(seeds=(seed,)), queue=queue)).links[0].run_id
    assert scenario.reap().unclaimed == frozenset()
    for queue in ("a", "c"):
        scenario.let_back_off_pass(slow[queue])
    with scenario.database.transaction() as session:
        assert runs.reap(session, unclaimed_for=timedelta(minutes=30)).unclaimed == {"a", "c"}


def _wait(scenario: Scenario, claim: runs.Claim) -> timedelta:
    with scenario.database.reading() as session:
        return (
            session.scalars(select(Run.not_before).where(Run.id == claim.run_id)).one()
            - session.scalars(select(now())).one()
        )
