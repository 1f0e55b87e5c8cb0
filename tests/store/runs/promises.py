"""The promises of the run state machine, checked on a second connection after every step of a history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy import event
from sqlalchemy.orm import Session

from store import runs
from store.database.errors import AlreadyTerminal, LeaseLost
from store.database.session import Database
from store.database.states import FailureClass, RunState
from store.runs.failures import RETRIED
from store.runs.job_state import job_state_of
from tests.store.observer import TABLES, Observer, Row

if TYPE_CHECKING:
    from tests.store.conftest import EventsOf, Scenario

MAX_ATTEMPTS = runs.DEFAULT_POLICY.max_attempts


class Crash(Exception):
    """The process dies in the middle of a transaction."""


class PromisedHistories(RuleBasedStateMachine):
    """Transactions of a history, some of which crash, and what must hold after each."""

    database: Database
    observer: Observer
    scenario: Scenario
    events_of: type[EventsOf]
    steps = 0
    rows: Callable[..., list[Row]]
    ended: dict[str, Row]
    fencing: dict[str, int]

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
        """At most one result per run, task and classifier, with the counts of its seed. A success has all."""
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
        return [self.observer.table(table) for table in TABLES]

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
    assert job["state"] == job_state_of(runs_of_it)
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
