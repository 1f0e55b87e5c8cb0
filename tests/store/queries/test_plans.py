"""What is asked often never reads through the runs or their results: the databases' own plans say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from cil_core.spec.jobs import JobSpec
from store import runs
from store.database.session import Database
from store.database.states import JobState
from store.leaderboard.leaderboard import entries
from store.leaderboard.reported import reported_results_on
from store.leaderboard.tracks import list_tracks, revision
from store.queries import counts
from store.queries.jobs import EVERY_JOB, JobFilter, get_job, list_jobs
from store.queries.positions import queue_position
from store.queries.queues import unclaimed_queues
from store.queries.runs import wanted_by
from store.runs.events import losses
from store.runs.replays import lineage
from store.runs.workers import list_workers

if TYPE_CHECKING:
    from tests.store.conftest import Scenario

TRACK = "digits-b0-inc2-m50-convnet"
MINUTE = timedelta(minutes=1)
SPEC = JobSpec.model_validate({"method": {"name": "icarl"}, "track": TRACK, "seeds": [1, 2, 5]})
BIG = {"runs", "task_results", "summaries", "job_runs", "events", "attempts", "jobs"}

QUESTIONS: dict[str, Callable[[Session, str], Any]] = {
    "claim": lambda session, _: runs.claim(session, runs.WorkerOffer("w", "cil", "cpu"), MINUTE),
    "claim with data": lambda session, _: runs.claim(
        session, runs.WorkerOffer("w", "cil", "cpu", frozenset({"digits"})), MINUTE
    ),
    "submit again": lambda session, _: runs.submit(session, SPEC, user_id=None, engine_version="1"),
    "reap": lambda session, _: runs.reap(session),
    "queues to ring": lambda session, _: unclaimed_queues(session, MINUTE),
    "queue position": queue_position,
    "leaderboard": lambda session, _: entries(session, TRACK),
    "leaderboard of a classifier": lambda session, _: entries(session, TRACK, "linear", sort="forgetting"),
    "tracks": lambda session, _: list_tracks(session),
    "revision": lambda session, _: revision(session, TRACK),
    "best of each method": lambda session, _: entries(
        session, TRACK, sort="harmonic_accuracy", best_per_method=True
    ),
    "losses": lambda session, job_id: losses(session, get_job(session, job_id).links[0].run_id),
    "jobs of a run": lambda session, job_id: wanted_by(session, get_job(session, job_id).links[0].run_id),
    "a run's family": lambda session, job_id: lineage(session, get_job(session, job_id).links[0].run_id),
    "what ended lately": lambda session, _: (
        counts.recently_ended_runs(session),
        counts.recently_ended_attempts(session),
        counts.recent_memory_peaks(session),
    ),
    "reported on a track": lambda session, _: reported_results_on(session, TRACK),
    "jobs": lambda session, _: list_jobs(session, EVERY_JOB),
    "jobs in a state": lambda session, _: list_jobs(session, JobFilter(state=JobState.queued)),
    "jobs of a method": lambda session, _: list_jobs(session, JobFilter(method="icarl")),
    "jobs on a track": lambda session, _: list_jobs(session, JobFilter(track=TRACK)),
    "jobs of a user": lambda session, _: list_jobs(session, JobFilter(user="usr_x")),
    "workers": lambda session, _: list_workers(session),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_is_answered_from_indexes(scenario: Scenario, question: str) -> None:
    scenario.submit()
    scenario.complete_all()
    job_id = scenario.submit(scenario.spec(seeds=(4, 5, 6)))
    scenario.claim()
    with statements(scenario.database) as asked, scenario.database.transaction() as session:
        QUESTIONS[question](session, job_id)
    assert asked
    with scenario.database.engine.connect() as connection:
        scans = {
            statement: table
            for statement, values in asked
            for table in scanned(connection, statement, values)
            if table in BIG
        }
    assert not scans


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Every SELECT, UPDATE and DELETE that is sent meanwhile, with its values."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield asked
    event.remove(database.engine, "before_cursor_execute", note)


def scanned(connection: Connection, statement: str, values: Any) -> list[str]:
    """The tables this statement reads from end to end."""
    if connection.dialect.name == "sqlite":
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        return [line.split()[1] for line in plan if line.startswith("SCAN ") and "INDEX" not in line]
    connection.exec_driver_sql(
        "SET enable_seqscan = off"
    )  # on tables this small PostgreSQL would read everything for good reason
    plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]
    return [line.split(" on ")[1].split()[0] for line in plan if "Seq Scan on " in line]
