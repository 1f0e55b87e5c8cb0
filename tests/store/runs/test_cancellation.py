"""Cancelling: runs end as soon as nobody wants them, and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from store import runs
from store.database.errors import AlreadyTerminal, NotFound
from store.database.models import Run
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def test_queued_runs_are_cancelled_at_once(scenario: Scenario) -> None:
    job_id = scenario.submit()
    assert scenario.cancel(job_id).state is JobState.cancelled
    assert {link.run.state for link in scenario.job(job_id).links} == {RunState.cancelled}
    assert scenario.kinds(job_id) == [
        "job_submitted",
        "cancel_requested",
        *["run_cancelled"] * 3,
        "job_finished",
    ]
    assert scenario.try_claim() is None


def test_a_running_run_is_cancelled_once_it_has_stopped(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1, 2)))
    claim = scenario.claim()
    job = scenario.cancel(job_id)
    assert (job.state, job.cancel_requested_at is not None) == (JobState.running, True)
    with scenario.database.transaction() as session:
        assert runs.heartbeat(session, claim, scenario.lease) == runs.Heartbeat(
            held=True, cancel_requested=True
        )
    assert scenario.fail(claim, FailureClass.cancelled, "stopped on request") is RunState.cancelled
    assert scenario.job(job_id).state is JobState.cancelled
    assert [attempt.outcome for attempt in scenario.run(claim.run_id).attempts] == [AttemptOutcome.cancelled]


@pytest.mark.parametrize("how", ["lose", "release", "infrastructure", "hung"])
def test_a_run_that_would_be_tried_again_is_cancelled_instead(scenario: Scenario, how: str) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    scenario.cancel(job_id)
    state = (
        getattr(scenario, how)(claim) if hasattr(scenario, how) else scenario.fail(claim, FailureClass(how))
    )
    assert state is RunState.cancelled
    assert scenario.job(job_id).state is JobState.cancelled


def test_a_reaper_tells_which_runs_it_cancelled(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    scenario.cancel(job_id)
    scenario.expire(claim.run_id)
    assert scenario.reap().cancelled == (claim.run_id,)


def test_a_run_that_finishes_before_it_stops_has_succeeded(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1, 2)))
    claim = scenario.claim()
    scenario.cancel(job_id)
    scenario.complete(claim)
    assert scenario.run(claim.run_id).state is RunState.succeeded
    assert scenario.job(job_id).state is JobState.cancelled


def test_a_run_that_another_job_shares_continues(scenario: Scenario) -> None:
    first, second = (scenario.submit(scenario.spec(seeds=(1,))) for _ in range(2))
    assert scenario.cancel(first).state is JobState.cancelled
    assert scenario.job(first).links[0].withdrawn
    assert scenario.complete_all() == 1
    assert scenario.job(second).state is JobState.succeeded
    assert scenario.job(first).state is JobState.cancelled
    assert scenario.kinds(first)[-1] == "job_finished"


def test_a_run_ends_when_the_last_job_lets_it_go(scenario: Scenario) -> None:
    first, second = (scenario.submit(scenario.spec(seeds=(1,))) for _ in range(2))
    claim = scenario.claim()
    scenario.cancel(first)
    assert not scenario.run(claim.run_id).cancel_requested
    scenario.cancel(second)
    assert scenario.run(claim.run_id).cancel_requested


def test_asking_again_changes_nothing(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1,)))
    scenario.claim()
    asked = scenario.cancel(job_id).cancel_requested_at
    assert scenario.cancel(job_id).cancel_requested_at == asked
    assert scenario.kinds(job_id).count("cancel_requested") == 1


def test_a_job_that_has_ended_cannot_be_cancelled(scenario: Scenario) -> None:
    done, cancelled = scenario.submit(scenario.spec(seeds=(1,))), scenario.submit(scenario.spec(seeds=(2,)))
    scenario.cancel(cancelled)
    scenario.complete_all()
    with pytest.raises(AlreadyTerminal, match="has already succeeded"):
        scenario.cancel(done)
    with pytest.raises(AlreadyTerminal, match="is already cancelled"):
        scenario.cancel(cancelled)
    assert scenario.count(Run, Run.state == RunState.succeeded) == 1


def test_an_unknown_job_cannot_be_cancelled(scenario: Scenario) -> None:
    with pytest.raises(NotFound, match="job_nowhere"):
        scenario.cancel("job_nowhere")
