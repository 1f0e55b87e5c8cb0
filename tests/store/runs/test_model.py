"""The run state machine under random histories.

They have several workers, crashes between any two statements, expired leases, replays, drains and
cancellations.
Hypothesis drives the real functions on a real database; a second connection (`tests/store/observer.py`) reads
rows.
A fenced-out worker does not know it and tries everything all the same. Time passes by moving the lease
columns into
the past of the database's clock. Each rule predicts its outcome; `promises` checks the invariants after every
step.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from store import runs
from store.database.errors import AlreadyTerminal, ResultConflict
from store.database.states import FailureClass, RunState
from tests.store.observer import PostgresqlObserver, Row, SqliteObserver
from tests.store.runs.promises import PromisedHistories

if TYPE_CHECKING:
    from tests.conftest import Databases
    from tests.store.conftest import EventsOf, Scenario

STEPS = 50
WORKERS = [runs.WorkerOffer(f"worker-{number}", "cil", "cpu") for number in range(3)]
MAX_ATTEMPTS = runs.DEFAULT_POLICY.max_attempts

FAILURES = [*FailureClass, *[FailureClass.infrastructure] * 4, *[FailureClass.hung] * 3]

crashes = st.one_of(st.none(), st.none(), st.none(), st.integers(1, 12))
"""After which statement of its transaction the process dies, if it does."""


class Histories(PromisedHistories):
    """One random history on one database."""

    claims = Bundle("claims")
    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.observer.empty()
        self.rows = self.observer.rows
        self.ended: dict[str, Row] = {}
        self.fencing: dict[str, int] = {}

    @rule(
        target=jobs,
        method=st.sampled_from(["icarl", "finetune"]),
        seeds=st.sets(st.integers(1, 2), min_size=1),
        force=st.booleans(),
        crash=crashes,
    )
    def submit(
        self, method: str, seeds: set[int], force: bool, crash: int | None
    ) -> MultipleResults[str] | str:
        spec = self.scenario.spec(method, tuple(sorted(seeds)))
        job = self.transact(
            lambda session: runs.submit(session, spec, user_id=None, engine_version="1", force=force).id,
            crash,
        )
        return job if job is not None else multiple()

    @rule(target=claims, worker=st.sampled_from(WORKERS), crash=crashes)
    def claim(self, worker: runs.WorkerOffer, crash: int | None) -> MultipleResults[runs.Claim] | runs.Claim:
        ready = self.rows(f"SELECT id FROM runs WHERE state = 'queued' AND not_before <= {self.observer.now}")
        claim = self.transact(lambda session: runs.claim(session, worker, timedelta(minutes=10)), crash)
        assert crash is not None or (claim is not None) == bool(ready)
        return claim if claim is not None else multiple()

    @rule(target=claims, worker=st.sampled_from(WORKERS))
    def another_takes_over(self, worker: runs.WorkerOffer) -> MultipleResults[runs.Claim] | runs.Claim:
        """A run is lost and claimed again while its old worker knows nothing of it: rare otherwise."""
        self.leases_run_out()
        self.reap(None)
        self.back_offs_pass()
        return self.claim(worker, None)

    @rule(claim=claims, crash=crashes)
    def heartbeat(self, claim: runs.Claim, crash: int | None) -> None:
        run = self.held(claim)
        answer = self.transact(lambda session: runs.heartbeat(session, claim, timedelta(minutes=10)), crash)
        assert answer is None or answer == runs.Heartbeat(
            held=run is not None, cancel_requested=bool(run and run["cancel_requested"])
        )

    @rule(claim=claims, resumed_at=st.integers(0, 3), crash=crashes)
    def start(self, claim: runs.Claim, resumed_at: int, crash: int | None) -> None:
        self.write(
            claim,
            lambda session: runs.record(session, claim, self.events_of.started(claim.spec, resumed_at)),
            crash,
        )

    @rule(claim=claims, task=st.integers(0, 2), crash=crashes)
    def tell_result(self, claim: runs.Claim, task: int, crash: int | None) -> None:
        self.write(
            claim,
            lambda session: runs.record(session, claim, self.events_of.evaluated(claim.spec, task), 1.0),
            crash,
        )

    @rule(claim=claims, crash=crashes)
    def work_to_the_end(self, claim: runs.Claim, crash: int | None) -> None:
        for task in range(self.scenario.tasks):
            if task == 0:
                self.start(claim, 0, None)
            self.tell_result(claim, task, None)
        self.finish(claim, crash)

    @rule(target=claims, worker=st.sampled_from(WORKERS))
    def an_able_worker(self, worker: runs.WorkerOffer) -> MultipleResults[runs.Claim] | runs.Claim:
        """What separate rules do too seldom: a run is claimed and finished."""
        self.back_offs_pass()
        claim = self.claim(worker, None)
        if isinstance(claim, runs.Claim):
            self.work_to_the_end(claim, None)
        return claim

    @rule(claim=claims, crash=crashes)
    def finish(self, claim: runs.Claim, crash: int | None) -> None:
        told = self.rows("SELECT DISTINCT task FROM task_results WHERE run_id = ?", claim.run_id)
        run = self.held(claim)
        is_complete = run is not None and run["task_sizes"] is not None and len(told) == self.scenario.tasks
        expected = ResultConflict if run is not None and not is_complete else None
        self.write(
            claim,
            lambda session: runs.finish(session, claim, self.events_of.finished(claim.spec), {}),
            crash,
            expected,
        )
        assert not is_complete or crash is not None or self.run_row(claim.run_id)["state"] == "succeeded"

    @rule(claim=claims, failure=st.sampled_from(FAILURES), crash=crashes)
    def fail(self, claim: runs.Claim, failure: FailureClass, crash: int | None) -> None:
        run = self.held(claim)
        expected = (
            ValueError if run and failure is FailureClass.cancelled and not run["cancel_requested"] else None
        )
        foretold = run and self.after_failure(run, failure)
        state = self.write(
            claim, lambda session: runs.fail(session, claim, failure, "it broke", {}), crash, expected
        )
        assert state is None or state is foretold

    @rule(claim=claims, crash=crashes)
    def release(self, claim: runs.Claim, crash: int | None) -> None:
        run = self.held(claim)
        state = self.write(claim, lambda session: runs.release(session, claim, "the worker stops"), crash)
        assert state is None or state is (
            RunState.cancelled if run and run["cancel_requested"] else RunState.queued
        )

    @rule(job_id=jobs, crash=crashes)
    def cancel(self, job_id: str, crash: int | None) -> None:
        (job,) = self.rows("SELECT * FROM jobs WHERE id = ?", job_id)
        has_ended = job["finished_at"] is not None
        before = self.everything() if has_ended else None
        with pytest.raises(AlreadyTerminal) if has_ended and crash is None else nullcontext():
            self.transact(lambda session: runs.cancel(session, job_id).id, crash)
        assert before is None or self.everything() == before

    @rule()
    def leases_run_out(self) -> None:
        self.observer.execute(f"UPDATE runs SET lease_until = {self.observer.past} WHERE state = 'running'")

    @rule()
    def back_offs_pass(self) -> None:
        self.observer.execute(f"UPDATE runs SET not_before = {self.observer.past} WHERE state = 'queued'")

    @rule(crash=crashes)
    def reap(self, crash: int | None) -> None:
        lost = self.rows(f"SELECT * FROM runs WHERE state = 'running' AND lease_until < {self.observer.now}")
        foretold = {run["id"]: self.after_failure(run, FailureClass.infrastructure) for run in lost}
        reaped = self.transact(runs.reap, crash)
        if reaped is not None:
            ended = {
                RunState.queued: reaped.requeued,
                RunState.dead: reaped.dead,
                RunState.cancelled: reaped.cancelled,
            }
            assert {run_id: state for state, run_ids in ended.items() for run_id in run_ids} == foretold


def run_histories(machine: type[Histories], examples: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.timeout(900)  # seconds on a machine of its own; minutes on a crowded one
@pytest.mark.parametrize(("kind", "examples", "least"), [("sqlite", 270, 10_000), ("postgresql", 60, 2_000)])
def test_random_histories_break_no_promise(
    databases: Databases,
    scenario_of: type[Scenario],
    events_of: type[EventsOf],
    tmp_path: Path,
    kind: str,
    examples: int,
    least: int,
) -> None:
    with databases.url(kind) as url, databases.opened(url) as database:
        observer = SqliteObserver(database, tmp_path) if kind == "sqlite" else PostgresqlObserver(database)
        given = {
            "database": database,
            "observer": observer,
            "scenario": scenario_of(database),
            "events_of": events_of,
            "steps": 0,
        }
        machine = type("GivenHistories", (Histories,), given)
        run_histories(machine, examples)
        observer.close()
    assert machine.steps >= least
