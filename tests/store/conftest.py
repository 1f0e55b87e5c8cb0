"""Runs as a worker reports them, without training.

Counts follow from the seed, so that equal runs have equal results.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from cil_core.spec.events import Counts, Footprint, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.jobs import JobSpec, RunSpec
from cil_core.spec.metrics import matrix_digest
from cil_core.spec.recipes import BY_NAME
from store import runs
from store.database.base import Base
from store.database.clock import now
from store.database.models import Event, Job, Run
from store.database.session import Database
from store.queries.jobs import get_job
from store.queries.runs import get_run
from store.runs.events import job_events

LEASE = timedelta(seconds=60)
TASKS = 3
IMAGES = 100


class Scenario:
    """The steps of most tests, one method each."""

    lease = LEASE
    tasks = TASKS
    worker = runs.WorkerOffer("worker-1", "cil", "cpu")

    def __init__(self, database: Database) -> None:
        self.database = database

    @staticmethod
    def spec(
        method: str = "icarl",
        seeds: tuple[int, ...] = (1, 2, 3),
        track: str = "digits-b0-inc2-m50-convnet",
        **recipe: object,
    ) -> JobSpec:
        return JobSpec.model_validate({"method": {"name": method, **recipe}, "track": track, "seeds": seeds})

    def submit(self, spec: JobSpec | None = None, user_id: str | None = None, **options: object) -> str:
        with self.database.transaction() as session:
            return runs.submit(
                session, spec or self.spec(), user_id=user_id, **{"engine_version": "1", **options}
            ).id

    def claim(self, worker: runs.WorkerOffer = worker, lease: timedelta = LEASE) -> runs.Claim:
        claim = self.try_claim(worker, lease)
        assert claim is not None, "nothing to claim"
        return claim

    def try_claim(self, worker: runs.WorkerOffer = worker, lease: timedelta = LEASE) -> runs.Claim | None:
        with self.database.transaction() as session:
            return runs.claim(session, worker, lease)

    def start(
        self, claim: runs.Claim, resumed_at: int = 0, engine_version: str = "1", device: str = "cpu"
    ) -> None:
        with self.database.transaction() as session:
            runs.record(session, claim, started(claim.spec, resumed_at, engine_version, device))

    def evaluate(self, claim: runs.Claim, task: int, seconds: float | None = 2.0) -> None:
        with self.database.transaction() as session:
            runs.record(session, claim, evaluated(claim.spec, task), seconds)

    def finish(self, claim: runs.Claim) -> None:
        with self.database.transaction() as session:
            runs.finish(session, claim, finished(claim.spec), {"host": "here"})

    def fail(
        self,
        claim: runs.Claim,
        failure: runs.FailureClass,
        message: str = "it broke",
        evidence: dict[str, object] | None = None,
    ) -> runs.RunState:
        with self.database.transaction() as session:
            return runs.fail(session, claim, failure, message, evidence or {"log": ["last line"]})

    def expire(self, run_id: str) -> None:
        """Let the lease of a running run lie in the past, by the database's clock."""
        self._shift(run_id, Run.lease_until)

    def let_back_off_pass(self, run_id: str) -> None:
        self._shift(run_id, Run.not_before)

    def _shift(
        self, run_id: str, column: InstrumentedAttribute[datetime | None] | InstrumentedAttribute[datetime]
    ) -> None:
        with self.database.transaction() as session:
            session.execute(update(Run).where(Run.id == run_id).values({column: now(-timedelta(hours=1))}))

    def reap(self) -> runs.Reaped:
        with self.database.transaction() as session:
            return runs.reap(session)

    def lose(self, claim: runs.Claim) -> runs.RunState:
        """The worker dies, its lease expires and a reaper notices."""
        self.expire(claim.run_id)
        self.reap()
        return self.run(claim.run_id).state

    def release(self, claim: runs.Claim) -> runs.RunState:
        with self.database.transaction() as session:
            return runs.release(session, claim, "the worker stops")

    def cancel(self, job_id: str) -> Job:
        with self.database.transaction() as session:
            return runs.cancel(session, job_id)

    def job(self, job_id: str) -> Job:
        with self.database.reading() as session:
            return get_job(session, job_id)

    def run(self, run_id: str) -> Run:
        with self.database.reading() as session:
            return get_run(session, run_id)

    def events(self, job_id: str) -> list[Event]:
        with self.database.reading() as session:
            return job_events(session, job_id)

    def kinds(self, job_id: str) -> list[str]:
        return [event.kind for event in self.events(job_id)]

    def count(self, model: type[Base], *conditions: ColumnElement[bool]) -> int:
        with self.database.reading() as session:
            return session.scalars(select(func.count()).select_from(model).where(*conditions)).one()

    def complete(self, claim: runs.Claim, resumed_at: int = 0) -> None:
        self.start(claim, resumed_at)
        for task in range(TASKS):
            self.evaluate(claim, task)
        self.finish(claim)

    def complete_all(self) -> int:
        done = 0
        while (claim := self.try_claim()) is not None:
            self.complete(claim)
            done += 1
        return done


def counts(seed: int, task: int, classifier: str) -> tuple[int, ...]:
    """Correct predictions after `task`, on each task seen so far.

    Reproducible, and different for each classifier and each seed modulo 7.
    """
    bonus = 2 if classifier == "nme" else 0
    return tuple(90 - 3 * (task - column) - seed % 7 + bonus for column in range(task + 1))


def started(spec: RunSpec, resumed_at: int = 0, engine_version: str = "1", device: str = "cpu") -> RunStarted:
    return RunStarted(
        engine_version=engine_version,
        spec_digest=spec.digest(),
        device=device,
        dataset_fingerprint="f" * 64,
        task_sizes=(2,) * TASKS,
        class_order=tuple(range(2 * TASKS)),
        resumed_at=resumed_at,
    )


def evaluated(spec: RunSpec, task: int) -> TaskEvaluated:
    exemplars = 50 if BY_NAME[spec.method.name].uses_memory else 0
    return TaskEvaluated(
        task=task,
        known=2 * task,
        seen=2 * task + 2,
        test_images=(IMAGES,) * (task + 1),
        results={
            name: Counts(correct=counts(spec.seed, task, name), correct_top5=(IMAGES,) * (task + 1))
            for name in BY_NAME[spec.method.name].classifiers
        },
        footprint=Footprint(
            parameters=1000 + task,
            backbone_parameters=900,
            exemplars=exemplars,
            counted_bytes=3600 + 64 * exemplars,
            kept_bytes=8000,
        ),
    )


def finished(spec: RunSpec) -> RunFinished:
    rows = [
        {name: row.model_dump() for name, row in evaluated(spec, task).results.items()}
        for task in range(TASKS)
    ]
    return RunFinished(matrix_digest=matrix_digest(rows))


@pytest.fixture
def scenario(database: Database) -> Scenario:
    """The words, on each database."""
    return Scenario(database)


@pytest.fixture(scope="session")
def scenario_of() -> type[Scenario]:
    """The words, for a database the test opens itself."""
    return Scenario


@pytest.fixture(scope="session")
def events_of() -> type[EventsOf]:
    """The events a run tells."""
    return EventsOf


class EventsOf:
    """The events a run tells, one by one."""

    counts = staticmethod(counts)
    started = staticmethod(started)
    evaluated = staticmethod(evaluated)
    finished = staticmethod(finished)
