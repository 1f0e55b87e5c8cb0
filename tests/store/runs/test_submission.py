"""Submitting: what is executed anew, what is shared, what is reused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cil_core.spec.jobs import JobSpec
from store.database.models import Run, TrackRow
from store.database.states import JobState, RunState
from store.queries.positions import queue_position

if TYPE_CHECKING:
    from tests.store.conftest import Scenario


def test_a_job_has_one_queued_run_for_each_seed_claimed_in_their_order(scenario: Scenario) -> None:
    job = scenario.job(scenario.submit(scenario.spec(seeds=(7, 3, 5)), priority=2))
    assert job.state is JobState.queued
    assert [(link.run.seed, link.run.state, link.reused) for link in job.links] == [
        (seed, RunState.queued, False) for seed in (7, 3, 5)
    ]
    assert {link.run.priority for link in job.links} == {2}
    assert job.track_slug == "digits-b0-inc2-m50-convnet"
    assert JobSpec.model_validate(job.spec) == scenario.spec(seeds=(7, 3, 5))
    assert [scenario.claim().spec.seed for _ in range(3)] == [7, 3, 5]


def test_the_first_event_lists_the_submitted_runs(scenario: Scenario) -> None:
    job_id = scenario.submit(scenario.spec(seeds=(1, 2)))
    (event,) = scenario.events(job_id)
    assert (event.sequence, event.kind, event.run_id) == (1, "job_submitted", None)
    assert [run["seed"] for run in event.payload["runs"]] == [1, 2]


def test_a_run_that_succeeded_is_reused_and_the_job_is_done_at_once(scenario: Scenario) -> None:
    first = scenario.job(scenario.submit())
    scenario.complete_all()
    second = scenario.job(scenario.submit())
    assert second.state is JobState.succeeded
    assert second.finished_at is not None
    assert [link.reused for link in second.links] == [True] * 3
    assert [link.run_id for link in second.links] == [link.run_id for link in first.links]
    assert scenario.kinds(second.id) == ["job_submitted", "job_finished"]
    assert scenario.count(Run) == 3


def test_only_the_missing_seeds_are_executed(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1, 2)))
    scenario.complete_all()
    job_id = scenario.submit(scenario.spec(seeds=(2, 3)))
    assert [link.reused for link in scenario.job(job_id).links] == [True, False]
    assert scenario.job(job_id).state is JobState.running
    assert scenario.complete_all() == 1
    assert scenario.job(job_id).state is JobState.succeeded


def test_a_run_under_way_is_shared_and_tells_both_jobs(scenario: Scenario) -> None:
    first = scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    second = scenario.submit(scenario.spec(seeds=(1,)))
    assert scenario.job(second).state is JobState.running
    assert scenario.job(second).links[0].reused
    scenario.complete(claim)
    assert scenario.count(Run) == 1
    assert {scenario.job(job_id).state for job_id in (first, second)} == {JobState.succeeded}
    assert scenario.kinds(second)[1:] == scenario.kinds(first)[2:]


def test_sharing_a_queued_run_raises_its_priority_and_never_lowers_it(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)), priority=1)
    job = scenario.job(scenario.submit(scenario.spec(seeds=(1,)), priority=5))
    assert job.links[0].run.priority == 5
    job = scenario.job(scenario.submit(scenario.spec(seeds=(1,)), priority=0))
    assert job.links[0].run.priority == 5


def test_force_executes_finished_runs_again(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    scenario.complete_all()
    forced = [scenario.submit(scenario.spec(seeds=(1,)), force=True) for _ in range(2)]
    assert [scenario.job(job_id).links[0].reused for job_id in forced] == [False, False]
    assert scenario.count(Run) == 3
    assert scenario.complete_all() == 2


def test_a_run_that_failed_is_not_reused(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    scenario.fail(scenario.claim(), "internal")
    job = scenario.job(scenario.submit(scenario.spec(seeds=(1,))))
    assert (job.state, job.links[0].reused) == (JobState.queued, False)


def test_a_run_about_to_be_cancelled_is_not_shared(scenario: Scenario) -> None:
    first = scenario.submit(scenario.spec(seeds=(1,)))
    scenario.claim()
    scenario.cancel(first)
    job = scenario.job(scenario.submit(scenario.spec(seeds=(1,))))
    assert (job.state, job.links[0].reused) == (JobState.queued, False)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [({}, {"engine_version": "2"}), ({}, {"dataset_fingerprint": "a" * 64}), ({"temperature": 3.0}, {})],
    ids=["another engine", "other data", "another recipe"],
)
def test_a_change_that_affects_results_needs_a_new_run(
    scenario: Scenario, recipe: dict[str, object], options: dict[str, object]
) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    scenario.complete_all()
    job = scenario.job(scenario.submit(scenario.spec(seeds=(1,), **recipe), **options))
    assert not job.links[0].reused


def test_a_name_or_a_user_does_not_make_another_run(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    named = scenario.spec(seeds=(1,)).model_copy(update={"name": "again"})
    assert scenario.job(scenario.submit(named)).links[0].reused


def test_one_slug_cannot_stand_for_two_tracks(scenario: Scenario) -> None:
    scenario.submit()
    with scenario.database.transaction() as session:
        track = session.get_one(TrackRow, "digits-b0-inc2-m50-convnet")
        track.digest = "0" * 64
    with pytest.raises(ValueError, match="belongs to another track"):
        scenario.submit()


def test_the_position_in_the_queue_counts_what_goes_first(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1, 2)))
    low = scenario.submit(scenario.spec(seeds=(3,)))
    high = scenario.submit(scenario.spec(seeds=(4,)), priority=1)
    elsewhere = scenario.submit(scenario.spec(seeds=(5,)), queue="other")
    with scenario.database.reading() as session:
        assert [queue_position(session, job_id) for job_id in (high, low, elsewhere)] == [0, 3, 0]
    scenario.complete_all()
    with scenario.database.reading() as session:
        assert queue_position(session, low) is None
