"""Recording what a run reports: events, results, success, and everything that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cil_core.spec.events import Counts, EpochFinished, RunFinished
from store import runs
from store.database.errors import LeaseLost, ResultConflict
from store.database.models import Event, Run, Summary, TaskResult
from store.database.states import AttemptOutcome, FailureClass, JobState, RunState
from store.runs.summaries import summarize

if TYPE_CHECKING:
    from tests.store.conftest import EventsOf, Scenario


@pytest.fixture
def claim(scenario: Scenario) -> runs.Claim:
    """The only run of a job, claimed."""
    scenario.submit(scenario.spec(seeds=(1,)))
    return scenario.claim()


def test_a_run_that_tells_everything_succeeds(scenario: Scenario, claim: runs.Claim) -> None:
    scenario.complete(claim)
    run = scenario.run(claim.run_id)
    assert (run.state, run.worker_id, run.lease_until, run.failure, run.message) == (
        RunState.succeeded,
        None,
        None,
        None,
        None,
    )
    assert run.environment == {"host": "here"}
    assert (run.device, run.task_sizes) == ("cpu", [2] * 3)
    assert [(attempt.outcome, attempt.ended_at is not None) for attempt in run.attempts] == [
        (AttemptOutcome.succeeded, True)
    ]
    assert len(run.results) == 2 * scenario.tasks
    assert scenario.job(claim.job_id).state is JobState.succeeded


def test_the_summaries_say_what_the_results_say(scenario: Scenario, claim: runs.Claim) -> None:
    scenario.complete(claim)
    run = scenario.run(claim.run_id)
    recomputed = summarize(run.results)
    assert {summary.classifier: summary.metrics for summary in run.summaries} == {
        name: one.model_dump(mode="json") for name, one in recomputed.items()
    }
    for summary in run.summaries:
        metrics = recomputed[summary.classifier]
        assert (summary.average_accuracy, summary.last_accuracy, summary.forgetting) == (
            metrics.average_accuracy,
            metrics.last_accuracy,
            metrics.forgetting,
        )
        assert (summary.parameters, summary.exemplars, summary.train_seconds) == (1002, 50, 6.0)
    assert {summary.classifier: summary.ranking for summary in run.summaries} == {
        "linear": False,
        "nme": True,
    }


def test_events_tell_the_story_in_order(scenario: Scenario, claim: runs.Claim) -> None:
    scenario.start(claim)
    scenario.evaluate(claim, 0)
    with scenario.database.transaction() as session:
        runs.record(
            session,
            claim,
            EpochFinished(task=1, phase="learn", epoch=0, epochs=3, lr=0.1, losses={"ce": 1.5}),
        )
    assert scenario.kinds(claim.job_id) == [
        "job_submitted",
        "run_claimed",
        "run_started",
        "task_evaluated",
        "epoch_finished",
    ]
    events = scenario.events(claim.job_id)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert events[3].payload["seconds"] == 2.0
    assert events[4].payload["losses"] == {"ce": 1.5}
    assert {event.payload["attempt"] for event in events[1:]} == {1}


def test_recording_the_same_result_again_changes_nothing(scenario: Scenario, claim: runs.Claim) -> None:
    scenario.start(claim)
    scenario.evaluate(claim, 0)
    before = scenario.count(Event), scenario.count(TaskResult)
    scenario.evaluate(claim, 0, seconds=None)
    assert (scenario.count(Event), scenario.count(TaskResult)) == before
    assert {row.seconds for row in scenario.run(claim.run_id).results} == {2.0}


@pytest.mark.parametrize(
    "change",
    [
        {"test_images": (99,)},
        {
            "results": {
                "linear": Counts(correct=(1,), correct_top5=(1,)),
                "nme": Counts(correct=(1,), correct_top5=(1,)),
            }
        },
        {"results": {"linear": Counts(correct=(89,), correct_top5=(100,))}},
    ],
    ids=["other images", "other counts", "a classifier missing"],
)
def test_a_task_cannot_have_two_results(
    scenario: Scenario, events_of: type[EventsOf], claim: runs.Claim, change: dict[str, Any]
) -> None:
    scenario.start(claim)
    scenario.evaluate(claim, 0)
    other = events_of.evaluated(claim.spec, 0).model_copy(update=change)
    with (
        pytest.raises(ResultConflict, match=r"reports other counts for task 0 than attempt 1 recorded"),
        scenario.database.transaction() as session,
    ):
        runs.record(session, claim, other, 1.0)
    assert scenario.count(TaskResult) == 2


def test_a_resumed_attempt_keeps_what_is_finished_and_tells_it_again(
    scenario: Scenario, claim: runs.Claim
) -> None:
    scenario.start(claim)
    for task in (0, 1):
        scenario.evaluate(claim, task)
    scenario.lose(claim)
    scenario.let_back_off_pass(claim.run_id)
    again = scenario.claim()
    scenario.complete(again, resumed_at=2)
    assert [
        (row.task, row.attempt) for row in scenario.run(claim.run_id).results if row.classifier == "nme"
    ] == [(0, 1), (1, 1), (2, 2)]
    assert scenario.kinds(claim.job_id).count("task_evaluated") == scenario.tasks


def test_an_attempt_that_starts_over_discards_what_it_will_train_again_and_says_so(
    scenario: Scenario, claim: runs.Claim
) -> None:
    scenario.start(claim)
    for task in range(3):
        scenario.evaluate(claim, task)
    scenario.lose(claim)
    scenario.let_back_off_pass(claim.run_id)
    again = scenario.claim()
    scenario.start(again, resumed_at=1, device="cuda:0")
    assert {row.task for row in scenario.run(claim.run_id).results} == {0}
    assert scenario.events(claim.job_id)[-1].payload["discarded_tasks"] == [1, 2]
    assert scenario.run(claim.run_id).device == "cuda:0"


def test_a_run_queued_before_an_upgrade_counts_as_what_executed_it(
    scenario: Scenario, claim: runs.Claim
) -> None:
    before = scenario.run(claim.run_id)
    scenario.start(claim, engine_version="2")
    after = scenario.run(claim.run_id)
    assert (after.engine_version, after.key != before.key, after.entry_id != before.entry_id) == (
        "2",
        True,
        True,
    )
    for task in range(scenario.tasks):
        scenario.evaluate(claim, task)
    scenario.finish(claim)
    assert (
        scenario.job(scenario.submit(scenario.spec(seeds=(1,)), engine_version="2")).links[0].run_id
        == claim.run_id
    )
    assert (
        scenario.job(scenario.submit(scenario.spec(seeds=(1,)), engine_version="1")).links[0].run_id
        != claim.run_id
    )


def test_a_worker_with_other_data_than_registered_is_refused(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(9,)), dataset_fingerprint="a" * 64)
    claim = scenario.claim()
    assert claim.dataset_fingerprint == "a" * 64
    with pytest.raises(ResultConflict, match="the run needs aaaa"):
        scenario.start(claim)


def test_a_run_with_a_task_missing_cannot_succeed(scenario: Scenario, claim: runs.Claim) -> None:
    scenario.start(claim)
    for task in (0, 2):
        scenario.evaluate(claim, task)
    with pytest.raises(ResultConflict, match="results of the tasks"):
        scenario.finish(claim)
    assert scenario.run(claim.run_id).state is RunState.running


def test_a_run_cannot_succeed_with_counts_the_engine_did_not_count(
    scenario: Scenario, claim: runs.Claim
) -> None:
    scenario.start(claim)
    for task in range(scenario.tasks):
        scenario.evaluate(claim, task)
    with pytest.raises(ResultConflict, match="digest"), scenario.database.transaction() as session:
        runs.finish(session, claim, RunFinished(matrix_digest="0" * 64), {})
    assert scenario.run(claim.run_id).state is RunState.running
    assert scenario.count(Summary) == 0


def test_the_end_of_a_run_is_not_recorded_without_its_success(
    scenario: Scenario, events_of: type[EventsOf], claim: runs.Claim
) -> None:
    with pytest.raises(TypeError, match="finish"), scenario.database.transaction() as session:
        runs.record(session, claim, events_of.finished(claim.spec))


def test_a_fenced_out_writer_changes_nothing(
    scenario: Scenario, events_of: type[EventsOf], claim: runs.Claim
) -> None:
    scenario.start(claim)
    scenario.evaluate(claim, 0)
    scenario.lose(claim)
    scenario.let_back_off_pass(claim.run_id)
    scenario.claim()
    before = _everything(scenario)
    writes = (
        lambda session: runs.record(session, claim, events_of.started(claim.spec)),
        lambda session: runs.record(session, claim, events_of.evaluated(claim.spec, 1), 1.0),
        lambda session: runs.finish(session, claim, events_of.finished(claim.spec), {}),
        lambda session: runs.fail(session, claim, FailureClass.internal, "late", {}),
        lambda session: runs.release(session, claim, "late"),
    )
    for write in writes:
        with (
            pytest.raises(LeaseLost, match="attempt 1 no longer holds"),
            scenario.database.transaction() as session,
        ):
            write(session)
    assert _everything(scenario) == before


def test_a_later_run_of_a_seed_replaces_the_earlier_one_in_its_entry(
    scenario: Scenario, claim: runs.Claim
) -> None:
    scenario.complete(claim)
    for _ in range(2):
        scenario.submit(scenario.spec(seeds=(1,)), force=True)
        last = scenario.claim()
        scenario.complete(last)
    with scenario.database.reading() as session:
        counted = {summary.run_id for summary in session.query(Summary).where(Summary.counted)}
    assert counted == {last.run_id}
    assert scenario.count(Summary) == 6


def _everything(scenario: Scenario) -> list[list[tuple[Any, ...]]]:
    with scenario.database.reading() as session:
        return [
            sorted(
                tuple(str(getattr(row, column.name)) for column in model.__table__.columns)
                for row in session.query(model)
            )
            for model in (Run, TaskResult, Event, Summary)
        ]
