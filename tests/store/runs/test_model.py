"""The run state machine under random histories: several workers, crashes between any two statements, expired leases, replays, drains, cancellations.

Hypothesis drives the real functions on a real database; a second connection (`tests/store/beside.py`) looks at the rows. A worker that was fenced out
does not know it, and tries everything all the same. Time passes by moving the lease columns into the past of the database's clock. Each rule foretells
what must happen; `promises` says what must hold after every step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event
from sqlalchemy.orm import Session

from store import runs
from store.database.errors import AlreadyTerminal, LeaseLost, ResultConflict
from store.database.session import Database
from store.database.states import FailureClass, RunState
from store.runs.failures import RETRIED
from store.runs.job_state import sum_of
from tests.store.beside import TABLES, Beside, BesidePostgresql, BesideSqlite, Row

if TYPE_CHECKING:
    from tests.conftest import Databases
    from tests.store.conftest import EventsOf, Scenario

STEPS = 50
WORKERS = [runs.WorkerOffer(f"worker-{number}", "cil", "cpu") for number in range(3)]
MAX_ATTEMPTS = runs.DEFAULT_POLICY.max_attempts

FAILURES = [*FailureClass, *[FailureClass.infrastructure] * 4, *[FailureClass.hung] * 3]

crashes = st.one_of(st.none(), st.none(), st.none(), st.integers(1, 12))
"""After which statement of its transaction the process dies, if it does."""


class Crash(Exception):
    """The process dies in the middle of a transaction."""


class Histories(RuleBasedStateMachine):
    """One random history on one database."""

    database: Database
    beside: Beside
    scenario: Scenario
    events_of: type[EventsOf]
    steps = 0

    claims = Bundle("claims")
    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.beside.empty()
        self.rows = self.beside.rows
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
        ready = self.rows(f"SELECT id FROM runs WHERE state = 'queued' AND not_before <= {self.beside.now}")
        claim = self.transact(lambda session: runs.claim(session, worker, timedelta(minutes=10)), crash)
        assert crash is not None or (claim is not None) == bool(ready)
        return claim if claim is not None else multiple()

    @rule(target=claims, worker=st.sampled_from(WORKERS))
    def another_takes_over(self, worker: runs.WorkerOffer) -> MultipleResults[runs.Claim] | runs.Claim:
        """What separate rules do too seldom: a run is lost and claimed again, while its old worker knows nothing of it."""
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
        self.beside.execute(f"UPDATE runs SET lease_until = {self.beside.past} WHERE state = 'running'")

    @rule()
    def back_offs_pass(self) -> None:
        self.beside.execute(f"UPDATE runs SET not_before = {self.beside.past} WHERE state = 'queued'")

    @rule(crash=crashes)
    def reap(self, crash: int | None) -> None:
        lost = self.rows(f"SELECT * FROM runs WHERE state = 'running' AND lease_until < {self.beside.now}")
        foretold = {run["id"]: self.after_failure(run, FailureClass.infrastructure) for run in lost}
        reaped = self.transact(runs.reap, crash)
        if reaped is not None:
            ended = {
                RunState.queued: reaped.requeued,
                RunState.dead: reaped.dead,
                RunState.cancelled: reaped.cancelled,
            }
            assert {run_id: state for state, run_ids in ended.items() for run_id in run_ids} == foretold

    @invariant()
    def promises(self) -> None:
        if not hasattr(self, "ended"):
            return
        type(self).steps += 1
        attempts, links = (
            self.grouped("attempts", "run_id", "number"),
            self.grouped("job_runs", "run_id", "job_id"),
        )
        jobs = {job["id"]: job for job in self.rows("SELECT * FROM jobs")}
        states = {}
        for run in self.rows("SELECT * FROM runs"):
            states[run["id"]] = RunState(run["state"])
            self.check_run(run, attempts.get(run["id"], []))
            wanted = any(
                not link["withdrawn"] and jobs[link["job_id"]]["cancel_requested_at"] is None
                for link in links[run["id"]]
            )
            if states[run["id"]] is RunState.cancelled or (
                run["cancel_requested"] and not states[run["id"]].is_terminal
            ):
                assert not wanted
            else:  # a run that reached its end although it was to be cancelled may be used again
                assert wanted or states[run["id"]].is_terminal
        events, links = (
            self.grouped("events", "job_id", "sequence"),
            self.grouped("job_runs", "job_id", "run_id"),
        )
        for job_id, job in jobs.items():
            check_job(
                job,
                [
                    RunState.cancelled if link["withdrawn"] else states[link["run_id"]]
                    for link in links[job_id]
                ],
                events[job_id],
            )
        self.check_results(states)

    def check_run(self, run: Row, attempts: list[Row]) -> None:
        """Queued, leased or terminal; final when terminal; never tried too often."""
        state = RunState(run["state"])
        assert (
            (state is RunState.running) == (run["lease_until"] is not None) == (run["worker_id"] is not None)
        )
        assert (
            self.ended.setdefault(run["id"], run) == run if state.is_terminal else run["id"] not in self.ended
        )
        assert run["attempt"] >= self.fencing.get(run["id"], 0)
        self.fencing[run["id"]] = run["attempt"]
        assert [attempt["number"] for attempt in attempts] == list(range(1, run["attempt"] + 1))
        assert [attempt["outcome"] for attempt in attempts].count("running") == (state is RunState.running)
        assert run["charged"] == sum(attempt["outcome"] != "released" for attempt in attempts) <= MAX_ATTEMPTS

    def check_results(self, states: dict[str, RunState]) -> None:
        """At most one result for a run, task and classifier, and no other than its seed's; a success has all of them."""
        seeds = {run["id"]: run["seed"] for run in self.rows("SELECT id, seed FROM runs")}
        results = self.rows("SELECT * FROM task_results")
        assert len({(row["run_id"], row["task"], row["classifier"]) for row in results}) == len(results)
        for row in results:
            assert decoded(row["correct"]) == list(
                self.events_of.counts(seeds[row["run_id"]], row["task"], row["classifier"])
            )
        summaries = self.rows("SELECT * FROM summaries")
        assert {row["run_id"] for row in summaries} == {
            run_id for run_id, state in states.items() if state is RunState.succeeded
        }
        for run_id in {row["run_id"] for row in summaries}:
            assert {row["task"] for row in results if row["run_id"] == run_id} == set(
                range(self.scenario.tasks)
            )
        counted = [(row["entry_id"], row["seed"], row["classifier"]) for row in summaries if row["counted"]]
        assert (
            len(counted)
            == len(set(counted))
            == len({(row["entry_id"], row["seed"], row["classifier"]) for row in summaries})
        )

    def after_failure(self, run: Row, failure: FailureClass) -> RunState:
        """Where a held run goes when its attempt ends like this."""
        if failure not in RETRIED | {FailureClass.cancelled}:
            return RunState.failed
        if run["cancel_requested"] or failure is FailureClass.cancelled:
            return RunState.cancelled
        hung_before = self.rows("SELECT 1 FROM attempts WHERE run_id = ? AND failure = 'hung'", run["id"])
        return (
            RunState.dead
            if run["charged"] >= MAX_ATTEMPTS or (failure is FailureClass.hung and hung_before)
            else RunState.queued
        )

    def write(
        self,
        claim: runs.Claim,
        verb: Callable[[Session], Any],
        crash: int | None,
        expected: type[Exception] | None = None,
    ) -> Any:
        """A fenced write: refused without a trace if the attempt lost its run."""
        if self.held(claim) is None:
            expected = LeaseLost
        if expected is None:
            return self.transact(verb, crash)
        before = self.everything()
        with pytest.raises(expected):
            self.transact(verb, None)
        assert self.everything() == before
        return None

    def transact(self, verb: Callable[[Session], Any], crash: int | None) -> Any:
        """One transaction, as its caller would make it; None, and no trace, if the process dies in it."""
        if crash is None:
            with self.database.transaction() as session:
                return verb(session)
        before = self.everything()
        try:
            with self.database.transaction() as session, dying_after(self.database, crash):
                verb(session)
                raise Crash
        except (Crash, AlreadyTerminal):
            assert self.everything() == before
        return None

    def held(self, claim: runs.Claim) -> Row | None:
        """The run, if this attempt holds it."""
        run = self.run_row(claim.run_id)
        return run if run["state"] == "running" and run["attempt"] == claim.attempt else None

    def run_row(self, run_id: str) -> Row:
        (run,) = self.rows("SELECT * FROM runs WHERE id = ?", run_id)
        return run

    def everything(self) -> list[list[Row]]:
        return [self.beside.table(table) for table in TABLES]

    def grouped(self, table: str, by: str, order: str) -> dict[str, list[Row]]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows(f"SELECT * FROM {table} ORDER BY {order}"):
            groups.setdefault(row[by], []).append(row)
        return groups


