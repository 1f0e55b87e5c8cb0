"""What must never happen is refused by the database itself: here somebody writes SQL past all our code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import exc, text

from store.database.states import FailureClass, RunState

if TYPE_CHECKING:
    from tests.store.conftest import Scenario

ENDINGS = ("succeeded", "failed", "cancelled", "dead")
RESULT = (
    "INSERT INTO task_results SELECT run_id, 4, classifier, {attempt}, known, seen, test_images, correct, "
    "correct_top5, footprint, diagnostics, seconds, created_at"
)


@pytest.fixture
def ended(scenario: Scenario) -> dict[str, str]:
    """A job and a run in each terminal state, by that state."""
    jobs = {state: scenario.submit(scenario.spec(seeds=(seed,))) for seed, state in enumerate(ENDINGS)}
    runs = {state: scenario.job(job_id).links[0].run_id for state, job_id in jobs.items()}
    scenario.cancel(jobs["cancelled"])
    scenario.complete(scenario.claim())
    scenario.fail(scenario.claim(), FailureClass.internal)
    for _ in range(3):
        scenario.let_back_off_pass(runs["dead"])
        scenario.lose(scenario.claim())
    assert {state: scenario.run(run_id).state for state, run_id in runs.items()} == {
        state: RunState(state) for state in ENDINGS
    }
    return runs


def execute(scenario: Scenario, statement: str, **values: object) -> None:
    with scenario.database.transaction() as session:
        session.execute(text(statement), values)


@pytest.mark.parametrize("state", ENDINGS)
def test_a_terminal_run_never_changes(scenario: Scenario, ended: dict[str, str], state: str) -> None:
    for change in (
        "state = 'queued', finished_at = NULL",
        "attempt = 9",
        "message = 'rewritten'",
        "matrix_digest = 'x'",
    ):
        with pytest.raises(exc.IntegrityError, match="a terminal run never changes"):
            execute(scenario, f"UPDATE runs SET {change} WHERE id = :id", id=ended[state])


def test_a_terminal_job_never_changes(scenario: Scenario, ended: dict[str, str]) -> None:
    with pytest.raises(exc.IntegrityError, match="a terminal job never changes"):
        execute(scenario, "UPDATE jobs SET state = 'running', finished_at = NULL")
    with pytest.raises(exc.IntegrityError, match="a terminal job never changes"):
        execute(scenario, "UPDATE jobs SET last_sequence = 100")


def test_events_are_append_only(scenario: Scenario, ended: dict[str, str]) -> None:
    for statement in ("UPDATE events SET kind = 'nothing'", "DELETE FROM events"):
        with pytest.raises(exc.IntegrityError, match="events are append-only"):
            execute(scenario, statement)


def test_results_stay_as_they_were_recorded(scenario: Scenario, ended: dict[str, str]) -> None:
    with pytest.raises(exc.IntegrityError, match="a recorded result never changes"):
        execute(scenario, "UPDATE task_results SET correct = '[1]'")
    with pytest.raises(exc.IntegrityError, match="the results of a terminal run are kept"):
        execute(scenario, "DELETE FROM task_results")


def test_only_the_holder_inserts_results(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    claim = scenario.claim()
    scenario.start(claim)
    scenario.evaluate(claim, 0)
    with pytest.raises(exc.IntegrityError, match="only the attempt that holds a run"):
        execute(scenario, RESULT.format(attempt=2) + " FROM task_results")
    scenario.release(claim)
    with pytest.raises(exc.IntegrityError, match="only the attempt that holds a run"):
        execute(scenario, RESULT.format(attempt=1) + " FROM task_results")


def test_the_fencing_number_never_falls(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    scenario.release(scenario.claim())
    with pytest.raises(exc.IntegrityError, match="the fencing number of a run never falls"):
        execute(scenario, "UPDATE runs SET attempt = 0")


@pytest.mark.parametrize(
    "change",
    [
        "lease_until = NULL",
        "worker_id = NULL",
        "state = 'queued'",
        "state = 'succeeded'",
        "state = 'unheard'",
        "charged = 7",
        "charged = -1",
    ],
)
def test_a_running_run_has_a_lease_and_a_queued_one_has_none(scenario: Scenario, change: str) -> None:
    scenario.submit(scenario.spec(seeds=(1,)))
    scenario.claim()
    with pytest.raises((exc.IntegrityError, exc.DataError)):
        execute(scenario, f"UPDATE runs SET {change}")


def test_one_key_has_one_live_run(scenario: Scenario) -> None:
    scenario.submit(scenario.spec(seeds=(1, 2)))
    with pytest.raises(exc.IntegrityError):
        execute(scenario, "UPDATE runs SET key = 'the same'")