def decoded(value: Any) -> Any:
    """A JSON column, which SQLite gives as text."""
    return json.loads(value) if isinstance(value, str) else value


def check_job(job: Row, runs_of_it: list[RunState], events: list[Row]) -> None:
    """The sum of its runs, with a journal that has no gaps and ends when the job does."""
    assert job["state"] == sum_of(runs_of_it)
    assert [event["sequence"] for event in events] == list(range(1, job["last_sequence"] + 1))
    finished = [event["sequence"] for event in events if event["kind"] == "job_finished"]
    assert finished == ([len(events)] if job["finished_at"] is not None else [])


@contextmanager
def dying_after(database: Database, statements: int) -> Iterator[None]:
    """Die before the statement after this many."""
    left = statements

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash

    event.listen(database.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", count)


def run_histories(machine: type[Histories], examples: int) -> None:
    chosen = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None, print_blob=True,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
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
        beside = BesideSqlite(database, tmp_path) if kind == "sqlite" else BesidePostgresql(database)
        given = {
            "database": database,
            "beside": beside,
            "scenario": scenario_of(database),
            "events_of": events_of,
            "steps": 0,
        }
        machine = type("GivenHistories", (Histories,), given)
        run_histories(machine, examples)
        beside.close()
    assert machine.steps >= least
